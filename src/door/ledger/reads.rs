//! A batch without changes: one statement, no lock.
//! If the world moved, the decisions it touched are made again, and a second statement stores the rest, which were true
//! in the first one's snapshot.
//!
//! Invariant: no more than two statements, however fast others write.

use super::follow::notes_max;
use super::{Fenced, Ledger, Next, Trouble, check_schema};
use crate::door::draft::{Draft, Outcome};
use crate::door::history::Standing;
use crate::fault;
use crate::store::{Look, ReadOutcome, Stamp, StoreError};

impl Ledger {
    /// Stores the reads that wait.
    pub(super) async fn store_reads(&mut self) -> Result<(), Fenced> {
        let (drafts, tell) = self.shared.queue.take_reads().split();
        let mut outcomes = vec![Outcome::Again; drafts.len()];
        let settled = match self.try_reads(&drafts, &mut outcomes).await {
            Ok(()) => Ok(()),
            Err(trouble) => {
                self.settle(trouble, &mut [&mut outcomes], drafts.len() == 1)
                    .await
            }
        };
        tell.answer(outcomes, &self.shared.metrics.ledger.reads);
        settled
    }

    /// Stores what holds of these drafts. On trouble, those that were in the batch are marked as stored: the caller
    /// finds out whether they are.
    pub(super) async fn try_reads(
        &mut self,
        drafts: &[Draft],
        outcomes: &mut [Outcome],
    ) -> Result<(), Trouble> {
        if drafts
            .iter()
            .any(|draft| self.shared.history.standing(&draft.relied) == Standing::Ahead)
        {
            self.catch_up().await?;
        }
        let at = self.shared.history.at();
        let Some(next) = self.gather_holding(drafts, outcomes, false)? else {
            return Ok(());
        };
        let (first, next) = self.send(next, &at, Look::Unmoved).await?;
        if first.stored {
            self.become_next(next);
            self.ended = check_schema(&first.world).err();
            return Ok(());
        }
        let seen = Stamp {
            seq: first.world.seq,
            mark: first.world.mark,
        };
        self.follow(&first.world, first.notes)?;
        let unvalidated = fault::planted("second statement unvalidated");
        let Some(next) = self.gather_holding(drafts, outcomes, unvalidated)? else {
            return Ok(());
        };
        let (second, next) = self.send(next, &seen, Look::Linked).await?;
        if second.stored {
            let counted = &self.shared.metrics.ledger;
            counted.second_statements.one();
            counted
                .second_statement_records
                .add(u64::from(next.segment.count));
            self.become_next(next);
        } else {
            outcomes.fill(Outcome::Again);
        }
        Ok(())
    }

    /// Sends one statement; a batch that the head refused is trouble, one that the world refused is not.
    async fn send(
        &mut self,
        mut next: Next,
        at: &Stamp,
        look: Look,
    ) -> Result<(ReadOutcome, Next), Trouble> {
        next.durability = self.durability();
        let batch = next.batch(self.epoch);
        let Some(main) = self.main.as_mut() else {
            return Err(Trouble::Unstored(StoreError::Lost));
        };
        let began = self.shared.clock.monotonic();
        let told = main
            .store_reads(&batch, at, look, notes_max(), next.durability)
            .await;
        match told {
            Ok(told) if told.fenced => Err(Trouble::Fenced(Some(Box::new(next)))),
            Ok(told) => {
                if told.stored {
                    let took = self.shared.clock.monotonic().duration_since(began);
                    self.shared.metrics.ledger.reads.committed.observe(took);
                }
                Ok((told, next))
            }
            // An autocommitting statement: unless the database itself said no, it may have happened.
            Err(StoreError::Lost) => Err(Trouble::Unknown(Box::new(next))),
            Err(error) => Err(Trouble::Unstored(error)),
        }
    }

    /// The drafts that hold, as the stream's next state; `None` when there is nothing to say. All of them where a
    /// test has planted that.
    fn gather_holding(
        &self,
        drafts: &[Draft],
        outcomes: &mut [Outcome],
        unvalidated: bool,
    ) -> Result<Option<Next>, Trouble> {
        outcomes.fill(Outcome::Again);
        let holds = |index: &usize| {
            unvalidated || self.shared.history.standing(&drafts[*index].relied) == Standing::Holds
        };
        let holding: Vec<usize> = (0..drafts.len()).filter(holds).collect();
        if holding.is_empty() && self.matters.is_empty() {
            return Ok(None);
        }
        let said = self
            .matters
            .iter()
            .chain(holding.iter().map(|index| &drafts[*index]));
        let next = self.gather(self.shared.history.at().seq, said)?;
        for index in &holding {
            outcomes[*index] = Outcome::Stored;
        }
        for unfit in &next.unfit {
            if let Some(index) = unfit
                .checked_sub(self.matters.len())
                .and_then(|at| holding.get(at))
            {
                outcomes[*index] = Outcome::Full;
            }
        }
        Ok((next.segment.count > 0).then_some(next))
    }
}
