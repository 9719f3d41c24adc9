//! What is at a path, and versions that are ready to be opened again and again.
//! The secret's document is believed first; a version's row only as far as the document names it.
//!
//! Invariant: a version that its document does not name by id and digest is never opened.

use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{LoadError, Loaded, Place, opened};
use crate::crypto::{CryptoError, Keyring, Prepared, VersionContext};
use crate::door::documents::{self, Within};
use crate::model::{
    DocumentKind, DocumentRow, Fields, Secret, SecretPath, VersionEntry, VersionRow,
};
use crate::store::{Connection, Seen};

/// A living secret, with its current version at hand.
pub struct KnownSecret {
    secret: Secret,
    current: Option<KnownVersion>,
}

impl KnownSecret {
    /// A secret whose current version was sealed here, just now.
    pub(in crate::door) const fn written(
        secret: Secret,
        row: VersionRow,
        prepared: Prepared,
    ) -> Self {
        let current = Some(KnownVersion { row, prepared });
        Self { secret, current }
    }

    /// The current version, if it is the one that `entry` names.
    pub(in crate::door) fn at_hand(&self, entry: &VersionEntry) -> Option<&KnownVersion> {
        self.current
            .as_ref()
            .filter(|current| current.row.id == entry.id)
    }

    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        let current = self.current.as_ref();
        let names = self.secret.fields.iter();
        160 * self.secret.versions.len()
            + names.map(|name| 32 + name.as_str().len()).sum::<usize>()
            + current.map_or(0, |version| version.row.sealed.len() + 512)
    }
}

impl Deref for KnownSecret {
    type Target = Secret;

    fn deref(&self) -> &Secret {
        &self.secret
    }
}

/// A version's row, ready to be opened again and again.
pub(in crate::door) struct KnownVersion {
    row: VersionRow,
    prepared: Prepared,
}

impl KnownVersion {
    pub(in crate::door) fn new(
        place: &Place,
        secret: &Secret,
        number: u64,
        row: VersionRow,
    ) -> Result<Self, CryptoError> {
        if row.environment != place.environment.id || row.secret != secret.id {
            return Err(CryptoError);
        }
        let context = VersionContext {
            secret: secret.id,
            path: secret.path.as_str(),
            version: number,
        };
        let key = place
            .key(row.term)
            .ok_or(CryptoError)?
            .open_data_key(&context, &row.wrapped)?;
        let prepared = key.prepare(&context, &row.sealed)?;
        Ok(Self { row, prepared })
    }

    pub(in crate::door) fn open(&self) -> Result<Fields, CryptoError> {
        let plain = self.prepared.open(&self.row.sealed)?;
        Fields::decode(plain.expose()).ok_or(CryptoError)
    }
}

/// Opens a secret's row, and checks that the document is of the path it is found by.
pub(in crate::door) fn open_secret(
    keys: &Keyring,
    place: &Place,
    row: &DocumentRow,
) -> Result<Secret, CryptoError> {
    if row.kind != DocumentKind::Secret || row.space != *place.environment.id.as_bytes() {
        return Err(CryptoError);
    }
    let secret: Secret = documents::open(keys, row, Within::of(place), &row.name)?;
    let buried = !row.grave.is_empty();
    let same = secret.path.folded() == row.name && *secret.id.as_bytes() == row.id;
    (same && buried == secret.deleted_at.is_some())
        .then_some(secret)
        .ok_or(CryptoError)
}

pub(in crate::door) async fn load_secret(
    connection: &mut Connection,
    keys: &Keyring,
    place: &Place,
    path: &SecretPath,
) -> Result<Loaded<Option<Arc<KnownSecret>>>, LoadError> {
    let space = *place.environment.id.as_bytes();
    let Seen { at, value } = connection
        .find_document_named(DocumentKind::Secret, space, &path.folded())
        .await?;
    let Some(row) = value else {
        return Ok(Loaded { at, value: None });
    };
    if row.name != path.folded() {
        return Err(LoadError::Closed(at));
    }
    let secret = opened(at, open_secret(keys, place, &row))?.value;
    let current = match secret.current().cloned() {
        Some(entry) => {
            // Read after the document: what changed in between has a note above `at`, and is decided again.
            let row = connection.find_version(entry.id).await?.value;
            let known = row
                .ok_or(CryptoError)
                .and_then(|row| known_version(place, &secret, &entry, row));
            Some(opened(at, known)?.value)
        }
        None => None,
    };
    Ok(Loaded {
        at,
        value: Some(Arc::new(KnownSecret { secret, current })),
    })
}

/// Believes a version's row only if it is the one that the document names.
pub(in crate::door) fn known_version(
    place: &Place,
    secret: &Secret,
    entry: &VersionEntry,
    row: VersionRow,
) -> Result<KnownVersion, CryptoError> {
    let named = row.id == entry.id && Sha256::digest(&row.sealed)[..] == entry.digest;
    if !named {
        return Err(CryptoError);
    }
    KnownVersion::new(place, secret, entry.number, row)
}
