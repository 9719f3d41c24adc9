//! The node's own thread through the change sequence: up to where it has followed, and what changed last where.
//! A decision is checked against it before its record is stored; the cache is filled and emptied under its lock.
//!
//! Invariant: every note up to `seq` has been applied to the cache before `seq` is seen by anyone.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::cache::{Cache, Entry};
use crate::fault;
use crate::model::Ref;
use crate::store::Stamp;

/// Refs remembered with their last note; older notes are forgotten, whole changes at a time.
const REMEMBERED_REFS_MAX: usize = 262_144;

/// Where a decision begins: what it may take for granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Point {
    pub(super) generation: u64,
    pub(super) seq: u64,
}

/// What a decision relied on.
#[derive(Clone, Debug)]
pub(super) struct Relied {
    pub(super) point: Point,
    /// Each ref, and the change at which it was loaded.
    pub(super) refs: Vec<(Ref, u64)>,
    /// Where facts were loaded that the node has not followed to yet.
    pub(super) ahead: Vec<Stamp>,
}

/// What the history says of a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// True as of `seq`.
    Holds,
    /// It relied on something that has changed, or may have.
    Touched,
    /// It saw changes that this node has not followed to yet.
    Ahead,
}

pub(super) struct History {
    /// Read before `seq`, so that a decision that straddles a reset is of the old generation.
    generation: AtomicU64,
    seq: AtomicU64,
    inner: RwLock<Inner>,
}

struct Inner {
    at: Stamp,
    /// Notes from this one on are remembered.
    begin: u64,
    last: HashMap<Ref, u64>,
    changes: VecDeque<Change>,
    remembered: usize,
}

struct Change {
    at: Stamp,
    refs: Box<[Ref]>,
}

impl History {
    /// A history that begins here.
    pub(super) fn new(at: Stamp) -> Self {
        Self {
            generation: AtomicU64::new(1),
            seq: AtomicU64::new(at.seq),
            inner: RwLock::new(Inner::new(at)),
        }
    }

    pub(super) fn point(&self) -> Point {
        let generation = self.generation.load(Ordering::Acquire);
        Point {
            generation,
            seq: self.seq.load(Ordering::Acquire),
        }
    }

    /// The change followed to, and its mark.
    pub(super) fn at(&self) -> Stamp {
        self.read().at
    }

    /// Whether a decision still holds.
    pub(super) fn standing(&self, relied: &Relied) -> Standing {
        let inner = self.read();
        if relied.point.generation != self.generation.load(Ordering::Acquire) {
            return Standing::Touched;
        }
        for ahead in &relied.ahead {
            if ahead.seq > inner.at.seq {
                return Standing::Ahead;
            }
            if !inner.has(ahead) {
                return Standing::Touched;
            }
        }
        let as_of = relied.point.seq;
        if as_of == inner.at.seq {
            return Standing::Holds;
        }
        if inner.touched(as_of, &relied.refs) {
            Standing::Touched
        } else {
            Standing::Holds
        }
    }

    /// The change up to which none of these refs has changed since `since`; `None` when one has, or may have.
    pub(super) fn untouched(
        &self,
        generation: u64,
        since: u64,
        refs: &[(Ref, u64)],
    ) -> Option<u64> {
        let inner = self.read();
        let same = generation == self.generation.load(Ordering::Acquire);
        (same && !inner.touched(since, refs)).then_some(inner.at.seq)
    }

    /// Whether this node's history went through `at`.
    pub(super) fn has(&self, at: &Stamp) -> bool {
        self.read().has(at)
    }

    /// Follows one change: drops what it touched from the cache, unless that was loaded at or after it.
    pub(super) fn apply(&self, cache: &Cache, at: Stamp, refs: Box<[Ref]>) {
        let mut inner = self.write();
        for touched in &refs {
            cache.drop_older(touched, at.seq);
            inner.last.insert(*touched, at.seq);
        }
        inner.remember(Change { at, refs });
        inner.at = at;
        self.seq.store(at.seq, Ordering::Release);
    }

    /// Begins anew at `at`: everything known is forgotten, and every decision on its way is made again.
    pub(super) fn reset(&self, cache: &Cache, at: Stamp) {
        let mut inner = self.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        cache.clear();
        *inner = Inner::new(at);
        self.seq.store(at.seq, Ordering::Release);
    }

    /// Puts a loaded entry into the cache, unless a change of its ref has been followed that it had not seen.
    pub(super) fn admit(&self, cache: &Cache, generation: u64, at: Ref, entry: Arc<Entry>) {
        let inner = self.read();
        let seen = entry.at.seq;
        let newer = seen + 1 >= inner.begin && inner.last.get(&at).is_none_or(|last| *last <= seen);
        let same = self.generation.load(Ordering::Acquire) == generation;
        if (newer && same) || fault::planted("cache filled in the wrong order") {
            cache.put(at, entry);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(at: Stamp) -> Self {
        Self {
            at,
            begin: at.seq + 1,
            last: HashMap::new(),
            changes: VecDeque::new(),
            remembered: 0,
        }
    }

    /// Whether one of these refs has changed after `since` and after it was loaded, or may have.
    fn touched(&self, since: u64, refs: &[(Ref, u64)]) -> bool {
        let changed = |(at, seq): &(Ref, u64)| {
            let last = self.last.get(at);
            last.is_some_and(|last| *last > since.max(*seq))
        };
        since + 1 < self.begin || refs.iter().any(changed)
    }

    fn has(&self, at: &Stamp) -> bool {
        if at.seq == self.at.seq {
            return at.mark == self.at.mark;
        }
        let first = self
            .changes
            .front()
            .map_or(u64::MAX, |change| change.at.seq);
        let index = at
            .seq
            .checked_sub(first)
            .and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.changes.get(index))
            .is_some_and(|change| change.at.mark == at.mark)
    }

    fn remember(&mut self, change: Change) {
        self.remembered += change.refs.len();
        self.changes.push_back(change);
        while self.remembered > REMEMBERED_REFS_MAX {
            let Some(oldest) = self.changes.pop_front() else {
                break;
            };
            self.remembered -= oldest.refs.len();
            self.begin = oldest.at.seq + 1;
            for old in &oldest.refs {
                if self.last.get(old) == Some(&oldest.at.seq) {
                    self.last.remove(old);
                }
            }
        }
    }
}
