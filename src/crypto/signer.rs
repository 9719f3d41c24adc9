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

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn ed25519_is_ed25519() {
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let signer = AuditSigner::new(&LockedKey::copy_of(&seed.try_into().unwrap())).unwrap();
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(signer.public_key().as_slice(), public);
        assert_eq!(signer.sign(&[0x72]).as_slice(), signature);
        assert!(
            UnparsedPublicKey::new(&ED25519, public)
                .verify(&[0x72], &signature)
                .is_ok()
        );
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }
}
