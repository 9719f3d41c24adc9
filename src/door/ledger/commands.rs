//! A batch with changes: one transaction under the world's lock.
//! Decisions that a note or an earlier command of the batch has touched go back; one sent back twice is made here, on top
//! of the batch's own changes.
//!
//! Invariant: nothing runs between the head's move and COMMIT but the failpoints.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::follow::notes_max;
use super::{Fenced, Ledger, Next, Trouble, check_schema};
use crate::door::draft::{Command, Draft, Outcome};
use crate::door::facts::Fact;
use crate::door::history::Standing;
use crate::model::{Changes, Ref, WorldRow};
use crate::store::{Stamp, StoreError, Writer};

/// Notes are pruned every so many changes.
const PRUNE_EVERY: u64 = 512;
/// Changes whose notes are kept.
pub(in crate::door) const NOTES_KEPT: u64 = 1_000_000;

/// A batch under the lock.
struct Locked {
    writer: Arc<Mutex<Writer>>,
    world: WorldRow,
    accepted: Vec<Draft>,
    touched: HashSet<Ref>,
    unwritten: Changes,
    changed: bool,
}

/// What becomes of commands and of the reads that ride with them.
struct Outcomes {
    commands: Vec<Outcome>,
    reads: Vec<Outcome>,
}

impl Ledger {
    /// Commits the commands that wait, and the reads with them.
    pub(super) async fn commit(&mut self, writer: Writer, world: WorldRow) -> Result<(), Fenced> {
        let (commands, tell_commands) = self.shared.queue.take_commands().split();
        let (reads, tell_reads) = self.shared.queue.take_reads().split();
        let alone = commands.len() == 1;
        let mut outcomes = Outcomes {
            commands: vec![Outcome::Again; commands.len()],
            reads: vec![Outcome::Again; reads.len()],
        };
        let settled = if self.one_by_one {
            self.one_by_one = false;
            self.commit_each((writer, world), commands, &mut outcomes)
                .await
        } else {
            match self
                .try_commands(writer, world, commands, &reads, &mut outcomes)
                .await
            {
                Ok(()) => Ok(()),
                Err(trouble) => {
                    // A batch failed of which nothing is stored: those who come back go one by one.
                    self.one_by_one = matches!(trouble, Trouble::Unstored(_)) && !alone;
                    self.settle(
                        trouble,
                        &mut [&mut outcomes.commands, &mut outcomes.reads],
                        alone,
                    )
                    .await
                }
            }
        };
        let counted = &self.shared.metrics.ledger;
        tell_commands.answer(outcomes.commands, &counted.changes);
        tell_reads.answer(outcomes.reads, &counted.reads);
        settled
    }

    /// Each command in a transaction of its own, so that the one at fault fails alone.
    async fn commit_each(
        &mut self,
        (writer, world): (Writer, WorldRow),
        commands: Vec<Command>,
        outcomes: &mut Outcomes,
    ) -> Result<(), Fenced> {
        let mut locked = Some((writer, world));
        for (command, outcome) in commands.into_iter().zip(&mut outcomes.commands) {
            let Some((writer, world)) = (match locked.take() {
                Some(locked) => Some(locked),
                None => self.lock_again().await,
            }) else {
                continue;
            };
            let mut one = Outcomes {
                commands: vec![Outcome::Again],
                reads: Vec::new(),
            };
            if let Err(trouble) = self
                .try_commands(writer, world, vec![command], &[], &mut one)
                .await
            {
                let settled = self.settle(trouble, &mut [&mut one.commands], true).await;
                *outcome = one.commands[0];
                settled?;
            }
            *outcome = one.commands[0];
        }
        if let Some((mut writer, _)) = locked
            && writer.rollback().await.is_ok()
        {
            self.give_back(writer);
        }
        Ok(())
    }

    /// One command under a lock that is held already, before anything is served.
    pub(super) async fn commit_one(
        &mut self,
        writer: Writer,
        world: WorldRow,
        command: Command,
    ) -> Result<Outcome, StoreError> {
        let mut one = Outcomes {
            commands: vec![Outcome::Again],
            reads: Vec::new(),
        };
        match self
            .try_commands(writer, world, vec![command], &[], &mut one)
            .await
        {
            Ok(()) => Ok(one.commands[0]),
            Err(Trouble::Unstored(error)) => Err(error),
            Err(Trouble::Unknown(_) | Trouble::Fenced(_) | Trouble::Ended(_)) => {
                Err(StoreError::Lost)
            }
        }
    }

