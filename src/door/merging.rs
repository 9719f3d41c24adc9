//! This node's own segments, merged once there are enough records for a large one. Those that were stored lately are still
//! in memory; older ones, after a start, are read and held against what was signed.
//! A busy node puts it off: what is saved is space and the time of later looks, and neither is in a hurry.
//!
//! Invariant: a record keeps its line, its index and the change that validated it; nothing else is ever replaced, and
//! nothing is put in its place but what this node has signed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Door;
use super::proven::{Proven, within};
use super::segments::{Merged, merge};
use super::shared::Shared;
use super::view::STORE_LOST;
use crate::model::{Refusal, SeenSegment, SegmentRow};
use crate::store::{StoreError, Writer};

/// Segments looked for at a time: as many as a busy node's batches fill a large one with, and where that is not enough,
/// as many as there can be of one record each.
const SEGMENTS_AT_ONCE: [u32; 2] = [256, SEGMENTS_MAX];
pub(super) const SEGMENTS_MAX: u32 = 4_096;
/// Requests since the last look from which on a node is busy.
const BUSY_REQUESTS: u64 = 2_000;
/// Records that may wait for a quieter time, and no more.
const RECORDS_WAITING_MAX: u64 = 1_000_000;

/// Merges the segments of this node's stream, each record once.
pub struct Merger {
    shared: Arc<Shared>,
    /// Records of a merged segment, but for the batch that did not fit.
    records: u64,
    /// Everything before this index lies in segments that stay as they are.
    done: u64,
    /// What is known to be what was signed.
    proven: Proven,
    /// Requests when it was last looked.
    requests: u64,
    /// What replaces segments, from the first of several merges until it rests.
    keeper: Option<Writer>,
}

impl Door {
    /// What merges this node's segments into ones of so many records; there should be one.
    pub fn merger(&self, records: u64) -> Merger {
        Merger {
            shared: Arc::clone(&self.shared),
            records,
            done: 0,
            proven: Proven::default(),
            requests: 0,
            keeper: None,
        }
    }
}

impl Merger {
    /// Whether it is a good time to [merge](Self::merge); to be asked at a steady beat.
    pub fn is_time(&mut self) -> bool {
        let shared = &self.shared;
        if !shared.store.keeps() {
            return false;
        }
        let requests = shared.requests.load(Ordering::Relaxed);
        let asked = requests - std::mem::replace(&mut self.requests, requests);
        let waiting = shared.signed().size().saturating_sub(self.done);
        let many = waiting >= RECORDS_WAITING_MAX || shared.recent.are_many();
        waiting >= self.records && (many || asked < BUSY_REQUESTS)
    }

    /// Merges the oldest segments that are to be merged; false once there are too few records for another. What is not
    /// what was signed is passed over, with all that lies between it and the end of the log.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn merge(&mut self) -> Result<bool, Refusal> {
        let merged = self.try_merge().await;
        if !matches!(merged, Ok(true)) {
            self.rest().await;
        }
        let counted = &self.shared.metrics.merges;
        match merged {
            Ok(merged) => {
                counted.merged.add(u64::from(merged));
                Ok(merged)
            }
            Err(Refusal::Tampered) => {
                counted.refused.one();
                self.pass_over();
                Ok(true)
            }
            Err(refusal) => {
                counted.failed.one();
                Err(refusal)
            }
        }
    }

    /// Lets go of its connection: there may be nothing to merge for long.
    pub async fn rest(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.close().await;
        }
    }

    async fn try_merge(&mut self) -> Result<bool, Refusal> {
        loop {
            let (next, is_recent) = self.next().await?;
            let end = match next {
                Next::TooFew => return Ok(false),
                Next::Stays(end) => {
                    self.done = end;
                    continue;
                }
                Next::Merge(count) if is_recent => self.merge_recent(count).await?,
                Next::Merge(count) => Some(self.merge_stored(count).await?),
            };
            if let Some(end) = end {
                self.done = end;
                return Ok(true);
            }
        }
    }

    /// What is to be done next, and whether it is with what this node still holds.
    async fn next(&self) -> Result<(Next, bool), Refusal> {
        if let Some(places) = self.shared.recent.places_from(self.done) {
            return Ok((enough(self.done, &places, self.records)?, true));
        }
        let mut next = Next::TooFew;
        for at_once in SEGMENTS_AT_ONCE {
            let signed = self.shared.signed().size();
            let mut reader = self.shared.reader().await?;
            let places = reader.list_segment_places(self.shared.stream, self.done, at_once);
            let places = places.await.map_err(unread)?;
            let all = places.len() < at_once as usize;
            next = enough(self.done, &within(places, signed), self.records)?;
            if all || next != Next::TooFew {
                break;
            }
        }
        Ok((next, false))
    }

    /// Merges the first so many that this node has stored itself and still holds; where they end. Nothing when something
    /// else lies there by now, and then they are not held any longer.
    async fn merge_recent(&mut self, count: u32) -> Result<Option<u64>, Refusal> {
        let Some(rows) = self.shared.recent.take(self.done, count) else {
            return Ok(None);
        };
        let seen: Vec<SeenSegment> = rows.iter().map(SeenSegment::of).collect();
        match self.made(rows).await? {
            Merged::Into(merged) => {
                let replaced = self.replace(&seen, &merged).await?;
                Ok(replaced.then(|| merged.end()))
            }
            Merged::StaysTo(end) => Ok(Some(end)),
        }
    }

    /// Merges the first so many that lie in the store; where they end, or the first of them that stays as it is.
    async fn merge_stored(&mut self, count: u32) -> Result<u64, Refusal> {
        let mut reader = self.shared.reader().await?;
        let rows = reader.list_segments(self.shared.stream, self.done, count);
        let rows = rows.await.map_err(unread)?;
        drop(reader);
        let seen: Vec<SeenSegment> = rows.iter().map(SeenSegment::of).collect();
        let merged = match self.made(rows).await? {
            Merged::Into(merged) => merged,
            Merged::StaysTo(end) => return Ok(end),
        };
        let held = self.proven.hold(&self.shared, merged, self.records);
        let merged = held.await?;
        // What was read a moment ago, somebody may have deleted.
        let replaced = self.replace(&seen, &merged).await?;
        replaced.then(|| merged.end()).ok_or(Refusal::Tampered)
    }

    /// One segment that holds what these hold.
    async fn made(&self, rows: Vec<SegmentRow>) -> Result<Merged, Refusal> {
        let shared = Arc::clone(&self.shared);
        let _turn = self.shared.scan_turn().await;
        let merged = super::log::aside(move || merge(&shared.keys, &*shared.entropy, &rows));
        merged.await.map_err(|_| Refusal::Tampered)
    }

    /// Puts one segment into the place of those that were seen there; false when others are there by now.
    async fn replace(
        &mut self,
        seen: &[SeenSegment],
        merged: &SegmentRow,
    ) -> Result<bool, Refusal> {
        let mut keeper = match self.keeper.take() {
            Some(keeper) => keeper,
            None => self.shared.store.keeper().await.map_err(|error| {
                tracing::warn!(%error, "no connection to merge with");
                Refusal::Unavailable(STORE_LOST)
            })?,
        };
        let replaced = keeper.replace_segments(seen, merged).await;
        let replaced = replaced.map_err(|error| {
            tracing::warn!(%error, "segments were not merged");
            Refusal::Unavailable(STORE_LOST)
        })?;
        self.keeper = Some(keeper);
        Ok(replaced)
    }

    /// Leaves what lies there as it is, and goes on at the end of what this node has signed.
    fn pass_over(&mut self) {
        let (from, signed) = (self.done, self.shared.signed());
        tracing::error!(
            from,
            to = signed.size(),
            "the log that lies in the database between these records is not what was signed, and is left as it is: run coffer-server check"
        );
        self.done = signed.size();
        self.proven = Proven::of(signed);
    }
}

