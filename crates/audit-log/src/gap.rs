//! Gaps: where records were pruned, the hash of the subtree over them stands in their place.
//! They are written as few as there can be, so that what is there and what is not has one spelling.
//!
//! Invariant: a gap is a full subtree at its own place, of at most 256 records, and never one half of another.

use crate::canonical::decimal;
use crate::tree::{Hash, node_hash};

/// The highest level of a gap: 2^8 = 256 records, a full tile (C2SP tlog-tiles).
pub const GAP_LEVEL_MAX: u8 = 8;

/// What stands before a gap's level in a bundle.
const WORD: &str = "pruned ";

/// The records from `first` on, 2^`level` of them, by the hash of the subtree over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The index of its first record.
    pub first: u64,
    /// How many records, as a power of two.
    pub level: u8,
    /// The hash of the subtree.
    pub hash: Hash,
}

impl Gap {
    /// How many records are gone.
    #[must_use]
    pub const fn count(&self) -> u64 {
        1 << self.level
    }

    /// The index behind its last record.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.first + self.count()
    }

    /// Whether it is a full subtree at its own place, and not past what a gap may be.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.level <= GAP_LEVEL_MAX
            && self.first.is_multiple_of(1 << self.level)
            && self.first.checked_add(1 << self.level).is_some()
    }

    /// The gap that these two are the halves of.
    #[must_use]
    pub fn joined(&self, next: &Self) -> Option<Self> {
        let halves = self.level == next.level
            && self.level < GAP_LEVEL_MAX
            && self.end() == next.first
            && self.first.is_multiple_of(2 << self.level);
        halves.then(|| Self {
            first: self.first,
            level: self.level + 1,
            hash: node_hash(&self.hash, &next.hash),
        })
    }

    /// Writes its line, without a newline.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{WORD}{} {}", self.level, self.hash).as_bytes());
    }

    /// Reads the line of a gap that begins at `first`; `None` when the line is that of no gap, an inner `None` when
    /// it is malformed.
    pub(crate) fn parse(first: u64, line: &[u8]) -> Option<Option<Self>> {
        let rest = line.strip_prefix(WORD.as_bytes())?;
        let read = || {
            let (level, hash) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
            let gap = Self {
                first,
                level: decimal(level)?.try_into().ok()?,
                hash: hash.parse().ok()?,
            };
            gap.is_whole().then_some(gap)
        };
        Some(read())
    }
}

/// Joins gaps as they come, one behind the other, and gives them as few as there can be.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Each of a lower level than the one before, or not aligned with it.
    open: Vec<Gap>,
}

impl Gaps {
    /// Takes the next gap, which begins where the one before ended.
    pub fn push(&mut self, gap: Gap) {
        let mut gap = gap;
        while let Some(joined) = self.open.last().and_then(|last| last.joined(&gap)) {
            self.open.pop();
            gap = joined;
        }
        self.open.push(gap);
    }

    /// Those that nothing can be joined to any more: all of them, when `gap` is the highest there is.
    pub fn closed(&mut self) -> std::vec::Drain<'_, Gap> {
        let full = self.open.iter().rposition(|gap| gap.level == GAP_LEVEL_MAX);
        self.open.drain(..full.map_or(0, |at| at + 1))
    }

    /// All that are left: a record follows, or the end.
    pub fn end(&mut self) -> std::vec::Drain<'_, Gap> {
        self.open.drain(..)
    }
}
