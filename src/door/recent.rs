//! What this node has stored of its log lately, as it was stored: what merges segments takes them from here, and neither
//! reads them nor has to be shown that they are what was signed.
//!
//! Invariant: what is kept is in the log, one behind the other, and its end is the log's.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::SegmentRow;

/// What is kept at most, in bytes as stored: a quarter of a million records. The oldest go first, and are read when they
/// are merged.
const BYTES_MAX: usize = 16 << 20;
/// From here on merging is not put off any more.
const BYTES_MANY: usize = BYTES_MAX / 2;

/// See the module.
#[derive(Default)]
pub(super) struct Recent(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    rows: VecDeque<SegmentRow>,
    bytes: usize,
}

impl Recent {
    /// A batch was stored.
    pub(super) fn add(&self, row: SegmentRow) {
        let mut kept = self.lock();
        if kept.rows.back().is_some_and(|last| last.end() != row.first) {
            kept.clear();
        }
        kept.bytes += bytes(&row);
        kept.rows.push_back(row);
        while kept.bytes > BYTES_MAX {
            kept.pop();
        }
    }

    /// The log has lost its end.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Whether there is so much that it should be merged soon.
    pub(super) fn are_many(&self) -> bool {
        self.lock().bytes >= BYTES_MANY
    }

    /// What is kept, in bytes as stored.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Where what is kept from this index on lies: the first of each and how many. Nothing when it was not kept; what is
    /// before it is not kept any longer.
    pub(super) fn places_from(&self, at: u64) -> Option<Vec<(u64, u32)>> {
        let mut kept = self.lock();
        while kept.rows.front().is_some_and(|row| row.first < at) {
            kept.pop();
        }
        let begins = kept.rows.front().is_some_and(|row| row.first == at);
        begins.then(|| kept.rows.iter().map(|row| (row.first, row.count)).collect())
    }

    /// Takes the first so many, which begin at this index; nothing when they do not any more.
    pub(super) fn take(&self, at: u64, count: u32) -> Option<Vec<SegmentRow>> {
        let mut kept = self.lock();
        let begins = kept.rows.front().is_some_and(|row| row.first == at);
        let taken = (0..count).map_while(|_| kept.pop());
        let taken: Vec<SegmentRow> = begins.then(|| taken.collect())?;
        (taken.len() == count as usize).then_some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn pop(&mut self) -> Option<SegmentRow> {
        let row = self.rows.pop_front()?;
        self.bytes -= bytes(&row);
        Some(row)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

fn bytes(row: &SegmentRow) -> usize {
    size_of::<SegmentRow>() + row.summary.len() + row.sealed.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StreamId;

    fn row(first: u64, count: u32, bytes: usize) -> SegmentRow {
        SegmentRow {
            stream: StreamId::from_bytes([1; 16]),
            first,
            count,
            seq: 1,
            summary: vec![],
            sealed: vec![0; bytes],
        }
    }

    fn of(rows: &[(u64, u32)]) -> Recent {
        let recent = Recent::default();
        for (first, count) in rows {
            recent.add(row(*first, *count, 10));
        }
        recent
    }

    #[test]
    fn what_was_stored_is_taken_once_and_in_its_order() {
        let recent = of(&[(5, 2), (7, 1), (8, 3)]);
        assert_eq!(recent.places_from(4), None);
        assert_eq!(recent.places_from(5), Some(vec![(5, 2), (7, 1), (8, 3)]));
        assert_eq!(recent.take(5, 2), Some(vec![row(5, 2, 10), row(7, 1, 10)]));
        assert_eq!(recent.take(5, 1), None);
        assert_eq!(recent.places_from(7), None, "it is taken");
        assert_eq!(recent.places_from(8), Some(vec![(8, 3)]));
        assert_eq!(recent.take(8, 2), None, "there is one");
        assert_eq!(recent.places_from(8), None);
        let recent = of(&[(5, 2), (7, 1), (8, 3)]);
        assert_eq!(recent.places_from(6), None, "it begins within one");
        assert_eq!(
            recent.places_from(7),
            Some(vec![(7, 1), (8, 3)]),
            "what is before is gone"
        );
    }

    #[test]
    fn what_does_not_lie_behind_it_begins_anew() {
        let recent = of(&[(5, 2), (7, 1), (6, 4)]);
        assert_eq!(recent.places_from(5), None);
        assert_eq!(recent.places_from(6), Some(vec![(6, 4)]));
        recent.clear();
        assert_eq!(recent.places_from(6), None);
        recent.add(row(9, 1, 10));
        assert_eq!(recent.places_from(9), Some(vec![(9, 1)]));
    }

    #[test]
    fn the_oldest_go_when_there_is_too_much() {
        let recent = Recent::default();
        let large = BYTES_MAX / 4;
        for first in 0..3 {
            recent.add(row(first, 1, large));
            assert_eq!(recent.are_many(), first > 0);
        }
        assert_eq!(recent.places_from(0).map(|places| places.len()), Some(3));
        recent.add(row(3, 1, large));
        assert_eq!(recent.places_from(0), None);
        assert_eq!(recent.places_from(1).map(|places| places.len()), Some(3));
        recent.add(row(4, 1, 2 * BYTES_MAX));
        assert_eq!(
            (recent.places_from(4), recent.are_many()),
            (None, false),
            "too large by itself"
        );
        assert_eq!(recent.lock().bytes, 0);
    }
}
