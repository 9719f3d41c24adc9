//! Bearers as they were found out before: token, ancestors and principal, resolved once and asked again while they last.
//! It saves three look-ups a request and decides nothing: the refs go into the decision as if each had been looked up.
//!
//! Invariant: a bearer is given only while no ref that it was made from has changed, and before anything of it expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::history::{History, Point};
use super::operation::Bearer;
use crate::model::{Ref, Timestamp, TokenId};

/// Bearers remembered.
const BEARERS_MAX: usize = 16_384;

/// A bearer, and what it was made from.
pub(super) struct Resolved {
    pub(super) bearer: Arc<Bearer>,
    /// Each ref, and the change at which it was loaded.
    pub(super) refs: Box<[(Ref, u64)]>,
    /// From when on something of it has expired.
    until: Timestamp,
    generation: u64,
    /// The change up to which nothing of it has changed.
    holds_at: AtomicU64,
}

impl Resolved {
    pub(super) fn new(
        point: Point,
        refs: Box<[(Ref, u64)]>,
        bearer: Arc<Bearer>,
        until: Timestamp,
    ) -> Self {
        Self {
            bearer,
            refs,
            until,
            generation: point.generation,
            holds_at: AtomicU64::new(point.seq),
        }
    }

    /// Whether it holds for a decision that begins at `point`.
    fn holds(&self, history: &History, point: Point, now: Timestamp) -> bool {
        if self.generation != point.generation || self.until <= now {
            return false;
        }
        let known = self.holds_at.load(Ordering::Acquire);
        if known >= point.seq {
            return true;
        }
        match history.untouched(self.generation, known, &self.refs) {
            Some(seq) => {
                self.holds_at.fetch_max(seq, Ordering::AcqRel);
                true
            }
            None => false,
        }
    }
}

pub(super) struct Bearers(quick_cache::sync::Cache<TokenId, Arc<Resolved>>);

impl Bearers {
    pub(super) fn new() -> Self {
        Self(quick_cache::sync::Cache::new(BEARERS_MAX))
    }

    pub(super) fn find(
        &self,
        history: &History,
        id: TokenId,
        point: Point,
        now: Timestamp,
    ) -> Option<Arc<Resolved>> {
        let resolved = self.0.get(&id)?;
        resolved.holds(history, point, now).then_some(resolved)
    }

    pub(super) fn put(&self, id: TokenId, resolved: Resolved) {
        self.0.insert(id, Arc::new(resolved));
    }
}
