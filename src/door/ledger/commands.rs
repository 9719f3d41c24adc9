//! A batch with changes: one transaction under the world's lock.
//! Decisions that a note or an earlier command of the batch has touched go back; one sent back twice is made here, on top
//! of the batch's own changes.
//!
//! Invariant: nothing runs between the head's move and COMMIT but the failpoints.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::follow::NOTES_MAX;
use super::reads::Settled;
use super::{Fenced, Ledger, Next, Trouble};
use crate::door::draft::{Command, Draft, Outcome};
use crate::door::history::Standing;
use crate::model::{Changes, Ref, WorldRow};
use crate::store::{Stamp, StoreError, Writer};

/// A batch under the lock.
struct Locked {
    writer: Arc<Mutex<Writer>>,
    world: WorldRow,
    accepted: Vec<Draft>,
    touched: HashSet<Ref>,
    unwritten: Changes,
    changed: bool,
}

impl Ledger {
    /// Commits the commands that wait, and the reads with them.
    pub(super) async fn commit(&mut self, writer: Writer, world: WorldRow) -> Result<(), Fenced> {
        let (commands, tell_commands) = self.shared.queue.take_commands().split();
        let (reads, tell_reads) = self.shared.queue.take_reads().split();
        let (count, read_count) = (commands.len(), reads.len());
        let alone = count == 1;
        let mut outcomes = vec![Outcome::Again; count];
        let mut read_outcomes = vec![Outcome::Again; read_count];
        let tried = self.try_commands(writer, world, commands, &reads, (&mut outcomes, &mut read_outcomes)).await;
        let settled = match tried {
            Ok(()) => Ok(()),
            Err(Trouble::Unstored(error)) => {
                tracing::warn!(%error, commands = count, "a batch of commands was not stored");
                // One by one: whoever is decided again meets the next batch; a command that failed alone has failed.
                outcomes.fill(if alone { Outcome::Lost } else { Outcome::Again });
                read_outcomes.fill(Outcome::Again);
                self.split_next = !alone;
                self.recover_quietly().await
            }
            Err(trouble) => match self.settle(trouble, count + read_count).await {
                Ok(settled) => {
                    spread(&settled, &mut outcomes, &mut read_outcomes);
                    Ok(())
                }
                Err(Settled { outcomes: settled, fenced }) => {
                    spread(&settled, &mut outcomes, &mut read_outcomes);
                    Err(fenced)
                }
            },
        };
        tell_commands.answer(outcomes);
        tell_reads.answer(read_outcomes);
        settled
    }

    async fn try_commands(
        &mut self,
        mut writer: Writer,
        world: WorldRow,
        commands: Vec<Command>,
        reads: &[Draft],
        (outcomes, read_outcomes): (&mut [Outcome], &mut [Outcome]),
    ) -> Result<(), Trouble> {
        let at = self.shared.history.at();
        if (world.seq, world.mark) != (at.seq, at.mark) {
            let notes = writer.list_notes(at.seq, NOTES_MAX).await.map_err(Trouble::Unstored)?;
            self.follow(&world, notes)?;
        }
        let mut batch = Locked::new(writer, world);
        for (command, outcome) in commands.into_iter().zip(outcomes.iter_mut()) {
            *outcome = match command {
                Command::Decided(draft) => batch.accept_if(self.shared.history.standing(&draft.relied), draft),
                Command::Deferred(deferred) => {
                    batch.write().await.map_err(Trouble::Unstored)?;
                    match deferred.decide(Arc::clone(&batch.writer)).await {
                        Ok(draft) => batch.accept(draft),
                        Err(_) => Outcome::Lost,
                    }
                }
            };
        }
        if !batch.changed {
            return self.without_changes(batch, reads, (outcomes, read_outcomes)).await;
        }
        self.conclude(batch, reads, (outcomes, read_outcomes)).await
    }

