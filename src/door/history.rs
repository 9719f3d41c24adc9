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

/// Refs remembered with their last note, and changes; older ones are forgotten, whole changes at a time.
const REMEMBERED_REFS_MAX: usize = 200_000;

/// Places of the table of refs: a power of two, of which seven eighths may be taken and more than half ever are not. So it
/// never grows, whatever was taken out before.
const TABLE_PLACES: usize = 1 << 19;
const _: () = assert!(REMEMBERED_REFS_MAX < TABLE_PLACES * 7 / 16);

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
    /// What each of them touched, one behind the other.
    refs: VecDeque<Ref>,
    /// What all of it has weighed at most: its room is never given back.
    weight: usize,
}

/// A change, and how many refs it touched.
struct Change {
    at: Stamp,
    count: usize,
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
    pub(super) fn apply(&self, cache: &Cache, at: Stamp, refs: &[Ref]) {
        let mut inner = self.write();
        for touched in refs {
            cache.drop_older(touched, at.seq);
        }
        inner.remember(at, refs);
        self.seq.store(at.seq, Ordering::Release);
    }

    /// Begins anew at `at`: everything known is forgotten, and every decision on its way is made again.
    pub(super) fn reset(&self, cache: &Cache, at: Stamp) {
        let mut inner = self.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        cache.clear();
        inner.forget(at);
        self.seq.store(at.seq, Ordering::Release);
    }

    /// What the memory for it weighs, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.read().weight
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
    /// There is room for all of it from the start on, which takes memory only once it is used: nobody waits for a table to
    /// grow.
    fn new(at: Stamp) -> Self {
        Self {
            at,
            begin: at.seq + 1,
            last: HashMap::with_capacity(TABLE_PLACES * 7 / 8),
            changes: VecDeque::with_capacity(REMEMBERED_REFS_MAX),
            refs: VecDeque::with_capacity(REMEMBERED_REFS_MAX),
            weight: 0,
        }
    }

    fn forget(&mut self, at: Stamp) {
        self.at = at;
        self.begin = at.seq + 1;
        self.last.clear();
        self.changes.clear();
        self.refs.clear();
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

    fn remember(&mut self, at: Stamp, refs: &[Ref]) {
        // Room for it first, so that no more is held than there is room for.
        while self.is_full_for(refs) && self.forget_oldest() {}
        for touched in refs {
            self.last.insert(*touched, at.seq);
        }
        self.refs.extend(refs);
        let count = refs.len();
        self.changes.push_back(Change { at, count });
        self.at = at;
        self.weight = self.weight.max(self.weighs());
    }

    fn is_full_for(&self, refs: &[Ref]) -> bool {
        self.refs.len() + refs.len() > REMEMBERED_REFS_MAX
            || self.changes.len() == REMEMBERED_REFS_MAX
    }

    /// Forgets one change; whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.changes.pop_front() else {
            return false;
        };
        self.begin = oldest.at.seq + 1;
        for old in self.refs.drain(..oldest.count) {
            if self.last.get(&old) == Some(&oldest.at.seq) {
                self.last.remove(&old);
            }
        }
        true
    }

    /// The table counts whole: its places lie in no order, and some thousands of refs have touched nearly all of its memory.
    fn weighs(&self) -> usize {
        let table = TABLE_PLACES * (size_of::<(Ref, u64)>() + 1);
        table + self.changes.len() * size_of::<Change>() + self.refs.len() * size_of::<Ref>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Ref {
        Ref::lease(&number.to_string())
    }

    fn stamp(seq: u64) -> Stamp {
        Stamp {
            seq,
            mark: [seq as u8; 32],
        }
    }

    /// A history that begins at change 1 and went through `changes` of two refs each.
    fn after(changes: u64) -> (History, Cache) {
        let (history, cache) = (History::new(stamp(1)), Cache::new());
        for seq in 2..changes + 2 {
            history.apply(&cache, stamp(seq), &[at(seq), at(seq % 7)]);
        }
        (history, cache)
    }

    fn relied(seq: u64, refs: &[u64]) -> Relied {
        Relied {
            point: Point { generation: 1, seq },
            refs: refs.iter().map(|number| (at(*number), seq)).collect(),
            ahead: Vec::new(),
        }
    }

    #[test]
    fn a_decision_holds_until_something_it_relied_on_changes() {
        let (history, cache) = after(100);
        assert_eq!(history.at(), stamp(101));
        for (seq, refs, standing) in [
            (50, &[][..], Standing::Holds),
            (50, &[50, 1_000], Standing::Holds),
            (50, &[1_000, 51], Standing::Touched),
            (100, &[101 % 7], Standing::Touched),
            (101, &[101], Standing::Holds),
        ] {
            assert_eq!(history.standing(&relied(seq, refs)), standing, "{seq}");
        }
        assert!(history.has(&stamp(60)) && history.has(&stamp(101)));
        let other = Stamp {
            mark: [0; 32],
            ..stamp(60)
        };
        assert!(!history.has(&other) && !history.has(&stamp(102)));
        history.reset(&cache, stamp(200));
        assert_eq!(history.standing(&relied(200, &[])), Standing::Touched);
        assert!(history.has(&stamp(200)) && !history.has(&stamp(101)));
        assert!(history.weight() > 0, "it keeps its room");
    }

    #[test]
    fn what_is_forgotten_may_have_changed_and_takes_no_memory() {
        let half = REMEMBERED_REFS_MAX as u64 / 2;
        let (few, _) = after(half);
        let (history, cache) = after(half + 1_000);
        let newest = half + 1_001;
        // The first change that is remembered is 1,002: what began before may have been touched by an earlier one.
        assert_eq!(
            history.standing(&relied(1_000, &[9_999_999])),
            Standing::Touched
        );
        assert_eq!(
            history.standing(&relied(1_001, &[9_999_999])),
            Standing::Holds
        );
        assert!(history.has(&stamp(1_002)) && !history.has(&stamp(1_001)));
        assert_eq!(
            history.standing(&relied(newest - 1, &[newest % 7])),
            Standing::Touched
        );
        assert!(history.weight().abs_diff(few.weight()) < 1_000);
        for seq in newest + 1..newest + 3 * half {
            history.apply(&cache, stamp(seq), &[at(seq), at(seq % 7)]);
        }
        // What the table counts as free places goes down with what was taken out, and comes back: only growing would double it.
        let room = history.read().last.capacity();
        assert!(room <= TABLE_PLACES * 7 / 8, "it never grows: {room}");

        let many: Vec<Ref> = (0..3 * half).map(at).collect();
        let last = newest + 3 * half;
        history.apply(&cache, stamp(last), &many);
        assert_eq!(
            history.standing(&relied(last - 1, &[2 * half])),
            Standing::Touched
        );
        assert_eq!(
            history.standing(&relied(last - 1, &[4 * half])),
            Standing::Holds
        );
        assert_eq!(
            history.standing(&relied(last - 2, &[4 * half])),
            Standing::Touched
        );
        history.apply(&cache, stamp(last + 1), &[at(1)]);
        assert_eq!(history.read().refs.len(), 1, "it is forgotten whole");
    }
}
