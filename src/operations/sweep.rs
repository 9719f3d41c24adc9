//! Taking away what is long dead: tokens that have been expired or revoked for thirty days.
//! Until then a dead token is told from an unknown one, and a list can still show it.
//!
//! Invariant: only a document that says itself that it is dead is taken away, whatever the look-up columns say.

use crate::door::{Access, Cx, Decision, Operation, View};
use crate::model::{Action, Refusal, Resource, Timestamp, Ttl};

/// How long a dead token is kept.
pub const DEAD_TOKENS_KEPT: Ttl = Ttl::days(30);
/// Tokens that one decision takes away: two refs each, well below the thousand of a decision.
const SWEPT_MAX: u32 = 200;

/// Takes long dead tokens away, so many at once. Run by the system part `sweeper`.
pub struct SweepTokens;

/// What one step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swept {
    /// Tokens that are gone now.
    pub dropped: u64,
    /// Whether there may be more.
    pub left: bool,
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
        let found = view.list_due_tokens(until, SWEPT_MAX).await?;
        let full = found.len() == SWEPT_MAX as usize;
        let dead: Vec<_> = found
            .iter()
            .filter(|token| token.died_at() <= until)
            .collect();
        let dropped = dead.len() as u64;
        // A page of lies in the look-up column must not be swept for ever.
        let decision = Decision::new(Swept {
            dropped,
            left: full && dropped > 0,
        });
        Ok(dead.into_iter().fold(decision, Decision::drop_token))
    }
}
