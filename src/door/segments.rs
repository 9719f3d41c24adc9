//! A batch's records as a segment: the lines that were hashed, and which rows each of them wrote.
//! Compressed with zstd, then sealed for its place in the stream; a summary, sealed by itself, lets queries skip it.
//!
//! Invariant: the lines come out byte for byte as they were hashed, or not at all.

use std::collections::BTreeSet;

use coffer_audit_log::{Frontier, Outcome as Told, Record, RecordError, Verdict, leaf_hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zstd::zstd_safe::CParameter;

use super::draft::Draft;
use super::words::{self, Subject};
use crate::crypto::{CryptoError, Keyring};
use crate::entropy::Entropy;
use crate::model::{Changes, SegmentRow, StreamId, Timestamp};

/// zstd's level: higher ones save one or two bytes in a hundred.
const ZSTD_LEVEL: i32 = 3;
/// Entries of its tables, as a power of two: larger ones are out of the processor's cache when the next batch comes, and
/// one record is like the one before it.
const ZSTD_TABLE_LOG: u32 = 12;
/// The most bytes that one segment unpacks to.
const SEGMENT_BYTES_MAX: usize = 256 * 1024 * 1024;
const FORMAT: u8 = 1;
/// Before the lines: the format, the change that validated them, and their length.
const HEAD_BYTES: usize = 1 + 8 + 4;

/// The log's last word on a row: what it is of, its id, and the SHA-256 of what was stored; zero once it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word {
    /// The record that says so, as its place in the segment.
    pub(super) record: u32,
    pub(super) subject: Subject,
    pub(super) id: [u8; 16],
    pub(super) digest: [u8; 32],
}

const WORD_BYTES: usize = 4 + 1 + 16 + 32;

/// What can be known of a segment without opening it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Summary {
    pub(super) format: u32,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) principals: BTreeSet<String>,
    pub(super) places: BTreeSet<String>,
    pub(super) actions: BTreeSet<String>,
}

/// What compresses segments; kept from one batch to the next, since making it costs more than using it.
pub(super) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    pub(super) fn new() -> Self {
        let made = zstd::bulk::Compressor::new(ZSTD_LEVEL).and_then(|mut packer| {
            packer.set_parameter(CParameter::HashLog(ZSTD_TABLE_LOG))?;
            packer.set_parameter(CParameter::ChainLog(ZSTD_TABLE_LOG))?;
            Ok(packer)
        });
        Self(made.expect("a compressor without a dictionary needs memory alone"))
    }
}

/// Lines being gathered for one segment, and the tree as it will stand behind them.
pub(super) struct Gathering {
    stream: StreamId,
    stream_text: String,
    first: u64,
    seed: [u8; 32],
    pub(super) tree: Frontier,
    pub(super) last: Timestamp,
    lines: Vec<u8>,
    count: u32,
    words: Vec<u8>,
    summary: Summary,
}

impl Gathering {
    /// A segment that begins where the tree ends.
    pub(super) fn new(
        stream: StreamId,
        tree: &Frontier,
        last: Timestamp,
        entropy: &dyn Entropy,
    ) -> Self {
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        Self {
            stream,
            stream_text: stream.to_string(),
            first: tree.size(),
            seed,
            tree: tree.clone(),
            last,
            lines: Vec::with_capacity(16 * 1024),
            count: 0,
            words: Vec::new(),
            summary: Summary {
                format: 1,
                from: last,
                to: last,
                principals: BTreeSet::new(),
                places: BTreeSet::new(),
                actions: BTreeSet::new(),
            },
        }
    }

    /// Adds a draft's record at the tree's end.
    ///
    /// # Errors
    /// The record is past its limits; nothing was added.
    pub(super) fn push(&mut self, draft: &Draft) -> Result<(), RecordError> {
        let record = &draft.record;
        let time = record.time.max(self.last);
        let source = record.source.map(|source| source.to_string());
        let id = record.id.to_string();
        let token = record.token.map(|token| token.to_string());
        let line = Record {
            id: (&*id).into(),
            time: time.micros(),
            salt: self.salt(),
            stream: (&*self.stream_text).into(),
            index: self.tree.size(),
            as_of: draft.relied.point.seq,
            principal: record.principal.as_deref().map(Into::into),
            token: token.as_deref().map(Into::into),
            source: source.as_deref().map(Into::into),
            user_agent: record.user_agent.as_deref().map(Into::into),
            action: record.action.into(),
            resource: (&*record.resource).into(),
            version: record.version,
            verdict: if record.allowed {
                Verdict::Allowed
            } else {
                Verdict::Refused
            },
            scope: record.scope.as_deref().map(Into::into),
            outcome: Told {
                code: record.code.into(),
                status: record.status,
            },
            request: Some((&*id).into()),
            metadata: record.metadata.as_ref().map(std::borrow::Cow::Borrowed),
            digest: record.digest,
        };
        let start = self.lines.len();
        line.write(&mut self.lines)?;
        self.tree.push(leaf_hash(&self.lines[start..]));
        self.lines.push(b'\n');
        self.last = time;
        self.add_words(&draft.changes);
        self.summarise(draft, time);
        self.count += 1;
        Ok(())
    }

