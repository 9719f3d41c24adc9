//! A stored segment, opened.
//!
//! Invariant: a segment that opens has as many lines, runs and changes as its row says.

use super::Word;
use super::content::Parsed;
use super::packer::unpack;
use crate::crypto::{CryptoError, Keyring};
use crate::model::SegmentRow;

/// The records of a segment.
pub(in crate::door) struct Opened {
    pub(super) parsed: Parsed,
}

impl Opened {
    /// Opens a stored segment.
    ///
    /// # Errors
    /// It is not of this place, or was changed.
    pub(in crate::door) fn open(keys: &Keyring, row: &SegmentRow) -> Result<Self, CryptoError> {
        let packed = keys.open_segment(row.stream, row.first, row.count, &row.sealed)?;
        let parsed = Parsed::parse(unpack(packed.expose())?)?;
        let opened = Self { parsed };
        let runs = &opened.parsed.runs;
        let counted: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
        let lines = opened.lines().count();
        let ended = opened
            .parsed
            .lines()
            .last()
            .is_none_or(|byte| *byte == b'\n');
        let whole = ended
            && counted == u64::from(row.count)
            && lines == usize::try_from(row.count).unwrap_or(usize::MAX)
            && runs.last().is_some_and(|run| run.seq == row.seq);
        whole.then_some(opened).ok_or(CryptoError)
    }

    /// The records' lines, without newlines.
    pub(in crate::door) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.parsed.lines();
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest)?;
            let (line, behind) = rest.split_at(end);
            rest = &behind[1..];
            Some(line)
        })
    }

    /// The last words on rows that its records speak.
    pub(in crate::door) fn words(&self) -> impl Iterator<Item = Option<Word>> {
        self.parsed.spoken()
    }
}
