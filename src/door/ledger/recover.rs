//! Coming back after an error: a new connection, a claim that tells what happened, and a cache that begins empty.
//! Only the claim knows the outcome of a commit that was lost on its way: it waits for the lost transaction and fences it.
//!
//! Invariant: a draft is called stored only if its own records are found in the stream.

use super::{Fenced, HOLD, Ledger, Locking, Next, RETRY_AFTER, Trouble, check_schema};
use crate::config::Durability;
use crate::door::draft::Outcome;
use crate::door::segments::Opened;
use crate::fault::point;
use crate::model::{StreamRow, WorldRow};
use crate::store::{Connection, Stamp, StoreError, Writer};

const RECORDS_GONE: &str = "the head of its audit stream stands and the records below it are gone: the database was altered";

const ELSEWHERE: &str = "its audit stream is not where it left it: an older database may have been restored; start it again to be told more";

/// What the claim told.
enum Claimed {
    /// The stream is ours, and stands here.
    Ours(StreamRow, Writer),
    /// Somebody else owns it.
    Lost,
}

impl Ledger {
    /// Finds out what became of a batch in trouble, and tells the outcomes that were marked as stored.
    pub(super) async fn settle(
        &mut self,
        trouble: Trouble,
        outcomes: &mut [&mut Vec<Outcome>],
        alone: bool,
    ) -> Result<(), Fenced> {
        let (fate, ended) = self.find_fate(trouble, alone).await;
        let marked = outcomes.iter_mut().flat_map(|outcomes| outcomes.iter_mut());
        for outcome in marked.filter(|outcome| **outcome == Outcome::Stored) {
            *outcome = fate;
        }
        ended
    }

    async fn find_fate(&mut self, trouble: Trouble, alone: bool) -> (Outcome, Result<(), Fenced>) {
        // What an earlier claim told was of an earlier batch.
        self.told = None;
        match trouble {
            Trouble::Unstored(error) => {
                tracing::warn!(%error, "a batch was not stored");
                let recovered = self.recover_quietly().await;
                let fate = if alone || self.main.is_none() {
                    Outcome::Lost
                } else {
                    Outcome::Again
                };
                (fate, recovered)
            }
            Trouble::Unknown(next) => {
                self.pending = Some(next);
                let recovered = self.recover_for_some_time().await;
                (self.told.take().unwrap_or(Outcome::Lost), recovered)
            }
            Trouble::Ended(fenced) => (Outcome::Fenced, Err(fenced)),
            Trouble::Fenced(next) => {
                // An older batch of unknown outcome is still to be told.
                if next.is_some() {
                    self.pending = next;
                }
                let recovered = self.recover_for_some_time().await;
                let fate = self.told.take().unwrap_or(Outcome::Lost);
                (
                    if recovered.is_err() && fate == Outcome::Again {
                        Outcome::Fenced
                    } else {
                        fate
                    },
                    recovered,
                )
            }
        }
    }

    /// Tries once to come back; whoever waits meanwhile is refused if that fails.
    pub(super) async fn recover_quietly(&mut self) -> Result<(), Fenced> {
        self.recover().await?;
        if self.main.is_none() {
            self.refuse_all(Outcome::Lost);
        }
        Ok(())
    }

