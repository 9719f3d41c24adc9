//! What a server counts of itself, for Prometheus: each layer counts here, and `families` writes all of it down.
//! [`Metrics`] is the list of what is counted; what can be looked at when somebody asks is in [`Now`], and costs nothing
//! before.
//!
//! Invariant: counting takes no lock, allocates nothing and formats nothing; no label holds what a client has chosen.

mod families;
mod kinds;
mod process;
mod text;

pub use kinds::{Counter, Gauge, Histogram};
pub use process::open_files_max;
pub use text::Format;

use std::time::Duration;

use crate::model::Timestamp;

/// The statuses that are answered, the commonest first; what is not among them is counted as `other`.
pub const STATUSES: [u16; 18] = [
    200, 204, 201, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 429, 500, 503,
];

/// All that is counted.
#[derive(Default)]
pub struct Metrics {
    /// When this process began, in microseconds since 1970.
    started_us: i64,
    /// Requests and connections.
    pub http: Http,
    /// Batches, and decisions that were made again.
    pub ledger: Ledger,
    /// What was remembered, and what was not.
    pub cache: Cache,
    /// How this node's log came back after the store was lost.
    pub claims: Claims,
    /// Refreshes of OAuth connections.
    pub refreshes: Refreshes,
    /// Rotations that were due.
    pub rotations: Rotations,
    /// Segments of the log that were to be merged.
    pub merges: Merges,
}

/// Requests and connections.
#[derive(Default)]
pub struct Http {
    /// By route, then one for what led to none.
    routes: Box<[Route]>,
    refusals: Box<[Refusals]>,
    /// Connections that are open.
    pub open_connections: Gauge,
    /// Connections that were taken.
    pub taken: Counter,
    /// Connections past a limit, which were closed at once.
    pub turned_away: Counter,
}

/// A route's method and path.
pub type RouteLabels = (&'static str, &'static str);

struct Route {
    labels: RouteLabels,
    /// By [`STATUSES`], and the others.
    answered: [Counter; STATUSES.len() + 1],
    took: Histogram,
}

struct Refusals {
    code: &'static str,
    answered: Counter,
}

/// Batches, and decisions that were made again.
pub struct Ledger {
    /// Batches without changes.
    pub reads: Batches,
    /// Batches with changes.
    pub changes: Batches,
    /// Batches of reads that took a second statement, for others had changed something meanwhile.
    pub second_statements: Counter,
    /// Their records.
    pub second_statement_records: Counter,
    /// Decisions that were made again, over one snapshot.
    pub sent_back: Counter,
    /// Decisions that were made again after that.
    pub sent_back_again: Counter,
    /// Decisions that were made under the lock.
    pub deferred: Counter,
    /// Records of reads that a database had lost when it came back.
    pub lost: Counter,
    /// Records of this node's stream, by its last signed head.
    pub head: Gauge,
}

/// Batches of one kind.
pub struct Batches {
    /// Records of each that was stored.
    pub records: Histogram,
    /// How long the store took for each that was stored.
    pub committed: Histogram,
    /// How long the first request of each waited for its end.
    pub waited: Histogram,
}

/// What was remembered, and what was not.
#[derive(Default)]
pub struct Cache {
    /// Facts that came from memory.
    pub hits: Counter,
    /// Facts that were loaded.
    pub misses: Counter,
    /// Emptied because the change sequence did not go on from where this node stood.
    pub resets_by_history: Counter,
    /// Emptied because the store was lost and found again.
    pub resets_by_reconnect: Counter,
}

/// Claims of this node's own stream after the store was lost.
#[derive(Default)]
pub struct Claims {
    /// The stream is still this node's.
    pub held: Counter,
    /// Another server owns it.
    pub lost: Counter,
    /// The store could not be asked.
    pub failed: Counter,
}

