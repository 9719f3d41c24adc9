//! This node's own segments, merged once there are enough records for a large one.
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
use crate::model::{Refusal, SegmentRow};
use crate::store::StoreError;

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
        }
    }
}

impl Merger {
    /// Whether it is a good time to [merge](Self::merge); to be asked at a steady beat.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn is_time(&mut self) -> Result<bool, Refusal> {
        if !self.shared.store.keeps() {
            return Ok(false);
        }
        let requests = self.shared.requests.load(Ordering::Relaxed);
        let asked = requests - std::mem::replace(&mut self.requests, requests);
        let waiting = self.size().await?.saturating_sub(self.done);
        let busy = asked >= BUSY_REQUESTS && waiting < RECORDS_WAITING_MAX;
        Ok(waiting >= self.records && !busy)
    }

    /// Merges the oldest segments that are to be merged; false once there are too few records for another. What is not
    /// what was signed is passed over, with all that lies between it and the end of the log.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn merge(&mut self) -> Result<bool, Refusal> {
        let merged = self.try_merge().await;
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

    async fn try_merge(&mut self) -> Result<bool, Refusal> {
        let stream = self.shared.stream;
        let [mut at_once, most] = SEGMENTS_AT_ONCE;
        let rows = loop {
            let signed = self.shared.signed().size();
            let mut reader = self.shared.reader().await?;
            let places = reader.list_segment_places(stream, self.done, at_once);
            let places = within(places.await.map_err(unread)?, signed);
            let all = places.len() < at_once as usize || at_once == most;
            match enough(self.done, &places, self.records)? {
                Next::Stays(end) => self.done = end,
                Next::TooFew if all => return Ok(false),
                Next::TooFew => at_once = most,
                Next::Merge(count) => {
                    let rows = reader.list_segments(stream, self.done, count);
                    break rows.await.map_err(unread)?;
                }
            }
        };
        self.done = self.merged(rows).await?;
        Ok(true)
    }

    /// Puts one segment into the place of these; the index up to which nothing is to be done any more.
    async fn merged(&mut self, rows: Vec<SegmentRow>) -> Result<u64, Refusal> {
        let shared = Arc::clone(&self.shared);
        let count = rows.len() as u64;
        let turn = self.shared.scan_turn().await;
        let merged = super::log::aside(move || merge(&shared.keys, &*shared.entropy, &rows));
        let merged = match merged.await.map_err(|_| Refusal::Tampered)? {
            Merged::Into(merged) => merged,
            Merged::StaysTo(end) => return Ok(end),
        };
        drop(turn);
        let held = self.proven.hold(&self.shared, merged, self.records);
        let merged = held.await?;
        let mut writer = self.shared.store.keeper().await.map_err(|error| {
            tracing::warn!(%error, "no connection to merge with");
            Refusal::Unavailable(STORE_LOST)
        })?;
        let replaced = writer.replace_segments(count, &merged).await;
        writer.close().await;
        match replaced {
            Ok(true) => Ok(merged.first + u64::from(merged.count)),
            // Somebody deleted what was read a moment ago.
            Ok(false) => Err(Refusal::Tampered),
            Err(error) => {
                tracing::warn!(%error, "segments were not merged");
                Err(Refusal::Unavailable(STORE_LOST))
            }
        }
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

    /// How many records this node's stream holds.
    async fn size(&self) -> Result<u64, Refusal> {
        let rows = self.shared.reader().await?.list_streams().await;
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        let own = rows.iter().find(|row| row.id == self.shared.stream);
        Ok(own.map_or(0, |row| row.size))
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
    /// The first is large enough: go on at its end.
    Stays(u64),
    /// The first so many are to become one.
    Merge(u32),
    TooFew,
}

/// Looks at segments that begin at `at`, by their first index and how many records each holds.
pub(super) fn enough(at: u64, places: &[(u64, u32)], wanted: u64) -> Result<Next, Refusal> {
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
    }

    #[test]
    fn a_gap_is_no_reason_to_go_on() {
        assert!(enough(10, &[(10, 3), (14, 9)], 8).is_err());
        assert!(enough(10, &[(11, 9)], 8).is_err());
    }
}