    /// Tries to come back for as long as clients are held.
    async fn recover_for_some_time(&mut self) -> Result<(), Fenced> {
        let begin = self.shared.clock.monotonic();
        loop {
            self.recover().await?;
            if self.main.is_some() || self.shared.clock.monotonic().duration_since(begin) > HOLD {
                return Ok(());
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// One try: a new connection, the claim, the end of everything known. What an earlier claim told of the same batch
    /// stands: the store may have been lost once more behind it.
    async fn recover(&mut self) -> Result<(), Fenced> {
        self.main = None;
        if let Locking::Waiting(waiting) = std::mem::replace(&mut self.locking, Locking::Idle(None))
        {
            // It only waits for the lock: nothing of ours is on its way there.
            waiting.abort();
        }
        match self.claim().await {
            Err(error) => {
                self.shared.metrics.claims.failed.one();
                tracing::warn!(%error, "the store cannot be reached");
                Ok(())
            }
            Ok(Claimed::Lost) => {
                self.shared.metrics.claims.lost.one();
                if self.told.is_none() {
                    self.told = Some(self.find_pending().await);
                }
                Err(Fenced(
                    "its audit stream belongs to another server now; no two servers may use one node name",
                ))
            }
            Ok(Claimed::Ours(row, writer)) => {
                self.shared.metrics.claims.held.one();
                self.resume(&row, writer).await
            }
        }
    }

    async fn claim(&self) -> Result<Claimed, StoreError> {
        self.shared.store.drop_idle_readers();
        let mut writer = self.shared.store.writer().await?;
        let row = writer
            .claim(self.shared.stream, self.epoch, self.shared.boot)
            .await?;
        Ok(row.map_or(Claimed::Lost, |row| Claimed::Ours(row, writer)))
    }

    async fn resume(&mut self, row: &StreamRow, mut writer: Writer) -> Result<(), Fenced> {
        self.epoch = row.epoch;
        match self.pending.take() {
            Some(mut next) if next.head == row.head => {
                // The claim waited for the disk, and for all before it.
                next.durability = Durability::Durable;
                // The head moves only with its segment; whoever took that away must not have it told as stored.
                match self.is_stored(writer.within(), &next).await {
                    Some(true) => {
                        self.told = Some(Outcome::Stored);
                        self.become_next(*next);
                    }
                    Some(false) => return Err(Fenced(RECORDS_GONE)),
                    None => {
                        self.pending = Some(next);
                        return Ok(());
                    }
                }
            }
            _ if row.head == self.head => {
                self.told.get_or_insert(Outcome::Again);
                self.mark_synced();
            }
            _ => match self.take_up(row, &mut writer).await {
                Ok(true) => drop(self.told.get_or_insert(Outcome::Again)),
                Ok(false) => return Err(Fenced(ELSEWHERE)),
                Err(error) => {
                    tracing::warn!(%error, "the store was lost again");
                    return Ok(());
                }
            },
        }
        match world_after_claim(&mut writer).await {
            Ok(Some(world)) => {
                check_schema(&world)?;
                self.shared.history.reset(
                    &self.shared.cache,
                    Stamp {
                        seq: world.seq,
                        mark: world.mark,
                    },
                );
                self.shared.metrics.cache.resets_by_reconnect.one();
                self.main = Some(writer);
                self.shared.mark_well();
                Ok(())
            }
            Ok(None) => Err(Fenced("the database holds no cluster any more")),
            Err(error) => {
                tracing::warn!(%error, "the store was lost again");
                Ok(())
            }
        }
    }

    /// The stream is somebody else's: whether a batch of ours got in before, by its own lines, in whatever segment.
    async fn find_pending(&mut self) -> Outcome {
        let Some(next) = self.pending.take() else {
            return Outcome::Again;
        };
        let Ok(mut reader) = self.shared.store.reader().await else {
            return Outcome::Lost;
        };
        match self.is_stored(&mut reader, &next).await {
            Some(true) => Outcome::Stored,
            Some(false) => Outcome::Fenced,
            None => Outcome::Lost,
        }
    }

    /// Whether the batch's own lines are in the stream where it would have put them; `None` when that cannot be seen.
    async fn is_stored(&self, connection: &mut Connection, next: &Next) -> Option<bool> {
        let stream = self.shared.stream;
        let rows = connection
            .list_segments(stream, next.before, 1)
            .await
            .ok()?;
        let Some(row) = rows.first() else {
            return Some(false);
        };
        let keys = &self.shared.keys;
        let ours = Opened::open(keys, &next.segment).ok()?;
        let theirs = Opened::open(keys, row).ok()?;
        let skipped = usize::try_from(next.before.saturating_sub(row.first)).ok()?;
        let mut theirs = theirs.lines().skip(skipped);
        Some(ours.lines().all(|line| theirs.next() == Some(line)))
    }
}

async fn world_after_claim(writer: &mut Writer) -> Result<Option<WorldRow>, StoreError> {
    point("after claim")?;
    writer.within().find_world().await
}
