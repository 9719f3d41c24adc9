//! What a decision changes, as values: rows to put and rows to take away, and the refs that they touch.
//! The ledger merges the changes of a batch by row, the last wins, and writes them in a few statements.
//!
//! Invariant: a row in here is sealed already; nothing in here can be read without a key.

use std::ops::{Deref, DerefMut};

use super::{DataKeyRow, DocumentKind, DocumentRow, KeyRow, Ref, StreamRow, VersionId, VersionRow};

/// The changes of one decision; empty for a read.
#[derive(Clone, Default, Debug)]
pub struct Changes {
    /// Documents to put.
    pub documents: Vec<DocumentRow>,
    /// Documents to take away.
    pub dead_documents: Vec<(DocumentKind, [u8; 16])>,
    /// Versions to put.
    pub versions: Vec<VersionRow>,
    /// Data keys that are wrapped otherwise, of versions that are there; nothing else of these changes.
    pub data_keys: Vec<DataKeyRow>,
    /// Versions to take away, and with them their data keys.
    pub dead_versions: Vec<VersionId>,
    /// Keys to put.
    pub keys: Vec<KeyRow>,
    /// Environments whose keys are taken away.
    pub dead_keys: Vec<[u8; 16]>,
    /// Terms of environments whose keys are destroyed.
    pub dead_terms: Vec<([u8; 16], u32)>,
    /// A stream that begins.
    pub stream: Option<Box<StreamRow>>,
    /// The refs touched.
    pub touched: Vec<Ref>,
}

/// Changes that mostly are none: what a read carries of them is one word.
#[derive(Clone, Default, Debug)]
pub struct MaybeChanges(Option<Box<Changes>>);

static NONE: Changes = Changes {
    documents: Vec::new(),
    dead_documents: Vec::new(),
    versions: Vec::new(),
    data_keys: Vec::new(),
    dead_versions: Vec::new(),
    keys: Vec::new(),
    dead_keys: Vec::new(),
    dead_terms: Vec::new(),
    stream: None,
    touched: Vec::new(),
};

impl Deref for MaybeChanges {
    type Target = Changes;

    fn deref(&self) -> &Changes {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for MaybeChanges {
    fn deref_mut(&mut self) -> &mut Changes {
        self.0.get_or_insert_default()
    }
}

impl Changes {
    /// Whether nothing changes.
    pub const fn is_empty(&self) -> bool {
        self.documents.is_empty()
            && self.dead_documents.is_empty()
            && self.versions.is_empty()
            && self.data_keys.is_empty()
            && self.dead_versions.is_empty()
            && self.keys.is_empty()
            && self.dead_keys.is_empty()
            && self.dead_terms.is_empty()
            && self.stream.is_none()
    }
}

impl Changes {
    /// Puts later changes on top: by row, the last wins.
    pub fn merge(&mut self, later: &Self) {
        self.documents.retain(|row| {
            !later.documents.iter().any(|newer| newer.id == row.id)
                && !later.dead_documents.iter().any(|(_, id)| *id == row.id)
        });
        self.dead_documents
            .retain(|(_, id)| !later.documents.iter().any(|newer| newer.id == *id));
        self.versions.retain(|row| {
            !later.versions.iter().any(|newer| newer.id == row.id)
                && !later.dead_versions.contains(&row.id)
        });
        let is_wrapped_later = |id: VersionId| {
            let put = later.versions.iter().any(|newer| newer.id == id);
            put || later.data_keys.iter().any(|newer| newer.id == id)
        };
        self.data_keys
            .retain(|row| !is_wrapped_later(row.id) && !later.dead_versions.contains(&row.id));
        self.keys.retain(|row| {
            !later.dead_keys.contains(&row.environment)
                && !later.dead_terms.contains(&(row.environment, row.term))
        });
        self.documents.extend_from_slice(&later.documents);
        self.dead_documents.extend_from_slice(&later.dead_documents);
        self.versions.extend_from_slice(&later.versions);
        self.data_keys.extend_from_slice(&later.data_keys);
        self.dead_versions.extend_from_slice(&later.dead_versions);
        self.keys.extend_from_slice(&later.keys);
        self.dead_keys.extend_from_slice(&later.dead_keys);
        self.dead_terms.extend_from_slice(&later.dead_terms);
        if later.stream.is_some() {
            self.stream.clone_from(&later.stream);
        }
        self.touched.extend_from_slice(&later.touched);
    }
}
