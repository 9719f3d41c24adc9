//! What the ledger writes with: a batch without changes in one statement, a batch with changes in one transaction.
//! After any error but a lock not given, the writer is spent: drop it, open another, and claim.
//!
//! Invariant: no segment without its head, no head without its segment, and both only in the epoch that the caller owns.

use crate::config::Durability;
use crate::fault::point;
use crate::model::{BootId, Changes, SeenSegment, SegmentRow, StreamId, StreamRow, WorldRow};

use super::connection::{on, rows, run, stored};
use super::notes::{NoteRow, note};
use super::world::{self, Stamp, world as read_world};
use super::{Connection, Engine, StoreError};

/// A connection that writes.
pub struct Writer {
    connection: Connection,
    /// Whether SQLite's next commit waits for the disk. PostgreSQL's do, but for a statement that says otherwise of itself.
    waits: bool,
}

/// A batch's records and the head that covers them.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The log.
    pub stream: StreamId,
    /// The epoch in which it is ours.
    pub epoch: u64,
    /// How many records it holds before the batch.
    pub size: u64,
    /// Where it stands after the batch.
    pub after: NewHead<'a>,
    /// The batch's records.
    pub segment: &'a SegmentRow,
}

/// Where a log stands.
#[derive(Clone, Copy, Debug)]
pub struct NewHead<'a> {
    /// Its size in records.
    pub size: u64,
    /// The tree's right edge.
    pub frontier: &'a [u8],
    /// The signed head.
    pub head: &'a str,
}

/// What must be true of the world for a batch without changes to be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// It stands exactly where the batch was decided.
    Unmoved,
    /// It went through there: the batch was true in an earlier statement's snapshot.
    Linked,
}

/// What one statement did and saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadOutcome {
    /// The world, as the statement saw it.
    pub world: WorldRow,
    /// Whether the batch was stored.
    pub stored: bool,
    /// Whether the world stood where it should and the stream did not: it is not ours any more, or its size differs.
    pub fenced: bool,
    /// The notes above the expected change, at most as many as asked for.
    pub notes: Vec<NoteRow>,
    /// Whether the expected change with its mark is still there: as the world's own, or as a note.
    pub linked: bool,
    /// Whether there were more notes.
    pub truncated: bool,
}

impl Writer {
    pub(super) const fn new(connection: Connection) -> Self {
        Self {
            connection,
            waits: true,
        }
    }

    /// Whether it may be used again.
    pub const fn usable(&self) -> bool {
        self.connection.usable
    }

    /// Stores a batch without changes if the world still stands at `at` and the stream is ours; one statement that
    /// says what it saw, and is its own commit. It is the only one that may leave the disk for later.
    pub async fn store_reads(
        &mut self,
        batch: &Batch<'_>,
        at: &Stamp,
        look: Look,
        notes_max: u32,
        durability: Durability,
    ) -> Result<ReadOutcome, StoreError> {
        let waits = durability == Durability::Durable;
        self.set_waits(waits).await?;
        self.pass("before head")?;
        self.pass("in commit")?;
        let text = self.engine().store_reads();
        let rows = rows!(
            &mut self.connection,
            OutcomeColumns,
            text,
            &batch.stream.as_bytes()[..],
            stored(batch.epoch),
            stored(batch.size),
            stored(batch.after.size),
            batch.after.frontier,
            batch.after.head,
            stored(batch.segment.first),
            i64::from(batch.segment.count),
            stored(batch.segment.seq),
            &batch.segment.summary[..],
            &batch.segment.sealed[..],
            stored(at.seq),
            &at.mark[..],
            i64::from(notes_max) + 1,
            i64::from(look == Look::Linked),
            i64::from(!waits)
        )?;
        self.pass("after commit")?;
        self.pass("commit reported failed")?;
        outcome(rows, at, look, notes_max as usize)
    }

    /// Says where the world stands and, on PostgreSQL, that we live, unless the world is older than `at`; `None`
    /// when the stream is not ours any more.
    pub async fn probe(
        &mut self,
        stream: StreamId,
        epoch: u64,
        at: &Stamp,
    ) -> Result<Option<WorldRow>, StoreError> {
        let text = self.engine().probe();
        let rows = rows!(
            &mut self.connection,
            world::Columns,
            text,
            &stream.as_bytes()[..],
            stored(epoch),
            stored(at.seq)
        )?;
        rows.into_iter().next().map(read_world).transpose()
    }

