//! Once a minute what never reached the door is summed up in a record.
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
        if counts.is_empty() {
            counts = door.take_counted();
        }
        if counts.is_empty() {
            continue;
        }
        match door
            .run_system(
                "door",
                RecordTurnedAway {
                    counts: counts.clone(),
                },
            )
            .await
        {
            Ok(_) => counts.clear(),
            Err(refusal) => tracing::warn!(
                code = refusal.code(),
                "requests turned away were not summed up"
            ),
        }
    }
}
