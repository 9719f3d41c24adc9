//! The only place where key bytes live: one envelope, a type for every rank of key, and the pages that hold them.
//! Everything else asks a key to seal or open something at a named place, and gets bytes or one opaque [`CryptoError`].
//!
//! Invariant: no function here takes a nonce, and no key opens anything but what its rank is made for.

mod aead;
mod context;
mod documents;
mod envelope;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod keyring;
mod keys;
mod locked;
mod mac;
#[cfg(test)]
mod properties;
mod root;
mod secret;
mod signer;
#[cfg(test)]
mod stories;
mod token;
mod versions;
#[cfg(test)]
mod wycheproof;

use context::{Context, Label};
use envelope::{Algorithm, open as open_envelope, seal as seal_envelope};

pub use documents::DocumentContext;
pub use envelope::ENVELOPE_OVERHEAD_BYTES;
pub use keyring::Keyring;
pub use keys::{AuditKey, EnvironmentKey, SystemKey};
pub use locked::{
    Hardening, KEY_BYTES, LockedKey, LockedMemory, effective_user, harden_process,
    keep_new_files_private, locked_memory, raise_open_files,
};
pub use mac::{CursorMac, MacKey, MarkMac, ReceiptMac, TokenMac};
pub use root::{RootKey, RootPlace};
pub use secret::SecretBytes;
pub use signer::AuditSigner;
pub use token::{HashedToken, PlainToken, TOKEN_BYTES_MAX, TokenKind};
pub use versions::{DataKey, Prepared, VersionContext};

/// Something did not open, or could not be sealed. One variant on purpose: a caller who could tell a wrong key from a
/// wrong tag, a wrong place or a wrong length would have an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed data does not open with this key at this place")]
pub struct CryptoError;
