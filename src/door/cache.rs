//! The node's memory of facts, by ref, bounded by weight.
//! It knows nothing of what is true: `history` says what may be put in and what must go.
//!
//! Invariant: an entry never changes; it is replaced or dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quick_cache::Weighter;

use super::facts::Fact;
use crate::model::Ref;
use crate::store::Stamp;

/// The most that the facts may weigh, in bytes.
const CACHE_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Facts expected at once.
const ENTRIES_EXPECTED: usize = 65_536;

/// A fact, and the change at which it was true.
pub(super) struct Entry {
    pub(super) at: Stamp,
    pub(super) fact: Fact,
    /// Whether `at` is known to lie on this node's own history.
    linked: AtomicBool,
}

impl Entry {
    pub(super) const fn new(at: Stamp, fact: Fact) -> Self {
        Self {
            at,
            fact,
            linked: AtomicBool::new(false),
        }
    }

    /// What this node itself has just made true.
    pub(super) const fn own(at: Stamp, fact: Fact) -> Self {
        Self {
            at,
            fact,
            linked: AtomicBool::new(true),
        }
    }

    pub(super) fn is_linked(&self) -> bool {
        self.linked.load(Ordering::Acquire)
    }

    pub(super) fn link(&self) {
        self.linked.store(true, Ordering::Release);
    }
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<Ref, Arc<Entry>> for ByWeight {
    fn weight(&self, _: &Ref, entry: &Arc<Entry>) -> u64 {
        entry.fact.weight()
    }
}

pub(super) struct Cache(quick_cache::sync::Cache<Ref, Arc<Entry>, ByWeight>);

impl Cache {
    pub(super) fn new() -> Self {
        Self(quick_cache::sync::Cache::with_weighter(
            ENTRIES_EXPECTED,
            CACHE_BYTES_MAX,
            ByWeight,
        ))
    }

    pub(super) fn find(&self, at: &Ref) -> Option<Arc<Entry>> {
        self.0.get(at)
    }

    pub(super) fn put(&self, at: Ref, entry: Arc<Entry>) {
        self.0.insert(at, entry);
    }

    pub(super) fn drop(&self, at: &Ref) {
        self.0.remove(at);
    }

    /// Drops the entry unless it was loaded at or after `seq`.
    pub(super) fn drop_older(&self, at: &Ref, seq: u64) {
        self.0.remove_if(at, |entry| entry.at.seq < seq);
    }

    /// How many facts there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// What they weigh, in bytes.
    pub(super) fn weight(&self) -> u64 {
        self.0.weight()
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }
}