/// A row of a shape that Coffer never writes was written by somebody else.
pub(super) fn unread(error: StoreError) -> Refusal {
    match error {
        StoreError::Damaged(_) => Refusal::Tampered,
        error => {
            tracing::warn!(%error, "segments could not be read");
            Refusal::Unavailable(STORE_LOST)
        }
    }
}

/// What is to be done with the next segments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The first ones are large enough, each by itself: go on at their end.
    Stays(u64),
    /// The first so many are to become one.
    Merge(u32),
    TooFew,
}

/// Looks at segments that begin at `at`, by their first index and how many records each holds.
pub(super) fn enough(at: u64, places: &[(u64, u32)], wanted: u64) -> Result<Next, Refusal> {
    let (mut end, mut rest) = (at, places);
    loop {
        match enough_at(end, rest, wanted)? {
            Next::Stays(next) => (end, rest) = (next, &rest[1..]),
            next if end == at => return Ok(next),
            _ => return Ok(Next::Stays(end)),
        }
    }
}

/// The same, without going on behind one that stays.
fn enough_at(at: u64, places: &[(u64, u32)], wanted: u64) -> Result<Next, Refusal> {
    let (mut end, mut count) = (at, 0);
    for (first, records) in places {
        if *first != end {
            return Err(Refusal::Tampered);
        }
        if count > 0 && end - at + u64::from(*records) > wanted {
            return Ok(Next::of(count, end));
        }
        (end, count) = (end + u64::from(*records), count + 1);
    }
    Ok(if end - at >= wanted {
        Next::of(count, end)
    } else {
        Next::TooFew
    })
}

impl Next {
    const fn of(count: u32, end: u64) -> Self {
        match count {
            1 => Self::Stays(end),
            count => Self::Merge(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_merged_once_there_are_enough_records() {
        let next = |places: &[(u64, u32)]| enough(10, places, 8).expect("one behind the other");
        assert_eq!(next(&[]), Next::TooFew);
        assert_eq!(next(&[(10, 3), (13, 4)]), Next::TooFew);
        assert_eq!(next(&[(10, 3), (13, 4), (17, 1)]), Next::Merge(3));
        assert_eq!(next(&[(10, 3), (13, 4), (17, 2)]), Next::Merge(2));
        assert_eq!(next(&[(10, 8)]), Next::Stays(18));
        assert_eq!(next(&[(10, 7), (17, 2)]), Next::Stays(17));
        assert_eq!(next(&[(10, 99), (109, 1)]), Next::Stays(109));
        let stay = [(10, 8), (18, 7), (25, 9), (34, 3)];
        assert_eq!(next(&stay), Next::Stays(34));
        assert_eq!(
            next(&[&stay[..], &[(37, 3), (40, 9)]].concat()),
            Next::Stays(34)
        );
    }

    #[test]
    fn a_gap_is_no_reason_to_go_on() {
        assert!(enough(10, &[(10, 3), (14, 9)], 8).is_err());
        assert!(enough(10, &[(11, 9)], 8).is_err());
    }
}
