//! What lies in a segment, before it is compressed:
//! format ‖ number of runs ‖ (records, change, seed) of each run ‖ number of gaps ‖ (place, level, hash) of each gap ‖
//! length of the lines ‖ lines ‖ words.
//! A run is what one batch stored, with the change that validated it and what its salts were made from; a gap is what
//! was pruned; the lines are without salts; numbers are big-endian.
//!
//! Invariant: what `encode` writes is what `parse` takes, and nothing else.

use std::ops::Range;

use coffer_audit_log::Hash;

use super::Word;
use super::salts::Seed;
use crate::crypto::CryptoError;
use crate::door::words::Subject;

const FORMAT: u8 = 3;
const RUN_BYTES: usize = 4 + 8 + 32;
const GAP_BYTES: usize = 4 + 1 + 32;
/// A word: the record that says it, as its place in the segment, then what it is of, the id and the digest.
const WORD_BYTES: usize = 4 + 1 + 16 + 32;

/// Consecutive records that one change validated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub(super) count: u32,
    pub(super) seq: u64,
    pub(super) seed: Seed,
}

/// A full subtree of records that were pruned, by its first record's place in the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hole {
    pub(super) at: u32,
    pub(super) level: u8,
    pub(super) hash: Hash,
}

/// The parts of a segment.
#[derive(Default)]
pub(super) struct Content {
    pub(super) runs: Vec<Run>,
    pub(super) holes: Vec<Hole>,
    /// Each with its newline, and without its salt.
    pub(super) lines: Vec<u8>,
    /// As they are written.
    pub(super) words: Vec<u8>,
}

impl Content {
    /// Adds a word that the record at this place speaks.
    pub(super) fn add_word(&mut self, record: u32, subject: Subject, id: &[u8], digest: &[u8; 32]) {
        self.words.extend_from_slice(&record.to_be_bytes());
        self.words.push(subject.number());
        self.words.extend_from_slice(id);
        self.words.extend_from_slice(digest);
    }

    /// Adds everything that another segment holds, whose first record lies at `at` of this one.
    pub(super) fn append(&mut self, at: u32, other: &Parsed) -> Result<(), CryptoError> {
        self.runs.extend_from_slice(&other.runs);
        for hole in &other.holes {
            let at = hole.at.checked_add(at).ok_or(CryptoError)?;
            self.holes.push(Hole { at, ..*hole });
        }
        self.lines.extend_from_slice(other.lines());
        for (_, word) in other.written_words() {
            self.add_written_word(at, word)?;
        }
        Ok(())
    }

    /// Adds a word of another segment, whose first record lies at `at` of this one.
    pub(super) fn add_written_word(&mut self, at: u32, word: &[u8]) -> Result<(), CryptoError> {
        let (record, rest) = word.split_first_chunk::<4>().ok_or(CryptoError)?;
        let moved = u32::from_be_bytes(*record).checked_add(at);
        self.words
            .extend_from_slice(&moved.ok_or(CryptoError)?.to_be_bytes());
        self.words.extend_from_slice(rest);
        Ok(())
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, CryptoError> {
        let number = |length: usize| u32::try_from(length).map_err(|_| CryptoError);
        let head = 1 + 4 + RUN_BYTES * self.runs.len() + 4 + GAP_BYTES * self.holes.len() + 4;
        let mut plain = Vec::with_capacity(head + self.lines.len() + self.words.len());
        plain.push(FORMAT);
        plain.extend_from_slice(&number(self.runs.len())?.to_be_bytes());
        for run in &self.runs {
            plain.extend_from_slice(&run.count.to_be_bytes());
            plain.extend_from_slice(&run.seq.to_be_bytes());
            plain.extend_from_slice(&run.seed);
        }
        plain.extend_from_slice(&number(self.holes.len())?.to_be_bytes());
        for hole in &self.holes {
            plain.extend_from_slice(&hole.at.to_be_bytes());
            plain.push(hole.level);
            plain.extend_from_slice(&hole.hash.0);
        }
        plain.extend_from_slice(&number(self.lines.len())?.to_be_bytes());
        plain.extend_from_slice(&self.lines);
        plain.extend_from_slice(&self.words);
        Ok(plain)
    }
}

/// A segment's bytes, with the places of their parts.
pub(super) struct Parsed {
    pub(super) runs: Vec<Run>,
    pub(super) holes: Vec<Hole>,
    plain: Vec<u8>,
    lines: Range<usize>,
}

impl Parsed {
    pub(super) fn parse(plain: Vec<u8>) -> Result<Self, CryptoError> {
        let (format, rest) = plain.split_first().ok_or(CryptoError)?;
        let (runs, rest) = list(rest, RUN_BYTES, run)?;
        let (holes, rest) = list(rest, GAP_BYTES, hole)?;
        let (lines, rest) = length(rest)?;
        let whole = *format == FORMAT
            && !runs.is_empty()
            && lines <= rest.len()
            && (rest.len() - lines).is_multiple_of(WORD_BYTES);
        if !whole {
            return Err(CryptoError);
        }
        let begin = plain.len() - rest.len();
        Ok(Self {
            runs,
            holes,
            lines: begin..begin + lines,
            plain,
        })
    }