    async fn lock_again(&mut self) -> Option<(Writer, WorldRow)> {
        let mut writer = match self.take_idle() {
            Some(writer) => writer,
            None => self.shared.store.writer().await.ok()?,
        };
        match writer.lock().await {
            Ok(world) => Some((writer, world)),
            Err(error) => {
                tracing::warn!(%error, "the world's lock was not granted");
                None
            }
        }
    }

    async fn try_commands(
        &mut self,
        mut writer: Writer,
        world: WorldRow,
        commands: Vec<Command>,
        reads: &[Draft],
        outcomes: &mut Outcomes,
    ) -> Result<(), Trouble> {
        check_schema(&world)?;
        let at = self.shared.history.at();
        if (world.seq, world.mark) != (at.seq, at.mark) {
            let (notes, _) = writer
                .list_notes(&at, notes_max())
                .await
                .map_err(Trouble::Unstored)?;
            self.follow(&world, notes)?;
        }
        let mut batch = Locked::new(writer, world);
        for (command, outcome) in commands.into_iter().zip(&mut outcomes.commands) {
            *outcome = match command {
                Command::Decided(draft) => {
                    batch.accept_if(self.shared.history.standing(&draft.relied), *draft)
                }
                Command::Deferred(deferred) => {
                    batch.write().await.map_err(Trouble::Unstored)?;
                    match deferred.decide(Arc::clone(&batch.writer)).await {
                        Ok(draft) => batch.accept(draft),
                        Err(_) => Outcome::Lost,
                    }
                }
            };
        }
        if batch.changed {
            self.conclude(batch, reads, outcomes).await
        } else {
            self.without_changes(batch, reads, outcomes).await
        }
    }

    /// Nothing remains to change: no lock is needed for what there is to say.
    async fn without_changes(
        &mut self,
        batch: Locked,
        reads: &[Draft],
        outcomes: &mut Outcomes,
    ) -> Result<(), Trouble> {
        let accepted = batch.accepted;
        let mut writer = released(batch.writer)?;
        writer.rollback().await.map_err(Trouble::Unstored)?;
        self.give_back(writer);
        let said: Vec<Draft> = accepted.iter().chain(reads).cloned().collect();
        if said.is_empty() {
            return Ok(());
        }
        let mut told = vec![Outcome::Again; said.len()];
        let tried = self.try_reads(&said, &mut told).await;
        let (own, rest) = told.split_at(accepted.len());
        for (outcome, own) in outcomes
            .commands
            .iter_mut()
            .filter(|outcome| **outcome == Outcome::Stored)
            .zip(own)
        {
            *outcome = *own;
        }
        outcomes.reads.copy_from_slice(rest);
        tried
    }

