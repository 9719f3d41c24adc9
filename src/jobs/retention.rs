//! Now and then the records that are older than the retention are pruned, when somebody wants that.
//! What cannot be pruned stays as it is, and is tried again.
//!
//! Invariant: the principal of a pruning is exactly `system/retention`, which verifiers look for.

use std::time::Duration;

use super::Beat;
use crate::door::{Door, Pruner};
use crate::model::{Refusal, Ttl};
use crate::operations::audit::PruneRecords;

/// From one look at the clock to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(3_600);
/// One turn of so many looks again at what was pruned before.
const TURNS_OF_ONE_AGAIN: i64 = 7;

/// A turn a day, for each goes through the whole log; the first within the hour.
pub(super) async fn run(door: Door, retention: Ttl, mut beat: Beat) {
    let mut pruner = door.pruner(retention);
    let mut last = None;
    while beat.next().await {
        let day = door.now().micros() / Ttl::days(1).micros();
        if last.replace(day) == Some(day) {
            continue;
        }
        let again = day % TURNS_OF_ONE_AGAIN == 0;
        match turn(&door, &mut pruner, again, || beat.is_over()).await {
            Ok(0) => {}
            Ok(records) => tracing::info!(records, "records older than the retention were pruned"),
            Err(Refusal::Tampered) => tracing::error!(
                "no records were pruned, for the log does not lead to its signed heads: run coffer-server check"
            ),
            Err(refusal) => tracing::warn!(code = refusal.code(), "records were not pruned"),
        }
    }
}

/// Prunes all that is old enough by now, unless it is to stop; of what was pruned before, `again` what died since. How many
/// records.
///
/// # Errors
/// The store does not answer, or the log does not lead to its signed heads.
pub async fn turn(
    door: &Door,
    pruner: &mut Pruner,
    again: bool,
    is_over: impl Fn() -> bool,
) -> Result<u64, Refusal> {
    let mut pruned = 0;
    pruner.begin(again);
    while !is_over()
        && let Some(mut plan) = pruner.plan().await?
    {
        while !is_over()
            && let Some(cut) = pruner.next_cut(&mut plan).await?
        {
            door.run_system("retention", PruneRecords::of(&cut)).await?;
            let records = cut.records();
            if pruner.carry_out(cut).await? {
                pruned += records;
            }
        }
    }
    Ok(pruned)
}
