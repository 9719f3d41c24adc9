//! Once a minute, and when the server stops, what never reached the door is summed up in a record.
//! A summary that could not be recorded is kept and tried again before the next.
//!
//! Invariant: a minute without such requests writes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Beat;
use crate::door::Door;
use crate::operations::turned_away::RecordTurnedAway;

/// From one summary to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

pub(super) async fn run(door: Door, mut beat: Beat) {
    let mut counts = BTreeMap::new();
    while beat.next().await {
        sum_up(&door, &mut counts).await;
    }
    // What was counted since the last summary would be forgotten with the process.
    sum_up(&door, &mut counts).await;
}

async fn sum_up(door: &Door, counts: &mut BTreeMap<String, String>) {
    if counts.is_empty() {
        *counts = door.take_counted();
    }
    if counts.is_empty() {
        return;
    }
    let summary = RecordTurnedAway {
        counts: counts.clone(),
    };
    match door.run_system("door", summary).await {
        Ok(_) => counts.clear(),
        Err(refusal) => tracing::warn!(
            code = refusal.code(),
            "requests turned away were not summed up"
        ),
    }
}