    /// Nothing remains to change: no lock is needed for what there is to say.
    async fn without_changes(
        &mut self,
        batch: Locked,
        reads: &[Draft],
        (outcomes, read_outcomes): (&mut [Outcome], &mut [Outcome]),
    ) -> Result<(), Trouble> {
        let (mut writer, accepted) = (batch.writer, batch.accepted);
        writer.lock().await.rollback().await.map_err(Trouble::Unstored)?;
        if let Some(writer) = Arc::get_mut(&mut writer).is_some().then(|| Arc::into_inner(writer)).flatten() {
            self.give_back(writer.into_inner());
        }
        let said: Vec<Draft> = accepted.iter().chain(reads).cloned().collect();
        if said.is_empty() {
            return Ok(());
        }
        if self.main.is_none() {
            return Err(Trouble::Unstored(StoreError::Lost));
        }
        let stored = self.try_reads(&said).await?;
        let (own, rest) = stored.split_at(accepted.len());
        for (outcome, own) in outcomes.iter_mut().filter(|outcome| **outcome == Outcome::Stored).zip(own) {
            *outcome = *own;
        }
        read_outcomes.copy_from_slice(rest);
        Ok(())
    }

    async fn conclude(
        &mut self,
        mut batch: Locked,
        reads: &[Draft],
        (outcomes, read_outcomes): (&mut [Outcome], &mut [Outcome]),
    ) -> Result<(), Trouble> {
        batch.write().await.map_err(Trouble::Unstored)?;
        let holding: Vec<usize> = (0..reads.len())
            .filter(|index| self.shared.history.standing(&reads[*index].relied) == Standing::Holds)
            .collect();
        let seq = batch.world.seq + 1;
        let mut refs: Vec<Ref> = batch.touched.iter().copied().collect();
        refs.sort_unstable();
        let bytes: Vec<u8> = refs.iter().flat_map(|at| *at.as_bytes()).collect();
        let mut nonce = [0; 16];
        self.shared.entropy.fill(&mut nonce);
        let mark = self.shared.keys.mark_mac().mark(&batch.world.mark, seq, &nonce, &bytes);
        let said = self.matters.iter().chain(holding.iter().map(|index| &reads[*index])).chain(&batch.accepted);
        let mut next = Next::gather(&self.shared, &self.tree, self.last, seq, said)
            .map_err(|_| Trouble::Unstored(StoreError::Broken("a segment could not be sealed".to_owned())))?;
        if !next.unfit.is_empty() {
            // A change without its record may not be: the whole batch goes back, and each alone.
            return Err(Trouble::Unstored(StoreError::Broken("a record is past its limits".to_owned())));
        }
        next.change = Some((Stamp { seq, mark }, refs.into_boxed_slice()));
        let world = WorldRow { seq, mark, prev: batch.world.mark, ..batch.world };
        let mut writer = batch.writer.lock().await;
        let moved = writer.conclude(&world, nonce, &bytes, &next.batch(self.epoch)).await.map_err(Trouble::Unstored)?;
        if !moved {
            // Whether this rollback arrives or not: the connection is thrown away, and nothing was committed.
            drop(writer);
            return Err(Trouble::Fenced(None));
        }
        if writer.commit().await.is_err() {
            return Err(Trouble::Unknown(Box::new(next)));
        }
        drop(writer);
        if let Some(writer) = Arc::into_inner(batch.writer) {
            self.give_back(writer.into_inner());
        }
        self.become_next(next);
        for index in holding {
            read_outcomes[index] = Outcome::Stored;
        }
        debug_assert!(outcomes.contains(&Outcome::Stored), "a batch with changes has a command that made them");
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
        let own = draft.relied.refs.iter().any(|(at, _)| self.touched.contains(at));
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
}

fn spread(settled: &[Outcome], outcomes: &mut [Outcome], read_outcomes: &mut [Outcome]) {
    let one = settled.first().copied().unwrap_or(Outcome::Lost);
    // What had been sent back anyway stays so; only those that were in the batch share its fate.
    for outcome in outcomes.iter_mut().filter(|outcome| **outcome == Outcome::Stored) {
        *outcome = one;
    }
    read_outcomes.fill(if one == Outcome::Stored { Outcome::Again } else { one });
}
