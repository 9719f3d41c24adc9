//! The public key that auditors hold, as a C2SP signed-note verifier key: `NAME+ID+KEY`.
//! The id binds name, algorithm and key, so that a key pasted under another name is refused.
//!
//! Invariant: a verifier key prints exactly as it was read, and its point is canonical and of full order.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// Signature type of Ed25519 in C2SP signed notes.
const ALGORITHM_ED25519: u8 = 0x01;

/// A public Ed25519 key and the name it signs under (C2SP vkey).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

/// A text or a key that is no verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `NAME+ID+KEY` with a lower-case hex id and canonical base64.
    #[error("a verifier key is NAME+ID+KEY, with 8 lower-case hex digits and canonical base64")]
    Form,
    /// The name is empty or holds a space, a plus or a control character.
    #[error("the key's name is empty or holds a space, a plus or a control character")]
    Name,
    /// Not an Ed25519 key (algorithm byte 0x01, 32 bytes).
    #[error("the key is not an Ed25519 key")]
    Algorithm,
    /// The bytes are no canonical point of full order: anyone could sign for it.
    #[error("the key is not a sound Ed25519 point")]
    Weak,
    /// The id does not follow from name and key.
    #[error("the key's id does not belong to its name and bytes")]
    Id,
}

/// The C2SP key id: the first four bytes, big-endian, of SHA-256 over name, newline, 0x01 and public key.
#[must_use]
pub fn key_id(name: &str, public_key: &[u8; 32]) -> u32 {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ALGORITHM_ED25519])
        .chain_update(public_key)
        .finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

impl VerifierKey {
    /// Makes a key from its name and its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Name`] or [`KeyError::Weak`].
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        if name.is_empty()
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
        {
            return Err(KeyError::Name);
        }
        let key = VerifyingKey::from_bytes(public_key).map_err(|_| KeyError::Weak)?;
        if key.is_weak() || key.to_edwards().compress().as_bytes() != public_key {
            return Err(KeyError::Weak);
        }
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The name it signs under, `coffer/<cluster>` for Coffer's own.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id.
    #[must_use]
    pub fn id(&self) -> u32 {
        key_id(&self.name, self.key.as_bytes())
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether this key signed the text. Strict (no malleable or small-order parts), RFC 8032 section 5.1.7.
    #[must_use]
    pub fn signed(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        self.key
            .verify_strict(text, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = [ALGORITHM_ED25519; 33];
        typed[1..].copy_from_slice(self.public_key());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            self.id(),
            STANDARD.encode(typed)
        )
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        if id.len() != 8 || !id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(KeyError::Form);
        }
        let typed = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let (&algorithm, bytes) = typed.split_first().ok_or(KeyError::Algorithm)?;
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Algorithm)?;
        if algorithm != ALGORITHM_ED25519 {
            return Err(KeyError::Algorithm);
        }
        let parsed = Self::new(name, bytes)?;
        if parsed.to_string() == text {
            Ok(parsed)
        } else {
            Err(KeyError::Id)
        }
    }
}
