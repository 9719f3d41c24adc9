//! The log's last word on each row: what a record's changes put or took away, as digests inside the sealed segment.
//! Auditors do not need them; a check compares the store with them, and so finds an older true row, or one that is gone.
//!
//! Invariant: every document, version and key that a commit puts is spoken of in the segment of that commit.

use sha2::{Digest, Sha256};

use crate::model::{Changes, DocumentKind, KeyKind, KeyRow};

/// What a word speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Subject {
    /// A document, by its id: SHA-256 of its sealed bytes.
    Document(DocumentKind),
    /// A version, by its id: SHA-256 of its wrapped data key. Its sealed fields are in its secret's document.
    Version,
    /// A wrapped key, by the hash of its place: SHA-256 of what is stored.
    Key,
}

const VERSION: u8 = 101;
const KEY: u8 = 102;

/// What stands for a row that is gone.
pub(super) const GONE: [u8; 32] = [0; 32];

/// A subject, its id, and the digest of what was stored, or [`GONE`].
pub(super) type Spoken = (Subject, [u8; 16], [u8; 32]);

impl Subject {
    /// The byte in a segment.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Document(kind) => kind as u8,
            Self::Version => VERSION,
            Self::Key => KEY,
        }
    }

    /// The subject of this byte.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            VERSION => Some(Self::Version),
            KEY => Some(Self::Key),
            number => DocumentKind::from_number(i64::from(number)).map(Self::Document),
        }
    }
}

/// What these changes have a segment say. A version that goes is spoken of as gone though its document no longer names it:
/// retention would keep the record that made it for ever. A key that goes with its environment is not; one whose term is
/// destroyed is.
pub(super) fn of(changes: &Changes) -> impl Iterator<Item = Spoken> {
    let put = changes
        .documents
        .iter()
        .map(|row| (Subject::Document(row.kind), row.id, digest(&row.sealed)));
    let gone = changes
        .dead_documents
        .iter()
        .map(|(kind, id)| (Subject::Document(*kind), *id, GONE));
    let versions = changes
        .versions
        .iter()
        .map(|row| (Subject::Version, *row.id.as_bytes(), digest(&row.wrapped)));
    let wrapped = changes
        .data_keys
        .iter()
        .map(|row| (Subject::Version, *row.id.as_bytes(), digest(&row.wrapped)));
    let dead = changes
        .dead_versions
        .iter()
        .map(|id| (Subject::Version, *id.as_bytes(), GONE));
    let keys = changes
        .keys
        .iter()
        .map(|row| (Subject::Key, id_of_key(row), digest(&row.wrapped)));
    let destroyed = changes.dead_terms.iter().map(|(environment, term)| {
        let id = id_of_place(KeyKind::Environment, environment, *term);
        (Subject::Key, id, GONE)
    });
    put.chain(gone)
        .chain(versions)
        .chain(wrapped)
        .chain(dead)
        .chain(keys)
        .chain(destroyed)
}

/// The id that a key is spoken of by: its kind, environment and term, hashed.
pub(super) fn id_of_key(row: &KeyRow) -> [u8; 16] {
    id_of_place(row.kind, &row.environment, row.term)
}

fn id_of_place(kind: KeyKind, environment: &[u8; 16], term: u32) -> [u8; 16] {
    let hash = Sha256::new()
        .chain_update([kind as u8])
        .chain_update(environment)
        .chain_update(term.to_be_bytes())
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    id
}

pub(super) fn digest(stored: &[u8]) -> [u8; 32] {
    Sha256::digest(stored).into()
}
