//! Many documents of one kind, found by their ids in one statement.
//!
//! Invariant: as every find, it says at which change it stood.

use crate::model::{DocumentKind, DocumentRow};

use super::connection::{on, rows};
use super::documents::{Columns, seen};
use super::world::Seen;
use super::{Connection, StoreError};

/// Documents of one [find](Connection::find_documents), at most.
pub const DOCUMENTS_AT_ONCE: usize = 20;

// So many, whether or not as many are asked for: one text, planned once.
pub(super) const FIND_SOME: &str = "
    SELECT w.seq, w.mark, d.kind, d.id, d.space, d.name, d.grave, d.due, d.sealed
    FROM world w LEFT JOIN document d ON d.kind = $1 AND d.id IN (
        $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
        $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
    )
    WHERE w.id = 1";

impl Connection {
    /// Those there are of these ids, alive or dead, in any order; no more than [`DOCUMENTS_AT_ONCE`].
    pub async fn find_documents(
        &mut self,
        kind: DocumentKind,
        ids: &[[u8; 16]],
    ) -> Result<Seen<Vec<DocumentRow>>, StoreError> {
        debug_assert!((1..=DOCUMENTS_AT_ONCE).contains(&ids.len()));
        // The last one again where there are fewer.
        let at = |at: usize| &ids[at.min(ids.len() - 1)][..];
        seen(rows!(
            self,
            Columns,
            FIND_SOME,
            kind as i64,
            at(0),
            at(1),
            at(2),
            at(3),
            at(4),
            at(5),
            at(6),
            at(7),
            at(8),
            at(9),
            at(10),
            at(11),
            at(12),
            at(13),
            at(14),
            at(15),
            at(16),
            at(17),
            at(18),
            at(19)
        )?)
    }
}
