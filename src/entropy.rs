//! Where random bytes come from: an argument, never an ambient source.
//! Keys, salts, tokens and ids are drawn through [`Entropy`], so that a test can replay them and a reader can see who draws.
//!
//! Invariant: in a release build the only source is the operating system's (`getrandom(2)`).

/// A source of random bytes fit for keys.
pub trait Entropy: Send + Sync {
    /// Fills all of `out`. It has no error: a source that cannot answer must not return.
    fn fill(&self, out: &mut [u8]);
}

/// The operating system's source.
///
/// Once the kernel's pool is ready `getrandom(2)` does not fail for lengths like ours; a sandbox that forbids the call is
/// found by [`SystemEntropy::probe`] before the server starts. Should it fail later all the same, the process aborts:
/// weaker randomness would be silent and for ever, while an abort is the `kill -9` that everything is built to survive.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl SystemEntropy {
    /// The source, proven to answer.
    ///
    /// # Errors
    /// One sentence, when the operating system refuses.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that asks the operating system"
    )]
    pub fn probe() -> Result<Self, EntropyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| EntropyError)?;
        Ok(Self)
    }
}

impl Entropy for SystemEntropy {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that asks the operating system"
    )]
    fn fill(&self, out: &mut [u8]) {
        if getrandom::fill(out).is_err() {
            std::process::abort();
        }
    }
}

/// The operating system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error(
    "the operating system gives no random bytes (getrandom failed): allow the getrandom system call"
)]
pub struct EntropyError;

/// A stream that a test can replay: SHA-256 over a seed and a counter. It does not exist in a release build.
#[cfg(any(test, debug_assertions))]
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    block: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, debug_assertions))]
impl SeededEntropy {
    /// The stream of this seed, from its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            block: 0.into(),
        }
    }
}

#[cfg(any(test, debug_assertions))]
impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        use sha2::{Digest, Sha256};
        for chunk in out.chunks_mut(32) {
            let block = self
                .block
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let digest = Sha256::new()
                .chain_update(b"coffer/seeded-entropy")
                .chain_update(self.seed.to_be_bytes())
                .chain_update(block.to_be_bytes())
                .finalize();
            chunk.copy_from_slice(&digest[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_another_differs() {
        let (mut first, mut again, mut other) = ([0; 70], [0; 70], [0; 70]);
        SeededEntropy::new(1).fill(&mut first);
        SeededEntropy::new(1).fill(&mut again);
        SeededEntropy::new(2).fill(&mut other);
        assert_eq!(first, again);
        assert_ne!(first, other);
    }

    #[test]
    fn the_system_answers() {
        let source = SystemEntropy::probe().expect("the operating system answers");
        let (mut one, mut two) = ([0; 32], [0; 32]);
        source.fill(&mut one);
        source.fill(&mut two);
        assert_ne!(one, two);
    }
}
