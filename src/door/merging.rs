//! This node's own segments, merged once there are enough records for a large one.
//! A busy node puts it off: what is saved is space and the time of later looks, and neither is in a hurry.
//!
//! Invariant: a record keeps its line, its index and the change that validated it; nothing else is ever replaced.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Door;
use super::segments::{Merged, merge};
use super::shared::Shared;
use super::view::STORE_LOST;
use crate::model::{Refusal, SegmentRow};

/// Segments looked for at a time: as many as a busy node's batches fill a large one with, and where that is not enough,
/// as many as there can be of one record each.
const SEGMENTS_AT_ONCE: [u32; 2] = [256, 4_096];
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

    /// Merges the oldest segments that are to be merged; false once there are too few records for another.
    ///
    /// # Errors
    /// The store does not answer, or a segment is missing or does not open.
    pub async fn merge(&mut self) -> Result<bool, Refusal> {
        let lost = |_| Refusal::Unavailable(STORE_LOST);
        let stream = self.shared.stream;
        let [mut at_once, most] = SEGMENTS_AT_ONCE;
        let rows = loop {
            let mut reader = self.shared.reader().await?;
            let places = reader
                .list_segment_places(stream, self.done, at_once)
                .await
                .map_err(lost)?;
            let all = places.len() < at_once as usize || at_once == most;
            match enough(self.done, &places, self.records)? {
                Next::Stays(end) => self.done = end,
                Next::TooFew if all => return Ok(false),
                Next::TooFew => at_once = most,
                Next::Merge(count) => {
                    break reader
                        .list_segments(stream, self.done, count)
                        .await
                        .map_err(lost)?;
                }
            }
        };
        self.done = self.merged(rows).await?;
        Ok(true)
    }

    /// Puts one segment into the place of these; the index up to which nothing is to be done any more.
    async fn merged(&self, rows: Vec<SegmentRow>) -> Result<u64, Refusal> {
        let shared = Arc::clone(&self.shared);
        let count = rows.len() as u64;
        let _turn = self.shared.scan_turn().await;
        let merged = super::log::aside(move || merge(&shared.keys, &*shared.entropy, &rows));
        let merged = match merged.await.map_err(|_| Refusal::Tampered)? {
            Merged::Into(merged) => merged,
            Merged::StaysTo(end) => return Ok(end),
        };
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

    /// How many records this node's stream holds.
    async fn size(&self) -> Result<u64, Refusal> {
        let rows = self.shared.reader().await?.list_streams().await;
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        let own = rows.iter().find(|row| row.id == self.shared.stream);
        Ok(own.map_or(0, |row| row.size))
    }
}

/// What is to be done with the next segments.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The first is large enough: go on at its end.
    Stays(u64),
    /// The first so many are to become one.
    Merge(u32),
    TooFew,
}

/// Looks at segments that begin at `at`, by their first index and how many records each holds.
fn enough(at: u64, places: &[(u64, u32)], wanted: u64) -> Result<Next, Refusal> {
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
