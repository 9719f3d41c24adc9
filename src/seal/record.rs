//! The seal record: what the store keeps, in the clear, so that a seal can give the root key back.
//! It is JSON with a format number; the key check value in it tells a wrong key before any data is touched.
//!
//! Invariant: nothing in the record is secret, and whoever edits it gains nothing: parameters have floors and ceilings and are bound into the wrap.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::SealError;
use crate::crypto::{RootKey, RootPlace};

/// Longest record that is read, in bytes.
const RECORD_BYTES_MAX: usize = 4_096;
const FORMAT: u32 = 1;

/// A seal record, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealRecord {
    format: u32,
    /// The root key's check value, base64.
    key_check: String,
    #[serde(rename = "seal")]
    provider: Provider,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Provider {
    File,
    Passphrase(PassphraseRecord),
}

/// Argon2id's parameters and salt, and the root key wrapped under what they make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PassphraseRecord {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
    /// Base64.
    pub(super) salt: String,
    /// Envelope E1, base64.
    pub(super) wrapped: String,
}

impl SealRecord {
    pub(super) fn new(root: &RootKey, place: RootPlace, provider: Provider) -> Self {
        Self {
            format: FORMAT,
            key_check: STANDARD.encode(root.check_value(place)),
            provider,
        }
    }

    /// The record of stored bytes.
    ///
    /// # Errors
    /// They are no record of a known format.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(SealError::Damaged);
        }
        let record: Self = serde_json::from_slice(bytes).map_err(|_| SealError::Damaged)?;
        if record.format == FORMAT {
            Ok(record)
        } else {
            Err(SealError::Damaged)
        }
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record of numbers and strings is JSON")
    }

    /// Which provider made it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.provider {
            Provider::File => "file",
            Provider::Passphrase(_) => "passphrase",
        }
    }

    /// The root key, if it is the one this record was made for.
    pub(super) fn checked(&self, root: RootKey, place: RootPlace) -> Result<RootKey, SealError> {
        let stored = decode(&self.key_check)?;
        if root.matches(place, &stored) {
            Ok(root)
        } else {
            Err(SealError::WrongKey)
        }
    }

    pub(super) fn expect_file(&self) -> Result<(), SealError> {
        match self.provider {
            Provider::File => Ok(()),
            Provider::Passphrase(_) => Err(SealError::OtherSeal {
                stored: self.name(),
                configured: "file",
            }),
        }
    }

    pub(super) fn expect_passphrase(&self) -> Result<&PassphraseRecord, SealError> {
        match &self.provider {
            Provider::Passphrase(record) => Ok(record),
            Provider::File => Err(SealError::OtherSeal {
                stored: self.name(),
                configured: "passphrase",
            }),
        }
    }
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, SealError> {
    STANDARD.decode(text).map_err(|_| SealError::Damaged)
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
