//! The change notes: one row a change, with the refs that it touched.
//! They are believed only after their marks are checked, which the door does.
//!
//! Invariant: notes are deleted oldest first, whole rows, by the holder of the world.

use super::connection::{fixed, natural, on, rows, run, stored};
use super::world::Stamp;
use super::{Connection, StoreError};

const TABLE: &str = "note";

/// Notes deleted at once, so that nobody waits for a long deletion.
pub const NOTES_PRUNED_MAX: u64 = 1_000;

/// A row of `note`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteRow {
    /// The change.
    pub seq: u64,
    /// Its mark.
    pub mark: [u8; 32],
    /// The nonce in its mark.
    pub nonce: [u8; 16],
    /// The refs touched, seventeen bytes each.
    pub refs: Vec<u8>,
}

pub(super) type NoteColumns = (
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
);

pub(super) const LIST: &str = "
    SELECT (SELECT COUNT(*) FROM note WHERE seq = $1 AND mark = $2), n.seq, n.mark, n.nonce, n.refs
    FROM world w LEFT JOIN (
        SELECT seq, mark, nonce, refs FROM note WHERE seq > $1 ORDER BY seq LIMIT $3 + 0
    ) n ON TRUE
    WHERE w.id = 1
    ORDER BY n.seq";

pub(super) const INSERT: &str = "INSERT INTO note (seq, mark, nonce, refs) VALUES ($1, $2, $3, $4)";

pub(super) const DELETE_BELOW: &str = "
    DELETE FROM note WHERE seq < $1 AND seq < (SELECT MIN(seq) FROM note) + $2";

impl Connection {
    /// The notes after `after`, by change, and whether a note with exactly that change and mark is there.
    pub(crate) async fn list_notes(
        &mut self,
        after: &Stamp,
        limit: u32,
    ) -> Result<(Vec<NoteRow>, bool), StoreError> {
        type Columns = (
            i64,
            Option<i64>,
            Option<Vec<u8>>,
            Option<Vec<u8>>,
            Option<Vec<u8>>,
        );
        let rows = rows!(
            self,
            Columns,
            LIST,
            stored(after.seq),
            &after.mark[..],
            i64::from(limit)
        )?;
        let linked = rows.first().is_some_and(|row| row.0 > 0);
        let notes = rows
            .into_iter()
            .map(|(_, seq, mark, nonce, refs)| note((seq, mark, nonce, refs)));
        Ok((
            notes
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?,
            linked,
        ))
    }

    pub(super) async fn insert_note(&mut self, note: &NoteRow) -> Result<(), StoreError> {
        run!(
            self,
            INSERT,
            stored(note.seq),
            &note.mark[..],
            &note.nonce[..],
            &note.refs[..]
        )?;
        Ok(())
    }

    pub(super) async fn delete_notes_below(&mut self, seq: u64) -> Result<u64, StoreError> {
        run!(self, DELETE_BELOW, stored(seq), stored(NOTES_PRUNED_MAX))
    }
}

pub(super) fn note((seq, mark, nonce, refs): NoteColumns) -> Result<Option<NoteRow>, StoreError> {
    match (seq, mark, nonce, refs) {
        (None, ..) => Ok(None),
        (Some(seq), Some(mark), Some(nonce), Some(refs)) => Ok(Some(NoteRow {
            seq: natural(seq, TABLE)?,
            mark: fixed(mark, TABLE)?,
            nonce: fixed(nonce, TABLE)?,
            refs,
        })),
        _ => Err(StoreError::Damaged(TABLE)),
    }
}
