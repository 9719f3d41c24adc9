//! What time it is: an argument of every decision, never asked for on the way.
//! The one place that reads the machine's clock; tests move it by hand, also in a built server.
//!
//! Invariant: in a release build nothing but the machine moves it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// The clock of a server.
#[derive(Debug, Default)]
pub struct Clock {
    /// Microseconds that a test has added.
    moved_us: AtomicI64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The instant it is now.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(micros.saturating_add(self.moved()))
    }

    /// An instant for measuring spans; nothing moves it.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn monotonic(&self) -> Instant {
        Instant::now()
    }

    /// Moves the clock by this many microseconds, from a test.
    #[cfg(debug_assertions)]
    pub fn advance_us(&self, micros: i64) {
        self.moved_us.fetch_add(micros, Ordering::SeqCst);
    }

    /// `COFFER_CLOCK_FILE` names a file that holds the microseconds by which a built server's clock is moved.
    #[cfg(debug_assertions)]
    fn moved(&self) -> i64 {
        use std::sync::LazyLock;
        static FILE: LazyLock<Option<std::ffi::OsString>> =
            LazyLock::new(|| std::env::var_os("COFFER_CLOCK_FILE"));
        let by_file = FILE
            .as_ref()
            .and_then(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
        self.moved_us
            .load(Ordering::SeqCst)
            .saturating_add(by_file.unwrap_or(0))
    }

    #[cfg(not(debug_assertions))]
    fn moved(&self) -> i64 {
        self.moved_us.load(Ordering::Relaxed)
    }
}
