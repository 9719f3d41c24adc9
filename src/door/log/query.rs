//! What a filter takes of the log, the newest first, across all streams, given as soon as it is found.
//! The segments of all streams are gone through backwards by the times of their summaries; most are never opened.
//!
//! Invariant: what is given is in order of time, and a segment that is missing or does not open ends the query unfinished.

use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::filter::RecordFilter;
use super::{aside, parse};
use crate::door::Head;
use crate::door::segments::{Summary, Unsalted, open_summary, salted};
use crate::door::shared::Shared;
use crate::door::view::STORE_LOST;
use crate::model::{Refusal, SegmentRow, StreamId, Timestamp};

/// Summaries looked at in one go.
const SUMMARIES_AT_ONCE: u32 = 512;
/// Segments opened in one go, at most: as long as nothing is found, twice as many each time.
const SEGMENTS_AT_ONCE: u32 = 8;

/// A look at the log that goes on for as long as it is asked.
pub struct LogQuery {
    shared: Arc<Shared>,
    asked: Arc<RecordFilter>,
    streams: Vec<Backwards>,
    /// Taken, and not given yet: a segment of another stream may hold newer ones.
    found: BinaryHeap<Found>,
    left: usize,
    /// Segments that are opened next time.
    at_once: u32,
}

/// A stream on the way back from its head.
struct Backwards {
    stream: StreamId,
    /// Records from this index on were looked at, or lie behind the head.
    below: u64,
    /// The next segments, the newest first.
    next: VecDeque<Ahead>,
}

/// A segment that is to be looked at.
struct Ahead {
    first: u64,
    count: u32,
    newest: Timestamp,
    may_find: bool,
}

/// A record that is taken: by time, then by its place, so that the order is always the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    time: i64,
    stream: StreamId,
    index: u64,
    line: Vec<u8>,
}

impl LogQuery {
    pub(super) fn new(
        shared: Arc<Shared>,
        heads: Vec<Head>,
        filter: RecordFilter,
        limit: u32,
    ) -> Self {
        let backwards = |head: Head| Backwards {
            stream: head.stream,
            below: head.checkpoint.size,
            next: VecDeque::new(),
        };
        Self {
            shared,
            asked: Arc::new(filter),
            streams: heads.into_iter().map(backwards).collect(),
            found: BinaryHeap::new(),
            left: usize::try_from(limit).unwrap_or(usize::MAX),
            at_once: 1,
        }
    }

    /// The next lines, each with its newline; none when there was nothing in what was just looked at, so that whoever
    /// asks can see whether anybody still waits. `None` once all that there are, or that were asked for, are given.
    ///
    /// # Errors
    /// The store does not answer, or a segment is missing or does not open.
    pub async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let mut out = Vec::new();
        if self.left == 0 {
            return Ok(None);
        }
        for at in 0..self.streams.len() {
            self.look_ahead(at).await?;
        }
        let newest = |stream: &Backwards| Some(stream.next.front()?.newest);
        let pick = (0..self.streams.len())
            .filter_map(|at| Some((newest(&self.streams[at])?, at)))
            .max();
        self.give(pick.map(|(time, _)| time), &mut out);
        match pick {
            None => return Ok((!out.is_empty()).then_some(out)),
            Some((_, at)) if out.is_empty() => self.look_at(at).await?,
            Some(_) => {}
        }
        Ok(Some(out))
    }

    /// Writes what was found and is not older than anything that may come.
    fn give(&mut self, to_come: Option<Timestamp>, out: &mut Vec<u8>) {
        while self.left > 0
            && let Some(next) = self.found.peek()
            && to_come.is_none_or(|to_come| next.time >= to_come.micros())
            && let Some(found) = self.found.pop()
        {
            out.extend_from_slice(&found.line);
            out.push(b'\n');
            self.left -= 1;
        }
    }

    /// Sees to it that a stream's next segment is known, if there is one that matters.
    async fn look_ahead(&mut self, at: usize) -> Result<(), Refusal> {
        let stream = &mut self.streams[at];
        while stream.next.is_empty() && stream.below > 0 {
            let (id, below) = (stream.stream, stream.below);
            let rows = {
                let mut reader = self.shared.reader().await?;
                reader.list_summaries(id, below, SUMMARIES_AT_ONCE).await
            };
            let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
            let (shared, asked) = (Arc::clone(&self.shared), Arc::clone(&self.asked));
            let _turn = self.shared.scan_turn().await;
            let opened = aside(move || {
                rows.into_iter()
                    .map(|row| {
                        let place = (row.first, row.count);
                        let summary = open_summary(&shared.keys, id, place, &row.sealed)?;
                        Ok(Ahead::new(place, &summary, &asked))
                    })
                    .collect::<Result<Vec<Ahead>, crate::crypto::CryptoError>>()
            });
            let opened = opened.await.map_err(|_| Refusal::Tampered)?;
            stream.put(opened, self.asked.since)?;
        }
        Ok(())
    }

    /// Opens a stream's next segments, unless the first one's summary says that nothing is to be found there.
    async fn look_at(&mut self, at: usize) -> Result<(), Refusal> {
        let stream = &mut self.streams[at];
        let Some(ahead) = stream.next.pop_front() else {
            return Ok(());
        };
        let below = std::mem::replace(&mut stream.below, ahead.first);
        if !ahead.may_find {
            return Ok(());
        }
        let end = below.min(ahead.first + u64::from(ahead.count));
        let mut count = 1;
        while count < self.at_once
            && stream.next.front().is_some_and(|next| next.may_find)
            && let Some(next) = stream.next.pop_front()
        {
            stream.below = next.first;
            count += 1;
        }
        let wanted = stream.below..end;
        // By now they may be merged with others, which were looked at or are to come.
        let rows = {
            let mut reader = self.shared.reader().await?;
            reader
                .list_segments(stream.stream, wanted.start, count)
                .await
        };
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        if !covers(&rows, &wanted) {
            return Err(Refusal::Tampered);
        }
        let (shared, asked) = (Arc::clone(&self.shared), Arc::clone(&self.asked));
        let _turn = self.shared.scan_turn().await;
        let found = aside(move || {
            let found = rows.iter().map(|row| find(&shared, &asked, row, &wanted));
            found.collect::<Result<Vec<_>, Refusal>>()
        });
        let found: Vec<Found> = found.await?.into_iter().flatten().collect();
        self.at_once = match found.is_empty() {
            true => SEGMENTS_AT_ONCE.min(2 * self.at_once),
            false => 1,
        };
        self.found.extend(found);
        Ok(())
    }
}

