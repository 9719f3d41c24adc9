//! The audit signer: Ed25519 (RFC 8032) over tree heads, and nothing else.
//! Its public key is what auditors hold; its seed is a wrapped key like any other.
//!
//! Invariant: the API holds the pair and takes no public key, so the double-public-key oracle (RUSTSEC-2022-0093) cannot be asked.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::{CryptoError, LockedKey};

/// Signs tree heads. The expanded pair lives on AWS-LC's heap, which wipes it when freed but does not lock it.
pub struct AuditSigner {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl AuditSigner {
    pub(super) fn new(seed: &LockedKey) -> Result<Self, CryptoError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| CryptoError)?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| CryptoError)?;
        Ok(Self { pair, public })
    }

    /// The public key: 32 bytes, for the verifier key (C2SP vkey).
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// The signature of a tree head's note text.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.pair
            .sign(text)
            .as_ref()
            .try_into()
            .expect("an Ed25519 signature has 64 bytes")
    }
}
