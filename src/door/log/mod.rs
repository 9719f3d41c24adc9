//! Reading the log back: whole, up to signed heads, or what a filter takes, the newest first.
//! Records are found by their index in whatever segment holds them, so merging goes on meanwhile.
//!
//! Invariant: nothing beyond the given heads is read, and a segment that is missing is never passed over in silence.

mod filter;
#[cfg(any(test, fuzzing))]
pub(in crate::door) mod fuzzing;
mod query;
mod reader;
mod tiles;

use std::sync::Arc;

use coffer_audit_log::Record;
use tokio::sync::OwnedSemaphorePermit;

pub use filter::{OutcomeFilter, RecordFilter};
pub use query::LogQuery;
pub use reader::LogReader;
pub(super) use tiles::KnownHashes;
pub use tiles::{TILE_WIDTH, Tile};

use super::shared::Shared;
use super::view::STORE_LOST;
use super::{Door, Head};
use crate::config::Durability;
use crate::model::{Refusal, SegmentRow, StreamId};

/// Segments looked for at a time.
const SEGMENTS_AT_ONCE: u32 = 64;
/// Records opened at a time, but for those of one segment that has more.
const RECORDS_AT_ONCE: u64 = 8_192;
/// How many looks at the log may open segments at the same time; the others take turns with them.
pub(super) const SCANS_MAX: usize = 2;

impl Door {
    /// The heads of all streams, as one statement sees them: for a look at the log whose own record is stored. What they
    /// cover is on the disk before anybody is shown it.
    ///
    /// # Errors
    /// The store does not answer, or a head was not signed by this cluster.
    pub async fn heads(&self) -> Result<Vec<Head>, Refusal> {
        let rows = self.shared.reader().await?.list_streams().await;
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        self.shared.sync().await?;
        rows.into_iter()
            .map(|row| self.shared.open_head(row))
            .collect()
    }

    /// Everything up to these heads, as lines of JSON.
    pub fn export(&self, heads: Vec<Head>) -> LogReader {
        LogReader::lines(Arc::clone(&self.shared), heads)
    }

    /// Everything up to these heads, as a bundle; the first bytes are in `out`.
    ///
    /// # Errors
    /// There is no stream.
    pub fn export_bundle(&self, heads: Vec<Head>, out: &mut Vec<u8>) -> Result<LogReader, Refusal> {
        LogReader::bundle(Arc::clone(&self.shared), heads, out)
    }

    /// What the filter takes of the records up to these heads, the newest first, at most `limit`.
    pub fn query(&self, heads: Vec<Head>, filter: RecordFilter, limit: u32) -> LogQuery {
        LogQuery::new(Arc::clone(&self.shared), heads, filter, limit)
    }

    /// The newest records up to these heads, the newest last, each as its line.
    ///
    /// # Errors
    /// As [`LogQuery::next_chunk`].
    pub async fn newest_records(
        &self,
        heads: Vec<Head>,
        filter: RecordFilter,
        limit: u32,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut query = self.query(heads, filter, limit);
        let mut found = Vec::new();
        while let Some(chunk) = query.next_chunk().await? {
            let lines = chunk.split(|byte| *byte == b'\n');
            found.extend(lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
        }
        found.reverse();
        Ok(found)
    }
}

impl Shared {
    /// Brings what is stored to the disk, where reads have not done so: a head that left is not lost by a power cut, and
    /// none of its indexes is used again. On PostgreSQL this holds for what other nodes stored, too.
    async fn sync(&self) -> Result<(), Refusal> {
        if self.durability == Durability::Durable {
            return Ok(());
        }
        let synced = async {
            let mut writer = self.store.writer().await?;
            let synced = writer.sync(self.stream).await;
            writer.close().await;
            synced
        };
        let synced = synced.await.is_ok_and(|there| there);
        synced.then_some(()).ok_or(Refusal::Unavailable(STORE_LOST))
    }

    /// The segments that hold records at `from` and after: as many as are opened at once, at least one.
    pub(super) async fn segments_from(
        &self,
        stream: StreamId,
        from: u64,
    ) -> Result<Vec<SegmentRow>, Refusal> {
        let lost = |_| Refusal::Unavailable(STORE_LOST);
        let mut reader = self.reader().await?;
        let places = reader
            .list_segment_places(stream, from, SEGMENTS_AT_ONCE)
            .await
            .map_err(lost)?;
        let mut records = 0;
        let fits = |(_, count): &&(u64, u32)| {
            let none = records == 0;
            records += u64::from(*count);
            none || records <= RECORDS_AT_ONCE
        };
        let limit = places.iter().take_while(fits).count();
        let limit = u32::try_from(limit.max(1)).unwrap_or(SEGMENTS_AT_ONCE);
        reader
            .list_segments(stream, from, limit)
            .await
            .map_err(lost)
    }

    /// Waits until this look at the log may open segments.
    pub(super) async fn scan_turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.scans)
            .acquire_owned()
            .await
            .expect("the turns of scans are never closed")
    }
}

/// Does work that takes milliseconds of computing, away from the requests.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("work that is set aside neither panics nor is aborted")
}

/// A line of the log, which was opened with the key that sealed it.
fn parse(line: &[u8]) -> Result<Record<'_>, Refusal> {
    Record::parse(line).map_err(|_| Refusal::Tampered)
}