impl Backwards {
    /// Takes the next segments, which must lie one behind the other up to what was looked at.
    fn put(&mut self, rows: Vec<Ahead>, since: Option<Timestamp>) -> Result<(), Refusal> {
        let mut below = self.below;
        for row in rows {
            if row.first >= below || row.first + u64::from(row.count) < below {
                return Err(Refusal::Tampered);
            }
            below = row.first;
            // Everything before it is older still.
            if since.is_some_and(|since| row.newest < since) {
                self.below = if self.next.is_empty() { 0 } else { self.below };
                return Ok(());
            }
            self.next.push_back(row);
        }
        if self.next.is_empty() {
            return Err(Refusal::Tampered);
        }
        Ok(())
    }
}

impl Ahead {
    fn new((first, count): (u64, u32), summary: &Summary, asked: &RecordFilter) -> Self {
        Self {
            first,
            count,
            newest: summary.to,
            may_find: asked.may_find(summary),
        }
    }
}

/// Whether these segments, in order, hold all of these indexes.
fn covers(rows: &[SegmentRow], wanted: &Range<u64>) -> bool {
    let mut end = wanted.start;
    for row in rows {
        if row.first > end {
            return false;
        }
        end = end.max(row.first + u64::from(row.count));
    }
    end >= wanted.end
}

/// The records of a segment that are taken, of those at the wanted indexes.
fn find(
    shared: &Shared,
    asked: &RecordFilter,
    row: &SegmentRow,
    wanted: &Range<u64>,
) -> Result<Vec<Found>, Refusal> {
    let unsalted = Unsalted::open(&shared.keys, row).map_err(|_| Refusal::Tampered)?;
    let needle = asked.needle();
    let finder = needle.as_deref().map(Finder::new);
    let mut found = Vec::new();
    // Most segments hold no such bytes at all: all of their lines are looked through at once.
    if let Some(finder) = &finder
        && finder.find(unsalted.all_lines()).is_none()
    {
        return Ok(found);
    }
    for (index, seed, unsalted) in unsalted.lines() {
        let may = wanted.contains(&index)
            && finder
                .as_ref()
                .is_none_or(|finder| finder.find(unsalted).is_some());
        if !may {
            continue;
        }
        let mut line = Vec::with_capacity(unsalted.len() + 32);
        salted((index, seed, unsalted), &mut line).map_err(|_| Refusal::Tampered)?;
        let record = parse(&line)?;
        if asked.takes(&record) {
            found.push(Found {
                time: record.time,
                stream: row.stream,
                index,
                line,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_is_missing_is_noticed() {
        let row = |first, count| SegmentRow {
            stream: StreamId::from_bytes([1; 16]),
            first,
            count,
            seq: 1,
            summary: Vec::new(),
            sealed: Vec::new(),
        };
        let [a, b, c] = [row(0, 4), row(4, 4), row(8, 4)];
        let covers = |rows: &[&SegmentRow], wanted: Range<u64>| {
            let rows: Vec<SegmentRow> = rows.iter().map(|row| (*row).clone()).collect();
            covers(&rows, &wanted)
        };
        assert!(covers(&[&a, &b], 2..8));
        assert!(covers(&[&a, &b, &c], 0..9));
        assert!(!covers(&[&a, &c], 0..12));
        assert!(!covers(&[&a, &b], 0..9));
        assert!(!covers(&[&b], 3..8));
        assert!(!covers(&[], 0..1));
    }
}
