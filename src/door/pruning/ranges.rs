//! Which ranges of a stream are old enough: segments side by side that become one, and ones that were pruned before and
//! still keep something.
//!
//! Invariant: a range that was pruned once is the same range for ever, for the log names it by its ends.

use std::sync::Arc;

use crate::door::log::aside;
use crate::door::segments::open_summary;
use crate::door::shared::Shared;
use crate::door::view::STORE_LOST;
use crate::model::{Refusal, StreamId, Timestamp, Ttl};

/// Records of a range, but for those of a single segment that has more.
const RECORDS_MAX: u64 = 65_536;
/// Fewer records than these wait for others.
const RECORDS_MIN: u64 = 16_384;
/// And no longer than this.
const LATE: Ttl = Ttl::days(1);
/// Summaries looked at in one go.
const SUMMARIES_AT_ONCE: u32 = 512;

/// Segments side by side that are pruned together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) stream: StreamId,
    pub(super) first: u64,
    pub(super) segments: u32,
}

/// What a summary tells of a segment.
#[derive(Clone, Copy)]
struct Seen {
    first: u64,
    count: u32,
    to: Timestamp,
    pruned: bool,
    /// Whether it has any record left.
    keeps: bool,
}

/// The ranges of a stream whose records are all from before an instant; `again` those that were pruned before as well.
pub(super) async fn old(
    shared: &Arc<Shared>,
    stream: StreamId,
    before: Timestamp,
    again: bool,
) -> Result<Vec<Range>, Refusal> {
    let mut ranges = Ranges::new(stream, before, again);
    let mut from = 0;
    loop {
        let seen = list(shared, stream, from).await?;
        let full = seen.len() == SUMMARIES_AT_ONCE as usize;
        for next in seen {
            if next.first != from {
                return Err(Refusal::Tampered);
            }
            from += u64::from(next.count);
            if next.to >= before {
                return Ok(ranges.end());
            }
            ranges.take(&next);
        }
        if !full {
            return Ok(ranges.end());
        }
    }
}

/// The time of a stream's newest record.
pub(super) async fn newest(
    shared: &Arc<Shared>,
    stream: StreamId,
) -> Result<Option<Timestamp>, Refusal> {
    let rows = {
        let mut reader = shared.reader().await?;
        reader.list_summaries(stream, i64::MAX as u64, 1).await
    };
    let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let summary = open_summary(&shared.keys, stream, (row.first, row.count), &row.sealed);
    Ok(Some(summary.map_err(|_| Refusal::Tampered)?.to))
}

async fn list(shared: &Arc<Shared>, stream: StreamId, from: u64) -> Result<Vec<Seen>, Refusal> {
    let rows = {
        let mut reader = shared.reader().await?;
        reader
            .list_summaries_from(stream, from, SUMMARIES_AT_ONCE)
            .await
    };
    let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
    let shared = Arc::clone(shared);
    let _turn = shared.scan_turn().await;
    let keys = Arc::clone(&shared);
    let seen = aside(move || {
        let seen = rows.into_iter().map(|row| {
            let (first, count) = (row.first, row.count);
            let summary = open_summary(&keys.keys, stream, (first, count), &row.sealed)?;
            Ok(Seen {
                first,
                count,
                to: summary.to,
                pruned: summary.pruned,
                keeps: !summary.actions.is_empty(),
            })
        });
        seen.collect::<Result<_, crate::crypto::CryptoError>>()
    });
    seen.await.map_err(|_| Refusal::Tampered)
}

/// Ranges as they are found.
struct Ranges {
    stream: StreamId,
    before: Timestamp,
    again: bool,
    found: Vec<Range>,
    /// The range that may still grow, with its records and when its first segment ended.
    open: Option<(Range, u64, Timestamp)>,
}

impl Ranges {
    const fn new(stream: StreamId, before: Timestamp, again: bool) -> Self {
        Self {
            stream,
            before,
            again,
            found: Vec::new(),
            open: None,
        }
    }

    fn take(&mut self, next: &Seen) {
        let records = u64::from(next.count);
        let fits = |open: &(Range, u64, Timestamp)| open.1 + records <= RECORDS_MAX;
        if next.pruned || !self.open.as_ref().is_some_and(fits) {
            // What stands between others grows no more.
            self.found.extend(self.open.take().map(|(range, ..)| range));
        }
        let alone = Range {
            stream: self.stream,
            first: next.first,
            segments: 1,
        };
        if !next.pruned {
            match &mut self.open {
                Some((range, have, _)) => {
                    (range.segments, *have) = (range.segments + 1, *have + records)
                }
                None => self.open = Some((alone, records, next.to)),
            }
        } else if next.keeps && self.again {
            self.found.push(alone);
        }
    }

    /// All of them; the last one only if it is worth it, or its time has come.
    fn end(mut self) -> Vec<Range> {
        let before = self.before;
        let open = self.open.take();
        let ready = open.filter(|(_, records, first_to)| {
            *records >= RECORDS_MIN || first_to.after(LATE) < before
        });
        self.found.extend(ready.map(|(range, ..)| range));
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(segments: &[(u32, u64, bool, bool)], before_day: u64) -> Vec<(u64, u32)> {
        let day = |day: u64| Timestamp::from_micros(Ttl::days(day).micros());
        let mut ranges = Ranges::new(StreamId::from_bytes([1; 16]), day(before_day), true);
        let mut first = 0;
        for (count, to, pruned, keeps) in segments {
            ranges.take(&Seen {
                first,
                count: *count,
                to: day(*to),
                pruned: *pruned,
                keeps: *keeps,
            });
            first += u64::from(*count);
        }
        let found = ranges.end().into_iter();
        found.map(|range| (range.first, range.segments)).collect()
    }

    #[test]
    fn segments_side_by_side_become_one_range() {
        let large = (4_096, 1, false, true);
        assert_eq!(ranges(&[large; 4], 2), [(0, 4)]);
        assert_eq!(
            ranges(&[large; 33], 9),
            [(0, 16), (65_536, 16), (131_072, 1)]
        );
        assert_eq!(ranges(&[large; 33], 2), [(0, 16), (65_536, 16)]);
        assert_eq!(ranges(&[(70_000, 1, false, true)], 2), [(0, 1)]);
    }

    #[test]
    fn few_records_wait_for_others_and_no_more_than_a_day() {
        assert!(ranges(&[(9, 1, false, true); 3], 2).is_empty());
        assert_eq!(ranges(&[(9, 1, false, true); 3], 3), [(0, 3)]);
    }

    #[test]
    fn a_range_that_was_pruned_stays_the_same() {
        let (pruned, empty, whole) = ((9, 1, true, true), (9, 1, true, false), (9, 1, false, true));
        assert_eq!(ranges(&[pruned, pruned], 2), [(0, 1), (9, 1)]);
        assert!(ranges(&[empty, empty], 9).is_empty());
        // What lies between two others would never grow.
        assert_eq!(ranges(&[whole, pruned, empty], 1), [(0, 1), (9, 1)]);
    }
}
