//! Taking away what is long dead: tokens that have been expired or revoked for thirty days, and receipts whose day is over.
//! Until then a dead token is told from an unknown one, and a list can still show it.
//!
//! Invariant: only a document that says itself that it is dead is taken away, whatever the look-up columns say.

use crate::door::{Access, Cx, Decision, Operation, View};
use crate::model::{Action, Refusal, Resource, Timestamp, Ttl};

/// How long a dead token is kept.
pub const DEAD_TOKENS_KEPT: Ttl = Ttl::days(30);
/// Tokens that one decision takes away: two refs each, well below the thousand of a decision.
const TOKENS_SWEPT_MAX: u32 = 200;
/// Receipts that one decision takes away: a ref each.
const RECEIPTS_SWEPT_MAX: u32 = 500;

/// Takes long dead tokens away, so many at once. Run by the system part `sweeper`.
pub struct SweepTokens;

/// Takes receipts away whose day is over, so many at once. Run by the system part `sweeper`.
pub struct SweepReceipts;

/// What one step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swept {
    /// How many are gone now.
    pub dropped: u64,
    /// Whether there may be more.
    pub left: bool,
}

impl Swept {
    /// Of a page of `found`, of at most `max`, so many were dead. A page of lies in the look-up column must not be swept
    /// for ever.
    const fn of(found: usize, max: u32, dropped: usize) -> Self {
        Self {
            dropped: dropped as u64,
            left: found == max as usize && dropped > 0,
        }
    }
}

impl Operation for SweepTokens {
    const ACTION: Action = Action::Manage;
    const ACCESS: Access = Access::System;
    type Reply = Swept;

    fn resource(&self) -> Resource<'_> {
        Resource::TOKENS
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Swept>, Refusal> {
        let until =
            Timestamp::from_micros(cx.now.micros().saturating_sub(DEAD_TOKENS_KEPT.micros()));
        let found = view.list_due_tokens(until, TOKENS_SWEPT_MAX).await?;
        let dead: Vec<_> = found
            .iter()
            .filter(|token| token.died_at() <= until)
            .collect();
        let decision = Decision::new(Swept::of(found.len(), TOKENS_SWEPT_MAX, dead.len()));
        Ok(dead.into_iter().fold(decision, Decision::drop_token))
    }
}

impl Operation for SweepReceipts {
    const ACTION: Action = Action::Manage;
    const ACCESS: Access = Access::System;
    type Reply = Swept;

    fn resource(&self) -> Resource<'_> {
        Resource::RECEIPTS
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Swept>, Refusal> {
        let found = view.list_due_receipts(cx.now, RECEIPTS_SWEPT_MAX).await?;
        let over: Vec<_> = found
            .iter()
            .filter(|receipt| receipt.until <= cx.now)
            .collect();
        let decision = Decision::new(Swept::of(found.len(), RECEIPTS_SWEPT_MAX, over.len()));
        Ok(over.into_iter().fold(decision, Decision::drop_receipt))
    }
}
