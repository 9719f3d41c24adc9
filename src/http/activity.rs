//! How much is going on in a connection, and when it should end: a head that began has a time to be whole, and a
//! connection on which nothing is asked has a longer one. Both are looked at by one slow tick, so that a request arms no
//! timer of its own (advisory H8).
//!
//! Invariant: a request that runs is never cut off here, and whatever does not run ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::{HEADER_TIME_MAX, IDLE_STREAMS_TIME_MAX, IDLE_TIME_MAX};

/// How often a connection is looked at.
const TICK: Duration = Duration::from_millis(2_500);

const _: () = assert!(TICK.as_millis() * 4 <= HEADER_TIME_MAX.as_millis());

/// One connection's.
pub(super) struct Activity {
    /// How long nothing may be asked.
    idle_time_max: Duration,
    /// What [`Self::head_since`] is counted from.
    began: Instant,
    running: AtomicUsize,
    /// Requests that ever ran.
    begun: AtomicUsize,
    /// When the head that is not whole yet began to arrive, in milliseconds and one; 0 when none did.
    head_since: AtomicU64,
    /// Whether that head has a line `Content-Length`.
    says_length: AtomicBool,
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Over {
    /// Nothing was asked for a while.
    Idle,
    /// A head took too long.
    Slow,
}

impl Activity {
    /// A connection whose first head is awaited from now on.
    pub(super) fn awaiting_head() -> Arc<Self> {
        Arc::new(Self::new(1, IDLE_TIME_MAX))
    }

    /// A connection of HTTP/2, whose heads are bounded otherwise.
    pub(super) fn of_streams() -> Arc<Self> {
        Arc::new(Self::new(0, IDLE_STREAMS_TIME_MAX))
    }

    fn new(head_since: u64, idle_time_max: Duration) -> Self {
        Self {
            idle_time_max,
            began: Instant::now(),
            running: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            head_since: AtomicU64::new(head_since),
            says_length: AtomicBool::new(false),
        }
    }

    /// Whether bytes that arrive now are a head's: no request runs that they could be the body of.
    pub(super) fn is_waiting(&self) -> bool {
        self.running.load(Relaxed) == 0
    }

    /// Bytes of a head have arrived; whether they are its first.
    pub(super) fn head_arrives(&self) -> bool {
        let first = self.head_since.load(Relaxed) == 0;
        if first {
            let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.head_since.store(ms.saturating_add(1), Relaxed);
        }
        first
    }

    /// The head that arrives has a line `Content-Length`.
    pub(super) fn note_length(&self) {
        self.says_length.store(true, Relaxed);
    }

    /// A head is whole. Its request runs until what this gives is dropped; and whether the head had a length.
    pub(super) fn begin(self: &Arc<Self>) -> (Busy, bool) {
        self.begun.fetch_add(1, Relaxed);
        self.running.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        let says_length = self.says_length.load(Relaxed);
        if says_length {
            self.says_length.store(false, Relaxed);
        }
        (Busy(Arc::clone(self)), says_length)
    }

    /// Waits until the connection should end.
    pub(super) async fn over(&self) -> Over {
        let (mut begun, mut since) = (self.begun.load(Relaxed), Instant::now());
        loop {
            tokio::time::sleep(TICK).await;
            let so_far = self.begun.load(Relaxed);
            if !self.is_waiting() || so_far != begun {
                (begun, since) = (so_far, Instant::now());
            } else if let Some(arriving) = self.head_time() {
                if arriving >= HEADER_TIME_MAX {
                    return Over::Slow;
                }
            } else if since.elapsed() >= self.idle_time_max {
                return Over::Idle;
            }
        }
    }

    /// How long a head has been arriving.
    fn head_time(&self) -> Option<Duration> {
        let since = self.head_since.load(Relaxed).checked_sub(1)?;
        Some(
            self.began
                .elapsed()
                .saturating_sub(Duration::from_millis(since)),
        )
    }
}

/// One request of a connection.
pub(super) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long it takes from now until the connection is over, and why it is.
    async fn ends(activity: &Activity) -> (Duration, Over) {
        let began = Instant::now();
        let over = activity.over().await;
        (began.elapsed(), over)
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_an_end() {
        let activity = Activity::awaiting_head();
        drop(activity.begin());
        let (time, over) = ends(&activity).await;
        assert_eq!(over, Over::Idle);
        assert!((IDLE_TIME_MAX..=IDLE_TIME_MAX + TICK).contains(&time));
        let streams = Activity::of_streams();
        drop(streams.begin());
        let (time, over) = ends(&streams).await;
        assert_eq!(over, Over::Idle);
        let soon = IDLE_STREAMS_TIME_MAX..=IDLE_STREAMS_TIME_MAX + TICK;
        assert!(soon.contains(&time));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_keeps_its_connection() {
        let activity = Activity::awaiting_head();
        let (busy, _) = activity.begin();
        let long = tokio::time::timeout(10 * IDLE_TIME_MAX, activity.over());
        assert!(long.await.is_err(), "a request runs");
        let idle = tokio::time::timeout(IDLE_TIME_MAX - SECOND, activity.over());
        drop(busy);
        assert!(idle.await.is_err(), "it was busy until now");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_whole_in_time_or_the_end() {
        let slow = HEADER_TIME_MAX..=HEADER_TIME_MAX + TICK;
        let silent = Activity::awaiting_head();
        let (time, over) = ends(&silent).await;
        assert_eq!(over, Over::Slow);
        assert!(slow.contains(&time), "nothing since the handshake");

        let kept = Activity::awaiting_head();
        drop(kept.begin());
        advance(15 * SECOND).await;
        let alive = tokio::time::timeout(15 * SECOND, kept.over());
        assert!(alive.await.is_err(), "idle for 30 seconds is not too long");
        assert!(kept.head_arrives());
        let (time, over) = ends(&kept).await;
        assert_eq!(over, Over::Slow);
        assert!(slow.contains(&time), "a head that began");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_has_no_more_time() {
        let activity = Activity::of_streams();
        assert!(activity.head_arrives());
        let trickle = async {
            loop {
                tokio::time::sleep(SECOND).await;
                assert!(!activity.head_arrives());
            }
        };
        let began = Instant::now();
        tokio::select! {
            over = activity.over() => assert_eq!(over, Over::Slow),
            () = trickle => {}
        }
        assert!(began.elapsed() <= HEADER_TIME_MAX + TICK);
        let (_busy, _) = activity.begin();
        assert_eq!(activity.head_time(), None, "it is whole");
    }

    #[tokio::test]
    async fn a_length_belongs_to_one_head() {
        let activity = Activity::awaiting_head();
        activity.note_length();
        assert!(activity.begin().1);
        assert!(!activity.begin().1);
    }
}