/// Refreshes of OAuth connections.
#[derive(Default)]
pub struct Refreshes {
    /// New tokens are stored.
    pub refreshed: Counter,
    /// The provider refused.
    pub refused: Counter,
    /// There was no answer that says anything.
    pub failed: Counter,
    /// The answer came too late, or for nobody.
    pub superseded: Counter,
    /// Nothing was sent.
    pub not_sent: Counter,
    /// Connections that were due at the last look.
    pub due: Gauge,
}

/// Rotations that were due.
#[derive(Default)]
pub struct Rotations {
    /// A new version is there.
    pub rotated: Counter,
    /// None was made.
    pub failed: Counter,
}

/// Segments of the log that were to be merged.
#[derive(Default)]
pub struct Merges {
    /// One large one is in the place of small ones.
    pub merged: Counter,
    /// They are not what was signed, and stay.
    pub refused: Counter,
    /// The store did not do it; it is tried again.
    pub failed: Counter,
}

/// What is kept in memory because it may be needed again, in bytes. Each has a bound of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Facts.
    pub facts: u64,
    /// Bearers as they were found out before.
    pub bearers: u64,
    /// The last changes and what they touched.
    pub changes: u64,
    /// Batches of records that are not merged yet.
    pub batches: u64,
}

/// What is looked at when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Whether the root key is not in memory.
    pub sealed: bool,
    /// Whether requests can be recorded.
    pub ready: bool,
    /// Requests that are being answered.
    pub requests: u64,
    /// Facts in memory.
    pub cache_entries: u64,
    /// What is kept in memory, in bytes.
    pub memory: Memory,
    /// Pages of SQLite's write-ahead log that were not copied back at the last look.
    pub log_pages: u64,
    /// How often some of it was copied back.
    pub log_copied: u64,
    /// How often that failed.
    pub log_copies_failed: u64,
    /// Decisions without changes that wait for the ledger.
    pub waiting_reads: u64,
    /// Those with changes.
    pub waiting_changes: u64,
    /// Connections that are being refreshed.
    pub refreshing: u64,
    /// Requests that wait for that.
    pub refresh_waiters: u64,
}

impl Metrics {
    /// Counts nothing yet. `routes` are all there are, in the order of their numbers; `codes` are those of all refusals.
    pub fn new(
        routes: impl Iterator<Item = RouteLabels>,
        codes: impl Iterator<Item = &'static str>,
        started: Timestamp,
    ) -> Self {
        let nowhere = ("", "");
        Self {
            started_us: started.micros(),
            http: Http {
                routes: routes.chain([nowhere]).map(Route::new).collect(),
                refusals: codes.chain([OTHER]).map(Refusals::new).collect(),
                ..Http::default()
            },
            ..Self::default()
        }
    }
}

/// A status or a code that is not among the known ones.
const OTHER: &str = "other";

impl Http {
    /// A request was answered. What led to no route has a number behind the last one's.
    pub fn answered(&self, route: usize, status: u16, took: Duration) {
        let Some(route) = self.routes.get(route).or(self.routes.last()) else {
            return;
        };
        let known = STATUSES.iter().position(|known| *known == status);
        route.answered[known.unwrap_or(STATUSES.len())].one();
        route.took.observe(took);
    }

    /// A request was refused with this code.
    pub fn refused(&self, code: &str) {
        let known = self.refusals.iter().find(|known| known.code == code);
        if let Some(refusals) = known.or(self.refusals.last()) {
            refusals.answered.one();
        }
    }
}

impl Route {
    fn new(labels: RouteLabels) -> Self {
        Self {
            labels,
            answered: Default::default(),
            took: Histogram::of_time(),
        }
    }
}

impl Refusals {
    fn new(code: &'static str) -> Self {
        Self {
            code,
            answered: Counter::default(),
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        let batches = || Batches {
            records: Histogram::of_records(),
            committed: Histogram::of_time(),
            waited: Histogram::of_time(),
        };
        Self {
            reads: batches(),
            changes: batches(),
            second_statements: Counter::default(),
            second_statement_records: Counter::default(),
            sent_back: Counter::default(),
            sent_back_again: Counter::default(),
            deferred: Counter::default(),
            lost: Counter::default(),
            head: Gauge::default(),
        }
    }
}
