//! The streams: who writes which log, how far it goes, and the claim that fences a writer off.
//! All heads are read in one statement, so that they belong together.
//!
//! Invariant: a stream's epoch only rises, and only by a claim.

use crate::model::{BootId, StreamId, StreamRow};

use super::connection::{fixed, natural, on, rows, run, stored};
use super::{Connection, StoreError};

const TABLE: &str = "stream";

pub(super) type Columns = (Vec<u8>, Vec<u8>, i64, i64, i64, Vec<u8>, String);

pub(super) const LIST: &str =
    "SELECT id, owner, epoch, beat, size, frontier, head FROM stream ORDER BY id";

pub(super) const INSERT: &str = "
    INSERT INTO stream (id, owner, epoch, beat, size, frontier, head)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

pub(super) const CLAIM: &str = "
    UPDATE stream SET epoch = epoch + 1, owner = $3, beat = beat + 1
    WHERE id = $1 AND (epoch = $2 OR owner = $3)
    RETURNING id, owner, epoch, beat, size, frontier, head";

pub(super) const BEAT: &str = "UPDATE stream SET beat = beat + 1 WHERE id = $1";

impl Connection {
    /// All streams as of one moment.
    pub async fn list_streams(&mut self) -> Result<Vec<StreamRow>, StoreError> {
        rows!(self, Columns, LIST)?
            .into_iter()
            .map(stream)
            .collect()
    }

    pub(super) async fn insert_stream(&mut self, row: &StreamRow) -> Result<(), StoreError> {
        run!(
            self,
            INSERT,
            &row.id.as_bytes()[..],
            &row.owner.as_bytes()[..],
            stored(row.epoch),
            stored(row.beat),
            stored(row.size),
            &row.frontier[..],
            row.head.as_str()
        )?;
        Ok(())
    }

    /// Counts a beat of a stream; whether there is such a one.
    pub(super) async fn update_beat(&mut self, id: StreamId) -> Result<bool, StoreError> {
        Ok(run!(self, BEAT, &id.as_bytes()[..])? == 1)
    }

    pub(super) async fn update_owner(
        &mut self,
        id: StreamId,
        epoch: u64,
        owner: BootId,
    ) -> Result<Option<StreamRow>, StoreError> {
        let rows = rows!(
            self,
            Columns,
            CLAIM,
            &id.as_bytes()[..],
            stored(epoch),
            &owner.as_bytes()[..]
        )?;
        rows.into_iter().next().map(stream).transpose()
    }
}

pub(super) fn stream(
    (id, owner, epoch, beat, size, frontier, head): Columns,
) -> Result<StreamRow, StoreError> {
    Ok(StreamRow {
        id: StreamId::from_bytes(fixed(id, TABLE)?),
        owner: BootId::from_bytes(fixed(owner, TABLE)?),
        epoch: natural(epoch, TABLE)?,
        beat: natural(beat, TABLE)?,
        size: natural(size, TABLE)?,
        frontier,
        head,
    })
}
