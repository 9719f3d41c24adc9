//! What is done at random, again and again: `scripts/torture` does it for long, and every run of the tests for a moment.
//! Each test prints its seed, and takes rounds and seed from `COFFER_TORTURE_ROUNDS` and `COFFER_TORTURE_SEED`.
//!
//! Invariant: chance decides what is tried, and never what must hold.

mod acts;
mod adversary;
mod canary;
mod changes;
mod crash;
mod growth;
mod held;
mod history;
mod replay;
mod seen;
mod soak;
mod trouble;
mod truths;

use coffer::entropy::{Entropy, SystemEntropy};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How many rounds are asked for, or so many.
fn rounds(unless_said: usize) -> usize {
    number("COFFER_TORTURE_ROUNDS").map_or(unless_said, |rounds| {
        usize::try_from(rounds).expect("rounds that can be counted")
    })
}

/// Whether somebody asked for a number of rounds, and has the time for long ones.
fn is_long() -> bool {
    number("COFFER_TORTURE_ROUNDS").is_some()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// What chance decides.
struct Chance(SmallRng);

impl Chance {
    /// Of the seed that is asked for, or of a new one.
    fn new(test: &str) -> Self {
        let seed = number("COFFER_TORTURE_SEED").unwrap_or_else(|| {
            let mut bytes = [0; 8];
            SystemEntropy.fill(&mut bytes);
            u64::from_be_bytes(bytes)
        });
        eprintln!("{test}: COFFER_TORTURE_SEED={seed}");
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Another one, for a task of its own.
    fn child(&mut self) -> Self {
        Self(SmallRng::seed_from_u64(self.0.random()))
    }

    /// Less than this.
    fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// One of these.
    fn one_of<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len())]
    }
}
