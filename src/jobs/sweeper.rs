//! Now and then the long dead are taken away, a step at a time: tokens, and then receipts.
//! Two nodes that sweep at once find the same rows, and the second finds none.
//!
//! Invariant: between two steps everybody else gets their turn.

use std::time::Duration;

use super::Beat;
use crate::door::{Door, Operation};
use crate::operations::sweep::{SweepReceipts, SweepTokens, Swept};

/// From one sweep to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(3600);

pub(super) async fn run(door: Door, mut beat: Beat) {
    while beat.next().await {
        sweep(&door, &beat, || SweepTokens).await;
        sweep(&door, &beat, || SweepReceipts).await;
    }
}

/// Until nothing is left, or something is in the way.
async fn sweep<O: Operation<Reply = Swept>>(door: &Door, beat: &Beat, step: impl Fn() -> O) {
    while !beat.is_over() {
        match door.run_system("sweeper", step()).await {
            Ok(answer) if answer.reply.left => {}
            Ok(_) => return,
            Err(refusal) => {
                let what = step().resource().text();
                return tracing::warn!(code = refusal.code(), what, "the dead were not swept");
            }
        }
    }
}
