//! The secret at a path, with its current version at hand.
//! The document is believed first; a version's row only as far as the document names it.
//!
//! Invariant: a document is of the path, the id and the environment that its row is found by.

use std::ops::Deref;
use std::sync::Arc;

use super::{KnownVersion, LoadError, Loaded, Place, known_version, opened};
use crate::crypto::{CryptoError, Keyring};
use crate::door::documents::{self, Within};
use crate::model::{DocumentKind, DocumentRow, Secret, SecretPath, VersionEntry};
use crate::store::{Connection, Seen};

/// A living secret, with its current version at hand.
pub struct KnownSecret {
    secret: Secret,
    current: Option<Arc<KnownVersion>>,
}

impl KnownSecret {
    /// A secret whose current version was sealed here, just now.
    pub(in crate::door) const fn written(secret: Secret, current: Arc<KnownVersion>) -> Self {
        let current = Some(current);
        Self { secret, current }
    }

    /// The current version, if it is the one that `entry` names.
    pub(in crate::door) fn at_hand(&self, entry: &VersionEntry) -> Option<&KnownVersion> {
        self.current
            .as_deref()
            .filter(|current| current.is(entry.id))
    }

    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        let current = self.current.as_ref();
        let names = self.secret.fields.iter();
        160 * self.secret.versions.len()
            + names.map(|name| 32 + name.as_str().len()).sum::<usize>()
            + current.map_or(0, |version| version.weight())
    }
}

impl Deref for KnownSecret {
    type Target = Secret;

    fn deref(&self) -> &Secret {
        &self.secret
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
                .and_then(|row| known_version(place, secret.owner(), &(&entry).into(), row));
            Some(Arc::new(opened(at, known)?.value))
        }
        None => None,
    };
    Ok(Loaded {
        at,
        value: Some(Arc::new(KnownSecret { secret, current })),
    })
}
