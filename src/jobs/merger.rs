//! Now and then this node's small segments are made large ones, when it has the time.
//! What the store did not do is tried again; what is not what was signed is left as it is.
//!
//! Invariant: between two merges everybody else gets their turn.

use std::time::Duration;

use super::Beat;
use crate::door::{Door, Merger};
use crate::fault::planted;
use crate::model::Refusal;

/// From one look to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(2);

/// Records of a merged segment: larger ones save little more, and are opened whole.
const RECORDS: u64 = 4_096;
/// The same where a test is not to write thousands.
const RECORDS_IN_TESTS: u64 = 16;

pub(super) async fn run(door: Door, mut beat: Beat) {
    let mut merger = door.merger(if planted("small segments") {
        RECORDS_IN_TESTS
    } else {
        RECORDS
    });
    while beat.next().await {
        let merged = merge(&mut merger, &beat).await;
        merger.rest().await;
        if let Err(refusal) = merged {
            tracing::warn!(code = refusal.code(), "segments were not merged");
        }
    }
}

async fn merge(merger: &mut Merger, beat: &Beat) -> Result<(), Refusal> {
    while !beat.is_over() && merger.is_time() && merger.merge().await? {}
    Ok(())
}
