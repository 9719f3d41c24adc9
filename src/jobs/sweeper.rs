//! Now and then the long dead are taken away, a step at a time.
//! Two nodes that sweep at once find the same rows, and the second finds none.
//!
//! Invariant: between two steps everybody else gets their turn.

use std::time::Duration;

use super::Beat;
use crate::door::Door;
use crate::operations::sweep::SweepTokens;

/// From one sweep to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(3600);

pub(super) async fn run(door: Door, mut beat: Beat) {
    while beat.next().await {
        while !beat.is_over() {
            match door.run_system("sweeper", SweepTokens).await {
                Ok(answer) if answer.reply.left => {}
                Ok(_) => break,
                Err(refusal) => {
                    tracing::warn!(code = refusal.code(), "dead tokens were not swept");
                    break;
                }
            }
        }
    }
}
