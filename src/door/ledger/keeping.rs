//! The last head, kept outside of the database, so that an older database is noticed.
//!
//! Invariant: the ledger never waits for the state directory's disk while it serves.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Ledger;
use crate::door::kept::Kept;
use crate::door::state_dir::StateDir;

/// From one keeping of the head to the next.
const KEEP_EVERY: Duration = Duration::from_secs(1);

impl Ledger {
    /// Keeps the head at most once a second, and beside the ledger.
    pub(super) fn keep_head_sometimes(&mut self) {
        let now = self.shared.clock.monotonic();
        let idle = self.keeping.as_ref().is_none_or(JoinHandle::is_finished);
        if !idle || now.duration_since(self.kept.0) < KEEP_EVERY {
            return;
        }
        let kept = self.to_keep();
        if self.kept.1.as_ref() != Some(&kept) {
            self.kept = (now, Some(kept.clone()));
            let state_dir = Arc::clone(&self.state_dir);
            self.keeping = Some(tokio::task::spawn_blocking(move || keep(&state_dir, &kept)));
        }
    }

    /// Keeps the head at the end.
    pub(super) async fn keep_last_head(&mut self) {
        if let Some(keeping) = self.keeping.take() {
            keeping
                .await
                .expect("keeping a head neither panics nor is aborted");
        }
        keep(&self.state_dir, &self.to_keep());
    }

    fn to_keep(&self) -> Kept {
        Kept {
            head: self.head.clone(),
            synced: self.synced(),
        }
    }
}

fn keep(state_dir: &StateDir, kept: &Kept) {
    if let Err(error) = state_dir.keep_head(kept) {
        tracing::warn!(%error, "the last head could not be kept in the state directory");
    }
}
