//! Bearers as they were found out before: token, ancestors and principal, resolved once and asked again while they last.
//! It saves three look-ups a request and decides nothing: the refs go into the decision as if each had been looked up.
//!
//! Invariant: a bearer is given only while no ref that it was made from has changed, and before anything of it expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;

use super::facts::held;
use super::history::{History, Point};
use super::operation::Bearer;
use crate::model::{Ref, Timestamp, TokenId};

/// The most that they may weigh, in bytes.
const BEARERS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bearers expected at once.
const BEARERS_EXPECTED: usize = 4_096;

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

#[derive(Clone)]
struct ByWeight;

impl Weighter<TokenId, Arc<Resolved>> for ByWeight {
    fn weight(&self, _: &TokenId, resolved: &Arc<Resolved>) -> u64 {
        // The scopes of ancestors and principals are shared by many.
        let bytes = 512 + held(&resolved.bearer.token.scopes) + 25 * resolved.refs.len();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

pub(super) struct Bearers(quick_cache::sync::Cache<TokenId, Arc<Resolved>, ByWeight>);

impl Bearers {
    pub(super) fn new() -> Self {
        Self(quick_cache::sync::Cache::with_weighter(
            BEARERS_EXPECTED,
            BEARERS_BYTES_MAX,
            ByWeight,
        ))
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

    /// What they weigh, in bytes.
    pub(super) fn weight(&self) -> u64 {
        self.0.weight()
    }
}
