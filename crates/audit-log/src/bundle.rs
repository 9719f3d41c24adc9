//! Writes a bundle: the one text in which whole streams, their signed heads and the key's name go to an auditor.
//! Piece by piece into the caller's buffer, so that a log of any size streams through a bounded one.
//!
//! Invariant: a bundle that was ended accounts, for every stream, for as many records as its head says.

use crate::gap::{Gap, Gaps};
use crate::key::VerifierKey;
use crate::name::{ClusterId, StreamId};
use crate::note::{NoteError, open_note};
use crate::record::RECORD_BYTES_MAX;

/// First line of every bundle, with the number of its format.
pub const BUNDLE_FORMAT: &str = "coffer-audit-bundle 1";

/// Most streams in a bundle.
pub const STREAMS_MAX: u64 = 65_536;

/// Writes one bundle: [`begin`](Self::begin), then for each stream [`stream`](Self::stream) and its records, then
/// [`end`](Self::end). Everything is appended to `out`, which the caller may empty between calls.
#[derive(Debug)]
pub struct BundleWriter {
    key: VerifierKey,
    streams_left: u64,
    records_left: u64,
    gaps: Gaps,
    records: u64,
    last: Option<StreamId>,
}

/// A bundle that would not verify, and so is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The key's name is not `coffer/<cluster>`.
    #[error("the key is not a cluster's")]
    Key,
    /// No stream, too many, more or fewer than were announced.
    #[error("a bundle holds as many streams as it announces, and at least one")]
    Streams,
    /// A stream's head does not open.
    #[error("{0}")]
    Head(#[from] NoteError),
    /// The streams do not come sorted by id, each once.
    #[error("the streams of a bundle are sorted by id, each once")]
    Order,
    /// More or fewer records than the head says.
    #[error("a stream holds as many records as its head says")]
    Records,
    /// A record is empty, too long or has a line break.
    #[error("a record is one line of at most {RECORD_BYTES_MAX} bytes")]
    Line,
    /// A gap that is no full subtree at its place.
    #[error("a gap is a full subtree of at most 256 records")]
    Gap,
}

impl BundleWriter {
    /// Writes the header: format, cluster, key and number of streams.
    ///
    /// # Errors
    /// [`BundleError::Key`] or [`BundleError::Streams`].
    pub fn begin(key: &VerifierKey, streams: u64, out: &mut Vec<u8>) -> Result<Self, BundleError> {
        let cluster = ClusterId::of_key_name(key.name()).map_err(|_| BundleError::Key)?;
        if streams == 0 || streams > STREAMS_MAX {
            return Err(BundleError::Streams);
        }
        let header = format!("{BUNDLE_FORMAT}\ncluster {cluster}\nkey {key}\nstreams {streams}\n");
        out.extend_from_slice(header.as_bytes());
        Ok(Self {
            key: key.clone(),
            streams_left: streams,
            records_left: 0,
            gaps: Gaps::default(),
            records: 0,
            last: None,
        })
    }

    /// Begins a stream with its signed head, which is opened first: a bundle never carries a head that is not true.
    ///
    /// # Errors
    /// [`BundleError::Head`], [`BundleError::Streams`], [`BundleError::Order`], and [`BundleError::Records`] when the
    /// stream before lacks some.
    pub fn stream(&mut self, note: &str, out: &mut Vec<u8>) -> Result<(), BundleError> {
        let head = open_note(note, &self.key)?;
        self.end_stream(out)?;
        self.streams_left = self
            .streams_left
            .checked_sub(1)
            .ok_or(BundleError::Streams)?;
        let stream = head.origin.stream;
        if self.last.as_ref().is_some_and(|last| *last >= stream) {
            return Err(BundleError::Order);
        }
        out.extend_from_slice(format!("stream {stream}\n{note}").as_bytes());
        self.last = Some(stream);
        self.records_left = head.size;
        Ok(())
    }

    /// Writes the stream's next record: the exact bytes that were hashed, without a newline.
    ///
    /// # Errors
    /// [`BundleError::Line`], or [`BundleError::Records`] when the head does not cover it.
    pub fn record(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), BundleError> {
        if line.is_empty() || line.len() > RECORD_BYTES_MAX || line.contains(&b'\n') {
            return Err(BundleError::Line);
        }
        self.take(1)?;
        write_gaps(self.gaps.end(), out);
        out.extend_from_slice(line);
        out.push(b'\n');
        Ok(())
    }

    /// Writes what stands in the place of the stream's next records, which were pruned.
    ///
    /// # Errors
    /// [`BundleError::Gap`], or [`BundleError::Records`] when the head does not cover it.
    pub fn gap(&mut self, gap: &Gap, out: &mut Vec<u8>) -> Result<(), BundleError> {
        if !gap.is_whole() {
            return Err(BundleError::Gap);
        }
        self.take(gap.count())?;
        self.gaps.push(*gap);
        write_gaps(self.gaps.closed(), out);
        Ok(())
    }

    fn take(&mut self, records: u64) -> Result<(), BundleError> {
        let left = self.records_left.checked_sub(records);
        self.records_left = left.ok_or(BundleError::Records)?;
        self.records += records;
        Ok(())
    }

    fn end_stream(&mut self, out: &mut Vec<u8>) -> Result<(), BundleError> {
        write_gaps(self.gaps.end(), out);
        if self.records_left == 0 {
            Ok(())
        } else {
            Err(BundleError::Records)
        }
    }

    /// Writes the last line. A text without it is no bundle.
    ///
    /// # Errors
    /// [`BundleError::Streams`] or [`BundleError::Records`] when some are missing.
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<(), BundleError> {
        if self.streams_left != 0 {
            return Err(BundleError::Streams);
        }
        self.end_stream(out)?;
        out.extend_from_slice(format!("end {}\n", self.records).as_bytes());
        Ok(())
    }
}

fn write_gaps(gaps: impl Iterator<Item = Gap>, out: &mut Vec<u8>) {
    for gap in gaps {
        gap.write(out);
        out.push(b'\n');
    }
}
