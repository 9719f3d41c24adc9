//! The pace of a request that goes step by step. While others ask, its steps are small, and there is room between them: they
//! wait for its commits, and on few cores for its computing as well.
//!
//! Invariant: who goes alone is not slowed.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::door::Door;

/// How long somebody who has asked counts as asking.
const ASKING_FOR: Duration = Duration::from_millis(100);
/// Between two steps, of what the step before took.
const REST: u32 = 3;
/// The same at most.
const REST_MAX: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct Pace {
    /// When the step that is under way began.
    began: Instant,
    /// Decisions that the door had made then, whoever asked for them.
    decided: u64,
    /// When somebody else was last seen.
    seen: Option<Instant>,
}

impl Pace {
    /// Of a request whose first step is done.
    pub(super) fn begin(door: &Door) -> Self {
        Self {
            began: Instant::now(),
            decided: door.decided(),
            seen: None,
        }
    }

    /// Rests behind a step, if others ask; whether they do.
    pub(super) async fn rest(&mut self, door: &Door) -> bool {
        let (now, decided) = (Instant::now(), door.decided());
        // One of them is the step itself.
        if decided.saturating_sub(self.decided) > 1 {
            self.seen = Some(now);
        }
        let asked = self
            .seen
            .is_some_and(|seen| now.duration_since(seen) < ASKING_FOR);
        if asked {
            let took = now.duration_since(self.began);
            sleep((took * REST).min(REST_MAX)).await;
        }
        self.decided = decided;
        self.began = Instant::now();
        asked
    }
}
