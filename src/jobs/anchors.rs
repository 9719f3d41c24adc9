//! Once a minute this node's stream writes down the heads of all streams.
//! A stream that vanished or shrank is missed by the next auditor who reads any other.
//!
//! Invariant: the principal of an anchor is exactly `system/streams`, which verifiers look for.

use std::time::Duration;

use super::Beat;
use crate::door::Door;
use crate::operations::audit::AnchorStreams;

/// From one anchor to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

pub(super) async fn run(door: Door, mut beat: Beat) {
    while beat.next().await {
        if let Err(refusal) = door.run_system("streams", AnchorStreams).await {
            tracing::warn!(code = refusal.code(), "the streams were not anchored");
        }
    }
}
