//! Sealing what a decision makes: fields under a data key of their own, which the environment's key wraps.
//! A secret's version and a connection's tokens are sealed alike; each names its row by number, id and digest.
//!
//! Invariant: what is sealed here opens only as the row of this number, of this owner, in this environment.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::facts::{KnownVersion, known_version};
use super::{Cx, Place};
use crate::crypto::{CryptoError, Prepared, VersionContext};
use crate::model::{
    Fields, Refusal, SealedRow, Secret, SecretId, SecretPath, State, VersionEntry, VersionId,
    VersionRow,
};

/// A row that was sealed just now, and what opens it again.
pub struct NewVersion {
    row: VersionRow,
    prepared: Prepared,
}

impl NewVersion {
    /// As it is to be stored.
    pub(crate) const fn row(&self) -> &VersionRow {
        &self.row
    }

    /// To be put as it is, when nothing is to be known of it.
    pub(crate) fn into_row(self) -> VersionRow {
        self.row
    }

    /// As the cache keeps it.
    pub(crate) fn into_known(self) -> Arc<KnownVersion> {
        Arc::new(KnownVersion::sealed(self.row, self.prepared))
    }
}

/// Seals the fields of a new version, and makes its entry for the secret's document.
///
/// # Errors
/// Only if sealing fails.
pub fn seal_version(
    cx: &Cx<'_>,
    place: &Place,
    secret: &Secret,
    fields: &Fields,
) -> Result<(NewVersion, VersionEntry), Refusal> {
    let owner = (secret.id, &secret.path);
    let (version, SealedRow { number, id, digest }) =
        seal_row(cx, place, owner, secret.next_number(), fields)?;
    let entry = VersionEntry {
        number,
        id,
        state: State::Current,
        created_at: cx.now,
        valid_until: None,
        digest,
    };
    Ok((version, entry))
}

/// Seals fields as the row of this number of an owner, and names it for the owner's document.
///
/// # Errors
/// Only if sealing fails.
pub fn seal_row(
    cx: &Cx<'_>,
    place: &Place,
    (owner, path): (SecretId, &SecretPath),
    number: u64,
    fields: &Fields,
) -> Result<(NewVersion, SealedRow), Refusal> {
    let key = place.current_key().ok_or(Refusal::Tampered)?;
    let context = VersionContext {
        secret: owner,
        path: path.as_str(),
        version: number,
    };
    let (data_key, wrapped) = key.new_data_key(cx.entropy, &context).map_err(sealing)?;
    let sealed = data_key
        .seal(cx.entropy, &context, &fields.expose_encoded())
        .map_err(sealing)?;
    let id = VersionId::new(cx.now, cx.id_bytes());
    let named = SealedRow {
        number,
        id,
        digest: Sha256::digest(&sealed).into(),
    };
    let prepared = data_key.prepare(&context, &sealed).map_err(sealing)?;
    let row = VersionRow {
        id,
        environment: place.environment.id,
        secret: owner,
        term: key.term(),
        wrapped,
        sealed,
    };
    Ok((NewVersion { row, prepared }, named))
}

/// Seals what a row holds under a data key of its own and the current term, as another row of the same number.
///
/// # Errors
/// The row is not the one that is named, or does not open.
pub fn reseal_row(
    cx: &Cx<'_>,
    place: &Place,
    owner: (SecretId, &SecretPath),
    named: &SealedRow,
    row: VersionRow,
) -> Result<(VersionRow, SealedRow), Refusal> {
    let known = known_version(place, owner, named, row).and_then(|known| known.open());
    let fields = known.map_err(|_| Refusal::Tampered)?;
    let (version, renamed) = seal_row(cx, place, owner, named.number, &fields)?;
    Ok((version.into_row(), renamed))
}

/// What to do when a name or a document is past what an envelope takes: it cannot be, names are bounded when parsed.
pub(super) fn sealing(_: CryptoError) -> Refusal {
    Refusal::Unavailable("a document could not be sealed")
}
