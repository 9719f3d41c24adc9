//! A batch without changes: one statement, no lock.
//! If the world moved, the decisions it touched are made again, and a second statement stores the rest, which were true
//! in the first one's snapshot.
//!
//! Invariant: no more than two statements, however fast others write.

use super::follow::NOTES_MAX;
use super::{Fenced, Ledger, Next, Trouble};
use crate::door::draft::{Draft, Outcome};
use crate::door::history::Standing;
use crate::store::{Look, Stamp, StoreError};

impl Ledger {
    /// Stores the reads that wait.
    pub(super) async fn store_reads(&mut self) -> Result<(), Fenced> {
        let (drafts, tell) = self.shared.queue.take_reads().split();
        let tried = self.try_reads(&drafts).await;
        let outcomes = match tried {
            Ok(outcomes) => Ok(outcomes),
            Err(Trouble::Unstored(error)) => self.reads_one_by_one(&drafts, error).await,
            Err(trouble) => self.settle(trouble, drafts.len()).await,
        };
        match outcomes {
            Ok(outcomes) => {
                tell.answer(outcomes);
                Ok(())
            }
            Err(Settled { outcomes, fenced }) => {
                tell.answer(outcomes);
                Err(fenced)
            }
        }
    }

    /// A batch failed and nothing of it was stored: each draft by itself, so that only the one at fault fails.
    async fn reads_one_by_one(&mut self, drafts: &[Draft], error: StoreError) -> Result<Vec<Outcome>, Settled> {
        tracing::warn!(%error, drafts = drafts.len(), "a batch of reads was not stored");
        let mut outcomes = vec![Outcome::Lost; drafts.len()];
        self.recover_for(&mut outcomes).await?;
        if drafts.len() == 1 || self.main.is_none() {
            return Ok(outcomes);
        }
        // The cache was dropped with the connection: every decision is of an older generation, and is made again.
        outcomes.fill(Outcome::Again);
        Ok(outcomes)
    }

    pub(super) async fn try_reads(&mut self, drafts: &[Draft]) -> Result<Vec<Outcome>, Trouble> {
        if drafts.iter().any(|draft| self.shared.history.standing(&draft.relied) == Standing::Ahead) {
            self.catch_up().await?;
        }
        let mut outcomes = vec![Outcome::Again; drafts.len()];
        let Some(next) = self.gather_holding(drafts, &mut outcomes)? else { return Ok(outcomes) };
        let at = self.shared.history.at();
        let Some(main) = self.main.as_mut() else { return Err(Trouble::Unstored(StoreError::Lost)) };
        let first = main.store_reads(&next.batch(self.epoch), &at, Look::Unmoved, NOTES_MAX).await;
        let first = match first {
            Ok(first) => first,
            Err(error) => return Err(unknown(error, next)),
        };
        if first.stored {
            self.become_next(next);
            return Ok(outcomes);
        }
        if first.fenced {
            return Err(Trouble::Fenced(Some(Box::new(next))));
        }
        let seen = Stamp { seq: first.world.seq, mark: first.world.mark };
        self.follow(&first.world, first.notes)?;
        outcomes.fill(Outcome::Again);
        let Some(next) = self.gather_holding(drafts, &mut outcomes)? else { return Ok(outcomes) };
        let Some(main) = self.main.as_mut() else { return Err(Trouble::Unstored(StoreError::Lost)) };
        let second = main.store_reads(&next.batch(self.epoch), &seen, Look::Linked, NOTES_MAX).await;
        match second {
            Ok(second) if second.stored => {
                self.become_next(next);
                Ok(outcomes)
            }
            Ok(second) if second.fenced => Err(Trouble::Fenced(Some(Box::new(next)))),
            Ok(_) => {
                outcomes.fill(Outcome::Again);
                Ok(outcomes)
            }
            Err(error) => Err(unknown(error, next)),
        }
    }

    /// The drafts that hold, as the stream's next state; `None` when there is nothing to say.
    fn gather_holding(&self, drafts: &[Draft], outcomes: &mut [Outcome]) -> Result<Option<Next>, Trouble> {
        let holds = |draft: &&(usize, &Draft)| self.shared.history.standing(&draft.1.relied) == Standing::Holds;
        let numbered: Vec<_> = drafts.iter().enumerate().collect();
        let holding: Vec<_> = numbered.iter().filter(holds).copied().collect();
        if holding.is_empty() && self.matters.is_empty() {
            return Ok(None);
        }
        let seq = self.shared.history.at().seq;
        let all = self.matters.iter().chain(holding.iter().map(|(_, draft)| *draft));
        let next = Next::gather(&self.shared, &self.tree, self.last, seq, all)
            .map_err(|_| Trouble::Unstored(StoreError::Broken("a segment could not be sealed".to_owned())))?;
        for (index, _) in &holding {
            outcomes[*index] = Outcome::Stored;
        }
        for unfit in &next.unfit {
            if let Some((index, _)) = unfit.checked_sub(self.matters.len()).and_then(|at| holding.get(at)) {
                outcomes[*index] = Outcome::Full;
            }
        }
        Ok((next.segment.count > 0).then_some(next))
    }
}

/// Outcomes, and the end of this node.
pub(super) struct Settled {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) fenced: Fenced,
}

/// An autocommitting statement failed: unless the database itself said no, it may have happened.
fn unknown(error: StoreError, next: Next) -> Trouble {
    match error {
        StoreError::Lost => Trouble::Unknown(Box::new(next)),
        error => Trouble::Unstored(error),
    }
}