    /// All lines, each with its newline.
    pub(super) fn lines(&self) -> &[u8] {
        &self.plain[self.lines.clone()]
    }

    fn words(&self) -> &[u8] {
        &self.plain[self.lines.end..]
    }

    /// The words as they are written, each with the place of the record that speaks it.
    pub(super) fn written_words(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.words().chunks_exact(WORD_BYTES).map(|bytes| {
            let (record, _) = bytes
                .split_first_chunk()
                .expect("a word begins with a place");
            (u32::from_be_bytes(*record), bytes)
        })
    }

    /// The words, each with the change that validated its record; `None` for one that is none.
    pub(super) fn spoken(&self) -> impl Iterator<Item = Option<Word>> {
        let mut runs = self.runs.iter();
        let (mut end, mut seq) = (0, 0);
        // Words are in the order of their records.
        self.words().chunks_exact(WORD_BYTES).map(move |bytes| {
            let (record, rest) = bytes.split_first_chunk::<4>()?;
            let (subject, rest) = rest.split_first()?;
            let (id, digest) = rest.split_first_chunk::<16>()?;
            while u64::from(u32::from_be_bytes(*record)) >= end {
                let run = runs.next()?;
                (end, seq) = (end + u64::from(run.count), run.seq);
            }
            Some(Word {
                seq,
                record: u32::from_be_bytes(*record),
                subject: Subject::from_number(*subject)?,
                id: *id,
                digest: digest.try_into().ok()?,
            })
        })
    }
}

fn length(bytes: &[u8]) -> Result<(usize, &[u8]), CryptoError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(CryptoError)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CryptoError)?;
    Ok((length, rest))
}

/// What stands behind a number, so many parts of one length.
fn list<T>(
    bytes: &[u8],
    each: usize,
    read: fn(&[u8]) -> Option<T>,
) -> Result<(Vec<T>, &[u8]), CryptoError> {
    let (count, rest) = length(bytes)?;
    let listed = count.checked_mul(each).ok_or(CryptoError)?;
    let (listed, rest) = rest.split_at_checked(listed).ok_or(CryptoError)?;
    let parts: Option<Vec<T>> = listed.chunks_exact(each).map(read).collect();
    Ok((parts.ok_or(CryptoError)?, rest))
}

fn hole(bytes: &[u8]) -> Option<Hole> {
    let (at, rest) = bytes.split_first_chunk::<4>()?;
    let (level, hash) = rest.split_first()?;
    Some(Hole {
        at: u32::from_be_bytes(*at),
        level: *level,
        hash: Hash(hash.try_into().ok()?),
    })
}

fn run(bytes: &[u8]) -> Option<Run> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let (seq, seed) = rest.split_first_chunk::<8>()?;
    Some(Run {
        count: u32::from_be_bytes(*count),
        seq: u64::from_be_bytes(*seq),
        seed: seed.try_into().ok()?,
    })
}