    /// Seals what was gathered, validated at the change `seq`.
    ///
    /// # Errors
    /// Only if sealing or compressing fails.
    pub(super) fn seal(
        self,
        keys: &Keyring,
        entropy: &dyn Entropy,
        seq: u64,
        packer: &mut Packer,
    ) -> Result<SegmentRow, CryptoError> {
        let mut plain = Vec::with_capacity(HEAD_BYTES + self.lines.len() + self.words.len());
        plain.push(FORMAT);
        plain.extend_from_slice(&seq.to_be_bytes());
        plain.extend_from_slice(
            &u32::try_from(self.lines.len())
                .map_err(|_| CryptoError)?
                .to_be_bytes(),
        );
        plain.extend_from_slice(&self.lines);
        plain.extend_from_slice(&self.words);
        let mut packed = u32::try_from(plain.len())
            .map_err(|_| CryptoError)?
            .to_be_bytes()
            .to_vec();
        packed.extend_from_slice(&packer.0.compress(&plain).map_err(|_| CryptoError)?);
        let summary = serde_json::to_vec(&self.summary).map_err(|_| CryptoError)?;
        let stream = self.stream;
        Ok(SegmentRow {
            stream: self.stream,
            first: self.first,
            count: self.count,
            seq,
            summary: keys.seal_summary(entropy, stream, self.first, self.count, &summary)?,
            sealed: keys.seal_segment(entropy, stream, self.first, self.count, &packed)?,
        })
    }

    /// A salt that only who opens the segment can know: SHA-256 of the segment's seed and the index, cut to 128 bits.
    fn salt(&self) -> [u8; 16] {
        let hash = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.tree.size().to_be_bytes())
            .finalize();
        let mut salt = [0; 16];
        salt.copy_from_slice(&hash[..16]);
        salt
    }

    fn add_words(&mut self, changes: &Changes) {
        for (subject, id, digest) in words::of(changes) {
            self.words.extend_from_slice(&self.count.to_be_bytes());
            self.words.push(subject.number());
            self.words.extend_from_slice(&id);
            self.words.extend_from_slice(&digest);
        }
    }

    fn summarise(&mut self, draft: &Draft, time: Timestamp) {
        let record = &draft.record;
        if self.count == 0 {
            self.summary.from = time;
        }
        self.summary.to = time;
        if let Some(principal) = record
            .principal
            .as_deref()
            .filter(|name| !self.summary.principals.contains(*name))
        {
            self.summary.principals.insert(principal.to_owned());
        }
        let place = place_of(&record.resource);
        if !self.summary.places.contains(place) {
            self.summary.places.insert(place.to_owned());
        }
        if !self.summary.actions.contains(record.action) {
            self.summary.actions.insert(record.action.to_owned());
        }
    }
}

/// The place in a resource, as summaries name it: its first two parts.
pub(super) fn place_of(resource: &str) -> &str {
    let end = resource.match_indices('/').nth(1);
    &resource[..end.map_or(resource.len(), |(at, _)| at)]
}

/// A segment, opened.
pub(super) struct Opened {
    plain: Vec<u8>,
    lines: std::ops::Range<usize>,
}

impl Opened {
    /// Opens a stored segment.
    ///
    /// # Errors
    /// It is not of this place, or was changed.
    pub(super) fn open(keys: &Keyring, row: &SegmentRow) -> Result<Self, CryptoError> {
        let packed = keys.open_segment(row.stream, row.first, row.count, &row.sealed)?;
        let (length, packed) = packed
            .expose()
            .split_first_chunk::<4>()
            .ok_or(CryptoError)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CryptoError)?;
        if length > SEGMENT_BYTES_MAX {
            return Err(CryptoError);
        }
        let plain = zstd::bulk::decompress(packed, length).map_err(|_| CryptoError)?;
        let (head, rest) = plain.split_first_chunk::<HEAD_BYTES>().ok_or(CryptoError)?;
        let (seq, length) = head[1..].split_first_chunk::<8>().ok_or(CryptoError)?;
        let length = u32::from_be_bytes(length.try_into().map_err(|_| CryptoError)?);
        let length = usize::try_from(length).map_err(|_| CryptoError)?;
        let whole = head[0] == FORMAT
            && u64::from_be_bytes(*seq) == row.seq
            && length <= rest.len()
            && (rest.len() - length).is_multiple_of(WORD_BYTES);
        if !whole {
            return Err(CryptoError);
        }
        let opened = Self {
            lines: HEAD_BYTES..HEAD_BYTES + length,
            plain,
        };
        let count = opened.lines().count();
        (count == usize::try_from(row.count).unwrap_or(usize::MAX))
            .then_some(opened)
            .ok_or(CryptoError)
    }

    /// The records' lines, without newlines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.plain[self.lines.clone()]
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
    }

    /// The last words on rows that its records speak.
    pub(super) fn words(&self) -> impl Iterator<Item = Option<Word>> {
        self.plain[self.lines.end..]
            .chunks_exact(WORD_BYTES)
            .map(|bytes| {
                let (record, rest) = bytes.split_first_chunk::<4>()?;
                let (subject, rest) = rest.split_first()?;
                let (id, digest) = rest.split_first_chunk::<16>()?;
                Some(Word {
                    record: u32::from_be_bytes(*record),
                    subject: Subject::from_number(*subject)?,
                    id: *id,
                    digest: digest.try_into().ok()?,
                })
            })
    }
}
