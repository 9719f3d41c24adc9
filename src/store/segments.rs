//! The segments of the logs, found by the index of a record, whether merged or not.
//! They are stored only together with a head that moved: see the writer.
//!
//! Invariant: a segment starts where the stream ended, or it is not stored.

use crate::model::{SeenSegment, SegmentRow, StreamId, SummaryRow};

use super::connection::{fixed, natural, on, rows, run, stored};
use super::{Connection, StoreError};

const TABLE: &str = "segment";

pub(super) type Columns = (Vec<u8>, i64, i64, i64, Vec<u8>, Vec<u8>);

// Starts at the last segment that begins at or before the index: it may hold it.
pub(super) const LIST: &str = "
    SELECT stream, first, count, seq, summary, sealed FROM segment
    WHERE stream = $1
      AND first >= (SELECT COALESCE(MAX(first), 0) FROM segment WHERE stream = $1 AND first <= $2)
      AND first + count > $2
    ORDER BY first LIMIT $3 + 0";

// Neither summaries nor records are read.
pub(super) const LIST_PLACES: &str = "
    SELECT first, count FROM segment
    WHERE stream = $1
      AND first >= (SELECT COALESCE(MAX(first), 0) FROM segment WHERE stream = $1 AND first <= $2)
      AND first + count > $2
    ORDER BY first LIMIT $3 + 0";

pub(super) const LIST_SUMMARIES: &str = "
    SELECT first, count, summary FROM segment
    WHERE stream = $1 AND first < $2 ORDER BY first DESC LIMIT $3 + 0";

pub(super) const LIST_SUMMARIES_FROM: &str = "
    SELECT first, count, summary FROM segment
    WHERE stream = $1 AND first >= $2 ORDER BY first LIMIT $3 + 0";

pub(super) const DELETE_RANGE: &str = "
    DELETE FROM segment WHERE stream = $1 AND first >= $2 AND first < $3 AND first + count <= $3
    RETURNING first, count, substr(sealed, 1, 38)";

pub(super) const INSERT: &str = "
    INSERT INTO segment (stream, first, count, seq, summary, sealed)
    VALUES ($1, $2, $3, $4, $5, $6)";

impl Connection {
    /// The segments of a stream that hold records at `from` and after, by their first.
    pub async fn list_segments(
        &mut self,
        stream: StreamId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<SegmentRow>, StoreError> {
        rows!(
            self,
            Columns,
            LIST,
            &stream.as_bytes()[..],
            stored(from),
            i64::from(limit)
        )?
        .into_iter()
        .map(segment)
        .collect()
    }

    /// Where the segments of a stream lie that hold records at `from` and after: the first of each and how many.
    pub async fn list_segment_places(
        &mut self,
        stream: StreamId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<(u64, u32)>, StoreError> {
        rows!(
            self,
            (i64, i64),
            LIST_PLACES,
            &stream.as_bytes()[..],
            stored(from),
            i64::from(limit)
        )?
        .into_iter()
        .map(|(first, count)| Ok((natural(first, TABLE)?, natural(count, TABLE)?)))
        .collect()
    }

    /// The summaries of a stream's segments that begin below an index, the newest first.
    pub async fn list_summaries(
        &mut self,
        stream: StreamId,
        below: u64,
        limit: u32,
    ) -> Result<Vec<SummaryRow>, StoreError> {
        rows!(
            self,
            (i64, i64, Vec<u8>),
            LIST_SUMMARIES,
            &stream.as_bytes()[..],
            stored(below),
            i64::from(limit)
        )?
        .into_iter()
        .map(summary)
        .collect()
    }

    /// The summaries of a stream's segments that begin at an index or after, the oldest first.
    pub async fn list_summaries_from(
        &mut self,
        stream: StreamId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<SummaryRow>, StoreError> {
        rows!(
            self,
            (i64, i64, Vec<u8>),
            LIST_SUMMARIES_FROM,
            &stream.as_bytes()[..],
            stored(from),
            i64::from(limit)
        )?
        .into_iter()
        .map(summary)
        .collect()
    }

    /// Deletes a stream's segments that lie within a range; which they were, in no order.
    pub(super) async fn delete_segments(
        &mut self,
        stream: StreamId,
        first: std::ops::Range<u64>,
    ) -> Result<Vec<SeenSegment>, StoreError> {
        rows!(
            self,
            (i64, i64, Vec<u8>),
            DELETE_RANGE,
            &stream.as_bytes()[..],
            stored(first.start),
            stored(first.end)
        )?
        .into_iter()
        .map(seen)
        .collect()
    }

    pub(super) async fn insert_segment(&mut self, row: &SegmentRow) -> Result<(), StoreError> {
        run!(
            self,
            INSERT,
            &row.stream.as_bytes()[..],
            stored(row.first),
            i64::from(row.count),
            stored(row.seq),
            &row.summary[..],
            &row.sealed[..]
        )?;
        Ok(())
    }
}

fn seen((first, count, head): (i64, i64, Vec<u8>)) -> Result<SeenSegment, StoreError> {
    Ok(SeenSegment {
        first: natural(first, TABLE)?,
        count: natural(count, TABLE)?,
        head,
    })
}

fn summary((first, count, sealed): (i64, i64, Vec<u8>)) -> Result<SummaryRow, StoreError> {
    Ok(SummaryRow {
        first: natural(first, TABLE)?,
        count: natural(count, TABLE)?,
        sealed,
    })
}

pub(super) fn segment(
    (stream, first, count, seq, summary, sealed): Columns,
) -> Result<SegmentRow, StoreError> {
    Ok(SegmentRow {
        stream: StreamId::from_bytes(fixed(stream, TABLE)?),
        first: natural(first, TABLE)?,
        count: natural(count, TABLE)?,
        seq: natural(seq, TABLE)?,
        summary,
        sealed,
    })
}
