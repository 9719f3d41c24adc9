//! Now and then the records that are older than the retention are pruned, when somebody wants that.
//! What cannot be pruned stays as it is, and is tried again.
//!
//! Invariant: the principal of a pruning is exactly `system/retention`, which verifiers look for.

use std::time::Duration;

use super::Beat;
use crate::door::{Door, Pruner};
use crate::model::{Refusal, Ttl};
use crate::operations::audit::PruneRecords;

/// From one turn to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(3_600);

pub(super) async fn run(door: Door, retention: Ttl, mut beat: Beat) {
    let mut pruner = door.pruner(retention);
    while beat.next().await {
        match turn(&door, &mut pruner, || beat.is_over()).await {
            Ok(0) => {}
            Ok(records) => tracing::info!(records, "records older than the retention were pruned"),
            Err(Refusal::Tampered) => tracing::error!(
                "no records were pruned, for the log does not lead to its signed heads: run coffer-server check"
            ),
            Err(refusal) => tracing::warn!(code = refusal.code(), "records were not pruned"),
        }
    }
}

/// Prunes all that is old enough by now, unless it is to stop; how many records.
///
/// # Errors
/// The store does not answer, or the log does not lead to its signed heads.
pub async fn turn(
    door: &Door,
    pruner: &mut Pruner,
    is_over: impl Fn() -> bool,
) -> Result<u64, Refusal> {
    let mut pruned = 0;
    pruner.begin();
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
