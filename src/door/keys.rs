//! Wrapped keys between their rows and the keyring.
//! The row says which key it is; the envelope proves it.
//!
//! Invariant: a key row opens only as the kind, environment and term it is stored under.

use crate::crypto::{self, CryptoError, EnvironmentKey, Keyring, RootKey, WrappedKey};
use crate::model::{ClusterId, KeyKind, KeyRow, ProjectId};
use uuid::Uuid;

/// The space of keys that are not an environment's.
pub(super) const NO_ENVIRONMENT: [u8; 16] = [0; 16];

const KINDS: [(KeyKind, crypto::KeyKind); 7] = [
    (KeyKind::TokenMac, crypto::KeyKind::TokenMac),
    (KeyKind::CursorMac, crypto::KeyKind::CursorMac),
    (KeyKind::MarkMac, crypto::KeyKind::MarkMac),
    (KeyKind::System, crypto::KeyKind::System),
    (KeyKind::Audit, crypto::KeyKind::Audit),
    (KeyKind::Signer, crypto::KeyKind::AuditSigner),
    (KeyKind::Environment, crypto::KeyKind::Environment),
];

/// The row of a wrapped key.
pub fn key_row(wrapped: WrappedKey) -> KeyRow {
    let kind = KINDS.into_iter().find(|(_, kind)| *kind == wrapped.kind);
    KeyRow {
        kind: kind.expect("every kind of key has a row's number").0,
        environment: wrapped.environment.map_or(NO_ENVIRONMENT, Uuid::into_bytes),
        term: wrapped.term,
        wrapped: wrapped.bytes,
    }
}

fn wrapped(row: &KeyRow, project: Option<ProjectId>) -> Option<WrappedKey> {
    let (_, kind) = KINDS.into_iter().find(|(kind, _)| *kind == row.kind)?;
    let environment =
        (kind == crypto::KeyKind::Environment).then(|| Uuid::from_bytes(row.environment));
    Some(WrappedKey {
        kind,
        project: project.map(ProjectId::uuid),
        environment,
        term: row.term,
        bytes: row.wrapped.clone(),
    })
}

/// Opens an environment's key.
pub(super) fn environment_key(
    keys: &Keyring,
    project: ProjectId,
    row: &KeyRow,
) -> Result<EnvironmentKey, CryptoError> {
    keys.open_environment_key(&wrapped(row, Some(project)).ok_or(CryptoError)?)
}

/// Opens the cluster's keys.
///
/// # Errors
/// A key is missing, does not open, or is there twice.
pub fn open_keyring(
    root: RootKey,
    cluster: ClusterId,
    rows: &[KeyRow],
) -> Result<Keyring, CryptoError> {
    let mine = rows.iter().filter(|row| row.kind != KeyKind::Environment);
    let wrapped: Vec<_> = mine.filter_map(|row| wrapped(row, None)).collect();
    Keyring::open(root, cluster.uuid(), &wrapped)
}
