//! The two ciphers of envelope E1: AES-256-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439), by RustCrypto,
//! which wipes its round keys on drop; AWS-LC is the second implementation that the tests compare with.
//! Key and nonce are derived for one envelope by `envelope`, so the nonce limits of the two ciphers are never met.
//!
//! Invariant: a buffer that failed to open holds zeroes, never unauthenticated plaintext (RUSTSEC-2023-0096).

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, Error, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;
use zeroize::Zeroize;

use super::{CryptoError, envelope::Algorithm, locked::KEY_BYTES};

pub(super) const NONCE_BYTES: usize = 12;
pub(super) const TAG_BYTES: usize = 16;

/// Encrypts `text` in place and gives the tag.
pub(super) fn seal(
    algorithm: Algorithm,
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG_BYTES], CryptoError> {
    let tag = match algorithm {
        Algorithm::Aes256Gcm => {
            Aes256Gcm::new(key.into()).encrypt_inout_detached(nonce.into(), aad, text.into())
        }
        Algorithm::ChaCha20Poly1305 => {
            ChaCha20Poly1305::new(key.into()).encrypt_inout_detached(nonce.into(), aad, text.into())
        }
    };
    tag.map(Into::into).map_err(|Error| CryptoError)
}

/// Decrypts `sealed` (ciphertext, then tag) into `text`, which has the ciphertext's length.
pub(super) fn open(
    algorithm: Algorithm,
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
    text: &mut [u8],
) -> Result<(), CryptoError> {
    let (ciphertext, tag) = sealed
        .split_last_chunk::<TAG_BYTES>()
        .filter(|(ciphertext, _)| ciphertext.len() == text.len())
        .ok_or(CryptoError)?;
    text.copy_from_slice(ciphertext);
    let buffer = (&mut *text).into();
    let opened = match algorithm {
        Algorithm::Aes256Gcm => {
            Aes256Gcm::new(key.into()).decrypt_inout_detached(nonce.into(), aad, buffer, tag.into())
        }
        Algorithm::ChaCha20Poly1305 => ChaCha20Poly1305::new(key.into()).decrypt_inout_detached(
            nonce.into(),
            aad,
            buffer,
            tag.into(),
        ),
    };
    opened.map_err(|Error| {
        text.zeroize();
        CryptoError
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];
    const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];

    /// A second implementation (AWS-LC) gives the same bytes for the same input.
    #[test]
    fn two_libraries_agree() {
        use aws_lc_rs::aead::{
            AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
        };
        for length in [0, 1, 15, 16, 17, 4096] {
            let plain: Vec<u8> = (0..length).map(|i| i as u8).collect();
            for (algorithm, other) in [
                (Algorithm::Aes256Gcm, &AES_256_GCM),
                (Algorithm::ChaCha20Poly1305, &CHACHA20_POLY1305),
            ] {
                let mut theirs = plain.clone();
                let nonce = Nonce::assume_unique_for_key(NONCE);
                LessSafeKey::new(UnboundKey::new(other, &KEY).unwrap())
                    .seal_in_place_append_tag(nonce, Aad::from(b"place"), &mut theirs)
                    .unwrap();
                let mut ours = plain.clone();
                let tag = seal(algorithm, &KEY, &NONCE, b"place", &mut ours).unwrap();
                ours.extend_from_slice(&tag);
                assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn a_failed_open_leaves_zeroes() {
        for algorithm in [Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305] {
            let mut sealed = b"the value that must not be seen".to_vec();
            let tag = seal(algorithm, &KEY, &NONCE, b"", &mut sealed).unwrap();
            sealed.extend_from_slice(&tag);
            *sealed.last_mut().unwrap() ^= 1;
            let mut text = vec![0xAA; sealed.len() - TAG_BYTES];
            assert_eq!(
                open(algorithm, &KEY, &NONCE, b"", &sealed, &mut text),
                Err(CryptoError)
            );
            assert!(text.iter().all(|byte| *byte == 0));
        }
    }
}