    /// Claims a stream: ours by its epoch, or by this run of the server. It waits for a lost transaction of ours to
    /// end, and fences it; [`StoreError::LockWait`] while that one still runs: claim again. `None` when somebody else
    /// owns the stream.
    pub async fn claim(
        &mut self,
        stream: StreamId,
        epoch: u64,
        owner: BootId,
    ) -> Result<Option<StreamRow>, StoreError> {
        self.set_waits(true).await?;
        self.connection.update_owner(stream, epoch, owner).await
    }

    /// Opens a transaction and takes the world; the row is as it was before. [`StoreError::LockWait`] leaves the
    /// writer as it was.
    pub async fn lock(&mut self) -> Result<WorldRow, StoreError> {
        self.set_waits(true).await?;
        let rows = match self.engine() {
            Engine::Sqlite => {
                let rows = rows!(&mut self.connection, world::Columns, SQLITE_LOCK)?;
                self.connection.open = true;
                rows
            }
            Engine::Postgres => {
                self.begin().await?;
                match rows!(&mut self.connection, world::Columns, world::LOCK) {
                    Err(StoreError::LockWait) => {
                        // The transaction failed and holds nothing; the session is well.
                        self.connection.usable = true;
                        self.rollback().await?;
                        return Err(StoreError::LockWait);
                    }
                    rows => rows?,
                }
            }
        };
        read_world(rows.into_iter().next().ok_or_else(world::unfounded)?)
    }

    /// The notes after `after`, by change, and whether a note with exactly that change and mark is there. Under the
    /// lock it is a statement of its own: the one that waited looked with old eyes.
    pub async fn list_notes(
        &mut self,
        after: &Stamp,
        limit: u32,
    ) -> Result<(Vec<NoteRow>, bool), StoreError> {
        self.connection.list_notes(after, limit).await
    }

