//! A stored segment, opened.
//!
//! Invariant: a segment that opens has as many lines, runs and changes as its row says.

use coffer_audit_log::{Frontier, Gap, Record, leaf_hash};

use super::Word;
use super::content::{Parsed, Run};
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
        let lines = memchr::memchr_iter(b'\n', parsed.lines()).count() as u64;
        let opened = Self {
            parsed,
            first: row.first,
        };
        let whole = opened
            .parsed
            .lines()
            .last()
            .is_none_or(|byte| *byte == b'\n')
            && counted == u64::from(row.count)
            && opened
                .missing()
                .is_some_and(|missing| missing + lines == counted)
            && opened
                .gaps()
                .last()
                .is_none_or(|gap| gap.end() <= row.first + counted)
            && opened
                .parsed
                .runs
                .last()
                .is_some_and(|run| run.seq == row.seq);
        whole.then_some(opened).ok_or(CryptoError)
    }

    /// Whether records of it were pruned.
    pub(in crate::door) const fn is_pruned(&self) -> bool {
        !self.parsed.holes.is_empty()
    }

    /// What stands in the place of records that were pruned.
    pub(in crate::door) fn gaps(&self) -> impl DoubleEndedIterator<Item = Gap> {
        self.parsed.holes.iter().map(|hole| Gap {
            first: self.first.saturating_add(hole.at.into()),
            level: hole.level,
            hash: hole.hash,
        })
    }

    /// How many records were pruned; nothing when the gaps are no gaps, or not one behind the other.
    fn missing(&self) -> Option<u64> {
        let (mut missing, mut end) = (0_u64, self.first);
        for gap in self.gaps() {
            if !gap.is_whole() || gap.first < end {
                return None;
            }
            missing = missing.checked_add(gap.count())?;
            end = gap.end();
        }
        Some(missing)
    }

    /// All lines without their salts, each with its newline.
    pub(in crate::door) fn all_lines(&self) -> &[u8] {
        self.parsed.lines()
    }

    /// Each line without its salt and its newline, with its index and what its salt was made from.
    pub(in crate::door) fn lines(&self) -> impl Iterator<Item = (u64, &Seed, &[u8])> {
        self.items().filter_map(|item| match item {
            Item::Line(index, seed, line) => Some((index, seed, line)),
            Item::Gap(_) => None,
        })
    }

    /// Its records and what stands in the place of those that were pruned, as they lie one behind the other.
    pub(in crate::door) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let mut runs = self.parsed.runs.iter();
        let (mut seed, mut run_end) = (None, self.first);
        let mut gaps = self.gaps().peekable();
        let mut rest = self.parsed.lines();
        let mut index = self.first;
        std::iter::from_fn(move || {
            if let Some(gap) = gaps.next_if(|gap| gap.first == index) {
                index = gap.end();
                return Some(Item::Gap(gap));
            }
            let end = memchr::memchr(b'\n', rest)?;
            let (line, behind) = rest.split_at(end);
            rest = &behind[1..];
            while run_end <= index {
                let run = runs.next()?;
                run_end += u64::from(run.count);
                seed = Some(&run.seed);
            }
            index += 1;
            Some(Item::Line(index - 1, seed?, line))
        })
    }
}

/// A record, or what stands in the place of some.
pub(in crate::door) enum Item<'a> {
    /// The index, what the salt was made from, and the line without its salt and its newline.
    Line(u64, &'a Seed, &'a [u8]),
    /// What was pruned.
    Gap(Gap),
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

    /// Its records' lines and what stands in the place of those that were pruned, in their order.
    pub(in crate::door) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut lines = self.lines();
        self.unsalted.items().map_while(move |item| match item {
            Item::Line(index, ..) => Some(Piece::Line(index, lines.next()?)),
            Item::Gap(gap) => Some(Piece::Gap(gap)),
        })
    }

    /// Whether records of it were pruned.
    pub(in crate::door) const fn is_pruned(&self) -> bool {
        self.unsalted.is_pruned()
    }

    /// The runs, one behind the other.
    pub(super) fn runs(&self) -> std::slice::Iter<'_, Run> {
        self.unsalted.parsed.runs.iter()
    }

    /// The lines without their salts.
    pub(super) fn unsalted_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.unsalted.lines().map(|(_, _, line)| line)
    }

    /// The words as they are written, each with the place of its record.
    pub(super) fn written_words(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.unsalted.parsed.written_words()
    }

    /// What its records have to say in a summary of these times, which those that were pruned had; nothing when one of
    /// them is no record, or of another time.
    fn summary(&self, from: Timestamp, to: Timestamp) -> Option<Summary> {
        let pruned = self.is_pruned();
        let mut summary = pruned.then(|| Summary::pruned(from, to));
        for line in self.lines() {
            let record = Record::parse(line).ok()?;
            let time = Timestamp::from_micros(record.time);
            let summary = summary.get_or_insert_with(|| Summary::new(time));
            if !pruned {
                summary.add(&record);
            } else if (from..=to).contains(&time) {
                summary.name(&record);
            } else {
                return None;
            }
        }
        summary
    }

    /// Whether the row's summary is the one that its records have to have.
    pub(in crate::door) fn has_summary(&self, keys: &Keyring, row: &SegmentRow) -> bool {
        let stored = open_summary(keys, row.stream, (row.first, row.count), &row.summary);
        stored.is_ok_and(|stored| self.summary(stored.from, stored.to).as_ref() == Some(&stored))
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

/// A record as it was hashed, with its index, or what stands in the place of some.
#[derive(Clone, Copy)]
pub(in crate::door) enum Piece<'a> {
    Line(u64, &'a [u8]),
    Gap(Gap),
}

impl Piece<'_> {
    /// The index behind it.
    pub(in crate::door) const fn end(&self) -> u64 {
        match self {
            Self::Line(index, _) => *index + 1,
            Self::Gap(gap) => gap.end(),
        }
    }

    /// Puts it at the end of the tree; false when it does not belong there.
    pub(in crate::door) fn grow(&self, tree: &mut Frontier) -> bool {
        match self {
            Self::Line(_, line) => {
                tree.push(leaf_hash(line));
                true
            }
            Self::Gap(gap) => tree.size() == gap.first && tree.push_subtree(gap.level, gap.hash),
        }
    }
}
