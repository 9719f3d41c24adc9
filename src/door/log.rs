//! Reading the log back: lines as they were hashed, up to heads that are signed.
//! Every stream's root is rebuilt on the way, so an export is either what was recorded or breaks off.
//!
//! Invariant: nothing beyond the given heads is read, and no stream ends before its head.

use std::sync::Arc;

use coffer_audit_log::{BundleWriter, Frontier, leaf_hash};

use super::segments::Opened;
use super::shared::Shared;
use super::view::STORE_LOST;
use super::{Door, Head};
use crate::model::Refusal;

/// Segments read at a time.
const SEGMENTS_AT_ONCE: u32 = 64;

/// One line of the log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// The record as it was hashed, without a newline.
    pub line: Vec<u8>,
}

/// Reads whole streams up to their heads, a chunk at a time.
pub struct LogReader {
    shared: Arc<Shared>,
    heads: std::vec::IntoIter<Head>,
    current: Option<(Head, Frontier)>,
    bundle: Option<BundleWriter>,
    ended: bool,
}

impl LogReader {
    /// Lines alone: JSONL.
    pub(super) fn lines(shared: Arc<Shared>, heads: Vec<Head>) -> Self {
        Self::new(shared, heads, None)
    }

    /// A bundle, whose header is in `out`.
    pub(super) fn bundle(
        shared: Arc<Shared>,
        mut heads: Vec<Head>,
        out: &mut Vec<u8>,
    ) -> Result<Self, Refusal> {
        heads.sort_by_key(|head| head.stream);
        let count = u64::try_from(heads.len()).map_err(|_| Refusal::Tampered)?;
        let bundle =
            BundleWriter::begin(&shared.verifier, count, out).map_err(|_| Refusal::Tampered)?;
        Ok(Self::new(shared, heads, Some(bundle)))
    }

    fn new(shared: Arc<Shared>, heads: Vec<Head>, bundle: Option<BundleWriter>) -> Self {
        Self {
            shared,
            heads: heads.into_iter(),
            current: None,
            bundle,
            ended: false,
        }
    }

    /// The next bytes of the export; `None` once all of it is given.
    ///
    /// # Errors
    /// The store does not answer, or what it holds is not what the heads say.
    pub async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let mut out = Vec::new();
        while out.is_empty() {
            if self.ended {
                return Ok(None);
            }
            match self.current.take() {
                None => self.begin_stream(&mut out)?,
                Some((head, tree)) => self.read_on(head, tree, &mut out).await?,
            }
        }
        Ok(Some(out))
    }

    fn begin_stream(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some(head) = self.heads.next() else {
            self.ended = true;
            return match self.bundle.take() {
                Some(bundle) => bundle.end(out).map_err(|_| Refusal::Tampered),
                None => Ok(()),
            };
        };
        if let Some(bundle) = &mut self.bundle {
            bundle
                .stream(&head.note, out)
                .map_err(|_| Refusal::Tampered)?;
        }
        self.current = Some((head, Frontier::new()));
        Ok(())
    }

    async fn read_on(
        &mut self,
        head: Head,
        mut tree: Frontier,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let size = head.checkpoint.size;
        if tree.size() == size {
            return if tree.root() == head.checkpoint.root {
                Ok(())
            } else {
                Err(Refusal::Tampered)
            };
        }
        let mut reader = self.shared.reader().await?;
        let rows = reader
            .list_segments(head.stream, tree.size(), SEGMENTS_AT_ONCE)
            .await;
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        if rows.is_empty() {
            return Err(Refusal::Tampered);
        }
        for row in rows {
            // What others have recorded since the head lies behind it, and has its own.
            if tree.size() == size {
                break;
            }
            let skipped = tree
                .size()
                .checked_sub(row.first)
                .ok_or(Refusal::Tampered)?;
            let opened = Opened::open(&self.shared.keys, &row).map_err(|_| Refusal::Tampered)?;
            for line in opened
                .lines()
                .skip(usize::try_from(skipped).map_err(|_| Refusal::Tampered)?)
            {
                if tree.size() == size {
                    break;
                }
                tree.push(leaf_hash(line));
                match &mut self.bundle {
                    Some(bundle) => bundle.record(line, out).map_err(|_| Refusal::Tampered)?,
                    None => {
                        out.extend_from_slice(line);
                        out.push(b'\n');
                    }
                }
            }
        }
        self.current = Some((head, tree));
        Ok(())
    }
}

impl Door {
    /// The heads of all streams, as one statement sees them: for an export whose own record is durable.
    ///
    /// # Errors
    /// The store does not answer, or a head was not signed by this cluster.
    pub async fn heads(&self) -> Result<Vec<Head>, Refusal> {
        let rows = self.shared.reader().await?.list_streams().await;
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
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

    /// The newest records of all streams up to these heads, newest last, at most `limit`.
    ///
    /// # Errors
    /// As [`LogReader::next_chunk`].
    pub async fn newest_records(
        &self,
        heads: &[Head],
        limit: usize,
    ) -> Result<Vec<LogRecord>, Refusal> {
        let mut found: Vec<(i64, LogRecord)> = Vec::new();
        for head in heads {
            self.newest_of(head, limit, &mut found).await?;
        }
        found.sort_by_key(|(time, _)| *time);
        let surplus = found.len().saturating_sub(limit);
        Ok(found
            .into_iter()
            .skip(surplus)
            .map(|(_, record)| record)
            .collect())
    }

    async fn newest_of(
        &self,
        head: &Head,
        limit: usize,
        found: &mut Vec<(i64, LogRecord)>,
    ) -> Result<(), Refusal> {
        let size = head.checkpoint.size;
        let mut at = size.saturating_sub(u64::try_from(limit).unwrap_or(u64::MAX));
        let mut reader = self.shared.reader().await?;
        while at < size {
            let rows = reader
                .list_segments(head.stream, at, SEGMENTS_AT_ONCE)
                .await;
            let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
            let before = at;
            for row in rows {
                if at == size {
                    break;
                }
                let skipped = at.checked_sub(row.first).ok_or(Refusal::Tampered)?;
                let opened =
                    Opened::open(&self.shared.keys, &row).map_err(|_| Refusal::Tampered)?;
                for line in opened
                    .lines()
                    .skip(usize::try_from(skipped).map_err(|_| Refusal::Tampered)?)
                {
                    if at < size {
                        let record =
                            coffer_audit_log::Record::parse(line).map_err(|_| Refusal::Tampered)?;
                        found.push((
                            record.time,
                            LogRecord {
                                line: line.to_vec(),
                            },
                        ));
                        at += 1;
                    }
                }
            }
            if at == before {
                return Err(Refusal::Tampered);
            }
        }
        Ok(())
    }
}