    /// Writes changes, as a few statements: first what is taken away, then the dead, then the living.
    pub async fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let connection = &mut self.connection;
        connection.delete_documents(&changes.dead_documents).await?;
        connection.delete_versions(&changes.dead_versions).await?;
        connection.delete_keys(&changes.dead_keys).await?;
        connection.delete_terms(&changes.dead_terms).await?;
        connection.insert_documents(&changes.documents).await?;
        connection.insert_versions(&changes.versions).await?;
        connection.update_data_keys(&changes.data_keys).await?;
        connection.insert_keys(&changes.keys).await?;
        if let Some(stream) = &changes.stream {
            connection.insert_stream(stream).await?;
        }
        Ok(())
    }

    /// Moves the head and writes the segment, the note and the world's mark; false when the head did not move,
    /// and then nothing of it was written: roll back.
    pub async fn conclude(
        &mut self,
        new_world: &WorldRow,
        nonce: [u8; 16],
        refs: &[u8],
        batch: &Batch<'_>,
    ) -> Result<bool, StoreError> {
        self.pass("before head")?;
        let text = self.engine().conclude();
        let rows = rows!(
            &mut self.connection,
            (i64,),
            text,
            &batch.stream.as_bytes()[..],
            stored(batch.epoch),
            stored(batch.size),
            stored(batch.after.size),
            batch.after.frontier,
            batch.after.head,
            stored(batch.segment.first),
            i64::from(batch.segment.count),
            stored(batch.segment.seq),
            &batch.segment.summary[..],
            &batch.segment.sealed[..],
            stored(new_world.seq),
            &new_world.mark[..],
            &new_world.prev[..],
            &nonce[..],
            refs
        )?;
        self.pass("after head")?;
        Ok(rows.first().is_some_and(|(told,)| *told == 1))
    }

    /// Puts one segment into the place of these, whose records it holds; false, and nothing is changed, when others lie
    /// within its range by now. It needs neither the world nor the stream's epoch: no record changes, and of two who do
    /// this the second finds other segments than it saw.
    pub async fn replace_segments(
        &mut self,
        seen: &[SeenSegment],
        merged: &SegmentRow,
    ) -> Result<bool, StoreError> {
        let range = merged.first..merged.first + u64::from(merged.count);
        self.begin().await?;
        let mut deleted = self.within().delete_segments(merged.stream, range).await?;
        deleted.sort_unstable();
        if deleted != seen {
            self.rollback().await?;
            return Ok(false);
        }
        self.within().insert_segment(merged).await?;
        self.pass("merged")?;
        self.commit().await?;
        Ok(true)
    }

    /// Deletes the oldest notes below a change, at most [`NOTES_PRUNED_MAX`](super::NOTES_PRUNED_MAX) changes of
    /// them, under the lock; how many.
    pub async fn prune_notes(&mut self, below_seq: u64) -> Result<u64, StoreError> {
        self.connection.delete_notes_below(below_seq).await
    }

    /// Brings whatever this database committed before to the disk, by a commit that waits for it: both write-ahead logs
    /// are synced from the front. False when the stream is not there.
    pub async fn sync(&mut self, stream: StreamId) -> Result<bool, StoreError> {
        self.set_waits(true).await?;
        self.connection.update_beat(stream).await
    }

    /// Commits. Let it run to its end: a future that is dropped looks like a rollback and is not.
    pub async fn commit(&mut self) -> Result<(), StoreError> {
        self.pass("in commit")?;
        run!(&mut self.connection, "COMMIT")?;
        self.connection.open = false;
        self.pass("after commit")?;
        self.pass("commit reported failed")
    }

    /// Rolls back.
    pub async fn rollback(&mut self) -> Result<(), StoreError> {
        run!(&mut self.connection, "ROLLBACK")?;
        self.connection.open = false;
        Ok(())
    }

    /// The finds, on this connection: under the lock they see the batch's own changes.
    pub const fn within(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Closes the connection in good order; dropping it does as well.
    pub async fn close(self) {
        self.connection.close().await;
    }

    /// Opens a transaction without taking the world, to found one.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.set_waits(true).await?;
        let begin = self.engine().begin();
        run!(&mut self.connection, begin)?;
        self.connection.open = true;
        Ok(())
    }

    const fn engine(&self) -> Engine {
        self.connection.engine()
    }

    /// Outside of any transaction.
    async fn set_waits(&mut self, waits: bool) -> Result<(), StoreError> {
        if self.waits != waits && self.engine() == Engine::Sqlite {
            let text = if waits { SQLITE_WAIT } else { SQLITE_WAIT_NOT };
            self.connection.run_anew(text).await?;
        }
        self.waits = waits;
        Ok(())
    }

    /// A failpoint; one that fails spends the writer, as a lost connection does.
    fn pass(&mut self, name: &'static str) -> Result<(), StoreError> {
        point(name).inspect_err(|_| self.connection.usable = false)?;
        Ok(())
    }
}

type OutcomeColumns = (
    Vec<u8>,
    i64,
    Vec<u8>,
    Vec<u8>,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
);

/// Each row repeats the world and carries one note, or none.
fn outcome(
    rows: Vec<OutcomeColumns>,
    at: &Stamp,
    look: Look,
    notes_max: usize,
) -> Result<ReadOutcome, StoreError> {
    let mut seen = None;
    let mut notes = Vec::new();
    for (cluster, seq, mark, prev, schema, stored, linked, note_seq, note_mark, nonce, refs) in rows
    {
        seen = Some(((cluster, seq, mark, prev, schema), stored == 1, linked > 0));
        notes.extend(note((note_seq, note_mark, nonce, refs))?);
    }
    let (columns, stored, linked) = seen.ok_or_else(world::unfounded)?;
    let world = read_world(columns)?;
    let truncated = notes.len() > notes_max;
    notes.truncate(notes_max);
    let stood = match look {
        Look::Unmoved => world.seq == at.seq && world.mark == at.mark,
        Look::Linked => linked,
    };
    let fenced = !stored && stood;
    Ok(ReadOutcome {
        world,
        stored,
        fenced,
        notes,
        linked,
        truncated,
    })
}

/// [`Engine::begin`] and [`world::LOCK`] as one script.
pub(super) const SQLITE_LOCK: &str = "
    BEGIN IMMEDIATE;
    UPDATE world SET seq = seq + 1 WHERE id = 1 RETURNING cluster, seq - 1, mark, prev, schema";

const SQLITE_WAIT: &str = "PRAGMA synchronous = FULL";
const SQLITE_WAIT_NOT: &str = "PRAGMA synchronous = NORMAL";
