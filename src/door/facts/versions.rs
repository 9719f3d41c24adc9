//! Sealed rows, ready to be opened again and again: a secret's version, a connection's tokens.
//! A row is believed only as far as its owner's document names it.
//!
//! Invariant: a row that its owner does not name by number, id and digest is never opened.

use sha2::{Digest, Sha256};

use super::Place;
use crate::crypto::{CryptoError, Prepared, VersionContext};
use crate::model::{Fields, SealedRow, SecretId, SecretPath, VersionId, VersionRow};

/// A row that its owner names.
pub struct KnownVersion {
    row: VersionRow,
    prepared: Prepared,
}

impl KnownVersion {
    /// A row that was sealed here, just now.
    pub(in crate::door) const fn sealed(row: VersionRow, prepared: Prepared) -> Self {
        Self { row, prepared }
    }

    /// Whether it is the row of this id.
    pub(in crate::door) fn is(&self, id: VersionId) -> bool {
        self.row.id == id
    }

    /// What it holds.
    pub(in crate::door) fn open(&self) -> Result<Fields, CryptoError> {
        let plain = self.prepared.open(&self.row.sealed)?;
        Fields::decode(plain.expose()).ok_or(CryptoError)
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        self.row.sealed.len() + 512
    }
}

/// Believes a row only if it is the one that its owner's document names.
pub(in crate::door) fn known_version(
    place: &Place,
    (owner, path): (SecretId, &SecretPath),
    named: &SealedRow,
    row: VersionRow,
) -> Result<KnownVersion, CryptoError> {
    let same = row.id == named.id
        && row.environment == place.environment.id
        && row.secret == owner
        && Sha256::digest(&row.sealed)[..] == named.digest;
    if !same {
        return Err(CryptoError);
    }
    let context = VersionContext {
        secret: owner,
        path: path.as_str(),
        version: named.number,
    };
    let key = place
        .key(row.term)
        .ok_or(CryptoError)?
        .open_data_key(&context, &row.wrapped)?;
    let prepared = key.prepare(&context, &row.sealed)?;
    Ok(KnownVersion { row, prepared })
}
