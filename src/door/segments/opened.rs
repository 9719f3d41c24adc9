//! A stored segment, opened.
//!
//! Invariant: a segment that opens has as many lines, runs and changes as its row says.

use coffer_audit_log::Record;

use super::Word;
use super::content::Parsed;
use super::packer::unpack;
use super::salts::{self, Seed};
use super::summary::{Summary, open_summary};
use crate::crypto::{CryptoError, Keyring};
use crate::model::{SegmentRow, Timestamp};

/// What a segment holds, as it is stored: without the records' salts.
pub(in crate::door) struct Unsalted {
    pub(super) parsed: Parsed,
    first: u64,
}

impl Unsalted {
    /// Opens a stored segment.
    ///
    /// # Errors
    /// It is not of this place, or was changed.
    pub(in crate::door) fn open(keys: &Keyring, row: &SegmentRow) -> Result<Self, CryptoError> {
        let packed = keys.open_segment(row.stream, row.first, row.count, &row.sealed)?;
        let parsed = Parsed::parse(unpack(packed.expose())?)?;
        let counted: u64 = parsed.runs.iter().map(|run| u64::from(run.count)).sum();
        let lines = memchr::memchr_iter(b'\n', parsed.lines()).count();
        let whole = parsed.lines().last().is_none_or(|byte| *byte == b'\n')
            && counted == u64::from(row.count)
            && lines == usize::try_from(row.count).unwrap_or(usize::MAX)
            && parsed.runs.last().is_some_and(|run| run.seq == row.seq);
        let first = row.first;
        whole.then_some(Self { parsed, first }).ok_or(CryptoError)
    }

    /// Each line without its salt and its newline, with its index and what its salt was made from.
    pub(in crate::door) fn lines(&self) -> impl Iterator<Item = (u64, &Seed, &[u8])> {
        let runs = self.parsed.runs.iter();
        let seeds = runs.flat_map(|run| (0..run.count).map(|_| &run.seed));
        let mut rest = self.parsed.lines();
        (self.first..).zip(seeds).map_while(move |(index, seed)| {
            let end = memchr::memchr(b'\n', rest)?;
            let (line, behind) = rest.split_at(end);
            rest = &behind[1..];
            Some((index, seed, line))
        })
    }
}

/// A line as it was hashed, from one without its salt.
///
/// # Errors
/// It is no such line.
pub(in crate::door) fn salted(
    (index, seed, line): (u64, &Seed, &[u8]),
    out: &mut Vec<u8>,
) -> Result<(), CryptoError> {
    salts::put_back(line, salts::salt(seed, index), out)
        .then_some(())
        .ok_or(CryptoError)
}

/// The records of a segment.
pub(in crate::door) struct Opened {
    unsalted: Unsalted,
    /// Each with its newline.
    lines: Vec<u8>,
}

impl Opened {
    /// Opens a stored segment.
    ///
    /// # Errors
    /// It is not of this place, or was changed.
    pub(in crate::door) fn open(keys: &Keyring, row: &SegmentRow) -> Result<Self, CryptoError> {
        let unsalted = Unsalted::open(keys, row)?;
        let salts = 32 * usize::try_from(row.count).unwrap_or(0);
        let mut lines = Vec::with_capacity(unsalted.parsed.lines().len() + salts);
        for line in unsalted.lines() {
            salted(line, &mut lines)?;
            lines.push(b'\n');
        }
        Ok(Self { unsalted, lines })
    }

    /// The records' lines, without newlines.
    pub(in crate::door) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.lines;
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest)?;
            let (line, behind) = rest.split_at(end);
            rest = &behind[1..];
            Some(line)
        })
    }

    /// What its records have to say in its summary; nothing when one of them is no record.
    pub(in crate::door) fn summary(&self) -> Option<Summary> {
        let mut summary: Option<Summary> = None;
        for line in self.lines() {
            let record = Record::parse(line).ok()?;
            let time = Timestamp::from_micros(record.time);
            summary
                .get_or_insert_with(|| Summary::new(time))
                .add(&record);
        }
        summary
    }

    /// Whether the row's summary is the one that its records have to have.
    pub(in crate::door) fn has_summary(&self, keys: &Keyring, row: &SegmentRow) -> bool {
        let stored = open_summary(keys, row.stream, (row.first, row.count), &row.summary);
        stored.is_ok_and(|stored| self.summary().as_ref() == Some(&stored))
    }

    /// The changes that validated its records, in the records' order.
    pub(in crate::door) fn changes(&self) -> impl Iterator<Item = u64> {
        self.unsalted.parsed.runs.iter().map(|run| run.seq)
    }

    /// The last words on rows that its records speak.
    pub(in crate::door) fn words(&self) -> impl Iterator<Item = Option<Word>> {
        self.unsalted.parsed.spoken()
    }
}
