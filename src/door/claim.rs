//! A node that knows its stream again: by its last boot id at once, otherwise only if the stream stands still.
//! What it takes must stand under its signed head.
//!
//! Invariant: a stream that another server writes is never claimed.

use std::time::Duration;

use coffer_audit_log::{Frontier, VerifierKey, open_note};

use super::segments::open_summary;
use super::start::{StartError, Starting};
use crate::model::{BootId, Name, StreamEntry, StreamRow, Timestamp};

/// How long another owner's stream must stand still before it is claimed.
const LEASE: Duration = Duration::from_secs(6);
/// Looks at it meanwhile.
const LOOKS: u32 = 12;

/// Where the stream stands when the node takes it.
pub(super) struct Taken {
    pub(super) row: StreamRow,
    pub(super) tree: Frontier,
    pub(super) last: Timestamp,
}

/// Takes a stream: at once when its owner was this node's last run, otherwise only if it stands still.
pub(super) async fn claim(
    starting: &Starting,
    verifier: &VerifierKey,
    entry: &StreamEntry,
    before: Option<BootId>,
    boot: BootId,
) -> Result<Taken, StartError> {
    let row = find_stream(starting, entry).await?;
    if Some(row.owner) != before {
        stands_still(starting, entry, &row).await?;
    }
    let mut writer = starting.store.writer().await?;
    let claimed = writer.claim(entry.id, row.epoch, boot).await?;
    writer.close().await;
    let row = claimed.ok_or_else(|| in_use(&entry.node))?;
    let broken = || {
        StartError(format!(
            "The audit stream of the node {} does not stand under its signed head: the database was altered.",
            entry.node
        ))
    };
    let head = open_note(&row.head, verifier).map_err(|_| broken())?;
    let tree = Frontier::from_bytes(&row.frontier).map_err(|_| broken())?;
    let same = head.origin.stream.as_str() == entry.id.to_string()
        && (head.size, head.root) == (tree.size(), tree.root())
        && head.size == row.size;
    if !same {
        return Err(broken());
    }
    let last = last_time(starting, &row).await?.ok_or_else(broken)?;
    Ok(Taken { row, tree, last })
}

async fn find_stream(starting: &Starting, entry: &StreamEntry) -> Result<StreamRow, StartError> {
    let rows = starting.store.reader().await?.list_streams().await?;
    rows.into_iter().find(|row| row.id == entry.id).ok_or_else(|| {
        StartError(format!("The audit stream of the node {} is gone from the database; restore it from a backup.", entry.node))
    })
}

async fn stands_still(
    starting: &Starting,
    entry: &StreamEntry,
    first: &StreamRow,
) -> Result<(), StartError> {
    for _ in 0..LOOKS {
        tokio::time::sleep(LEASE / LOOKS).await;
        let now = find_stream(starting, entry).await?;
        if (now.epoch, now.beat, now.size) != (first.epoch, first.beat, first.size) {
            return Err(in_use(&entry.node));
        }
    }
    Ok(())
}

pub(super) fn in_use(node: &Name) -> StartError {
    StartError(format!(
        "Another coffer-server runs as the node {node} on this database; give each server a node name and a state directory of its own."
    ))
}

/// The time of a stream's last record.
async fn last_time(starting: &Starting, row: &StreamRow) -> Result<Option<Timestamp>, StartError> {
    let Some(index) = row.size.checked_sub(1) else {
        return Ok(Some(Timestamp::from_micros(0)));
    };
    let segments = starting
        .store
        .reader()
        .await?
        .list_segments(row.id, index, 1)
        .await?;
    let Some(segment) = segments.first() else {
        return Ok(None);
    };
    let place = (segment.first, segment.count);
    let summary = open_summary(&starting.keys, row.id, place, &segment.summary);
    Ok(summary.ok().map(|summary| summary.to))
}