    async fn conclude(
        &mut self,
        mut batch: Locked,
        reads: &[Draft],
        outcomes: &mut Outcomes,
    ) -> Result<(), Trouble> {
        batch.write().await.map_err(Trouble::Unstored)?;
        for (read, outcome) in reads.iter().zip(&mut outcomes.reads) {
            let holds = self.shared.history.standing(&read.relied) == Standing::Holds;
            *outcome = if holds {
                Outcome::Stored
            } else {
                Outcome::Again
            };
        }
        let seq = batch.world.seq + 1;
        let refs = batch.refs();
        let bytes: Vec<u8> = refs.iter().flat_map(|at| *at.as_bytes()).collect();
        let mut nonce = [0; 16];
        self.shared.entropy.fill(&mut nonce);
        let mark = self
            .shared
            .keys
            .mark_mac()
            .mark(&batch.world.mark, seq, &nonce, &bytes);
        let holding = reads
            .iter()
            .zip(&outcomes.reads)
            .filter(|(_, outcome)| **outcome == Outcome::Stored);
        let said = self
            .matters
            .iter()
            .chain(holding.map(|(read, _)| read))
            .chain(&batch.accepted);
        let mut next = self.gather(seq, said)?;
        if !next.unfit.is_empty() {
            // A change without its record may not be: the whole batch goes back.
            return Err(Trouble::Unstored(StoreError::Broken(
                "a record is past its limits".to_owned(),
            )));
        }
        next.change = Some((Stamp { seq, mark }, refs));
        next.learned = learned(std::mem::take(&mut batch.accepted));
        let world = WorldRow {
            seq,
            mark,
            prev: batch.world.mark,
            ..batch.world
        };
        let mut writer = released(batch.writer)?;
        if seq.is_multiple_of(PRUNE_EVERY) {
            writer
                .prune_notes(seq.saturating_sub(NOTES_KEPT))
                .await
                .map_err(Trouble::Unstored)?;
        }
        let began = self.shared.clock.monotonic();
        let moved = writer
            .conclude(&world, nonce, &bytes, &next.batch(self.epoch))
            .await
            .map_err(Trouble::Unstored)?;
        if !moved {
            // The connection is thrown away with its transaction: nothing was committed.
            return Err(Trouble::Fenced(None));
        }
        if let Err(error) = writer.commit().await {
            tracing::warn!(%error, "a commit's outcome is not known");
            return Err(Trouble::Unknown(Box::new(next)));
        }
        let took = self.shared.clock.monotonic().duration_since(began);
        self.shared.metrics.ledger.changes.committed.observe(took);
        self.give_back(writer);
        self.become_next(next);
        Ok(())
    }
}

impl Locked {
    fn new(writer: Writer, world: WorldRow) -> Self {
        Self {
            writer: Arc::new(Mutex::new(writer)),
            world,
            accepted: Vec::new(),
            touched: HashSet::new(),
            unwritten: Changes::default(),
            changed: false,
        }
    }

    /// Accepts a draft that neither a note nor an earlier command of this batch has touched.
    fn accept_if(&mut self, standing: Standing, draft: Draft) -> Outcome {
        let own = draft
            .relied
            .refs
            .iter()
            .any(|(at, _)| self.touched.contains(at));
        if standing != Standing::Holds || own {
            return Outcome::Again;
        }
        self.accept(draft)
    }

    fn accept(&mut self, draft: Draft) -> Outcome {
        self.touched.extend(draft.changes.touched.iter().copied());
        self.changed |= !draft.changes.is_empty();
        self.unwritten.merge(&draft.changes);
        self.accepted.push(draft);
        Outcome::Stored
    }

    /// Writes what was accepted so far.
    async fn write(&mut self) -> Result<(), StoreError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let changes = std::mem::take(&mut self.unwritten);
        self.writer.lock().await.write(&changes).await
    }

    fn refs(&self) -> Box<[Ref]> {
        let mut refs: Vec<Ref> = self.touched.iter().copied().collect();
        refs.sort_unstable();
        refs.into_boxed_slice()
    }
}

/// What is known once a batch is true. Of what it touched more than once only the last counts: an earlier fact that was
/// seen, for however short a time, would pass for the batch's own result.
fn learned(accepted: Vec<Draft>) -> HashMap<Ref, Fact> {
    let mut learned = HashMap::new();
    for draft in accepted {
        for touched in &draft.changes.touched {
            learned.remove(touched);
        }
        learned.extend(draft.learned.0);
    }
    learned
}

/// The writer, from which every view of the batch is gone by now.
fn released(writer: Arc<Mutex<Writer>>) -> Result<Writer, Trouble> {
    let held = || {
        Trouble::Unstored(StoreError::Broken(
            "a decision outlived its batch".to_owned(),
        ))
    };
    Arc::into_inner(writer)
        .map(Mutex::into_inner)
        .ok_or_else(held)
}

impl Ledger {
    /// Gathers drafts behind the tree as it stands.
    pub(super) fn gather<'a>(
        &self,
        seq: u64,
        drafts: impl IntoIterator<Item = &'a Draft>,
    ) -> Result<Next, Trouble> {
        Next::gather(&self.shared, &self.tree, self.last, seq, drafts).map_err(|_| {
            Trouble::Unstored(StoreError::Broken(
                "a segment could not be sealed".to_owned(),
            ))
        })
    }
}
