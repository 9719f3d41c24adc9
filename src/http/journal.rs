//! One line a request in the server's own log: method, route, status, id, microseconds; never a path, a header or a body.
//! It is for operators; who did what is in the audit log, which this is not.
//!
//! Invariant: a flood of refused requests writes a bounded number of lines a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Method;
use tokio::time::Instant;

use crate::door::RequestId;

/// Lines about requests that were refused or failed in one second.
const REFUSED_LINES_MAX: u64 = 50;

/// Writes the lines.
pub(super) struct Journal {
    began: Instant,
    /// The second that is counted, and the refused requests in it.
    second: AtomicU64,
    refused: AtomicU64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            second: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl Journal {
    pub(super) fn write(
        &self,
        method: &Method,
        route: &'static str,
        status: u16,
        id: RequestId,
        took: Duration,
    ) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // A method may be any word; those that no route knows are one.
        let method = match method.as_str() {
            known @ ("GET" | "PUT" | "PATCH" | "POST" | "DELETE" | "HEAD" | "OPTIONS") => known,
            _ => "other",
        };
        if status < 400 {
            tracing::debug!(method, route, status, request_id = %id, us, "answered");
        } else if status < 500 && self.may_write() {
            tracing::info!(method, route, status, request_id = %id, us, "refused");
        } else if status >= 500 && self.may_write() {
            tracing::warn!(method, route, status, request_id = %id, us, "failed");
        }
    }

    fn may_write(&self) -> bool {
        let now = self.began.elapsed().as_secs();
        let last = self.second.swap(now, Ordering::Relaxed);
        if last != now {
            let unsaid = self
                .refused
                .swap(0, Ordering::Relaxed)
                .saturating_sub(REFUSED_LINES_MAX);
            if unsaid > 0 {
                tracing::info!(
                    requests = unsaid,
                    "more were refused in one second than are written down"
                );
            }
        }
        self.refused.fetch_add(1, Ordering::Relaxed) < REFUSED_LINES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_bounded() {
        let journal = Journal::default();
        assert_eq!((0..1_000).filter(|_| journal.may_write()).count(), 50);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..1_000).filter(|_| journal.may_write()).count(), 50);
    }
}
