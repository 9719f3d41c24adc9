//! What retention leaves of segments: one that holds the records that are kept, and hashes in the place of the others.
//!
//! Invariant: it leads to the same root as what it replaces, and its kept lines and words are the ones that were there.

use coffer_audit_log::{Gap, Gaps, Record, leaf_hash};

use super::content::{Content, Hole, Run};
use super::opened::{Opened, Piece};
use super::packer::Packer;
use super::summary::{Summary, open_summary};
use crate::crypto::{CryptoError, Keyring};
use crate::entropy::Entropy;
use crate::model::{SegmentRow, Timestamp};

/// What stands in the place of segments that were pruned.
pub(in crate::door) struct Pruned {
    pub(in crate::door) row: SegmentRow,
    /// The indexes of the records that are kept.
    pub(in crate::door) kept: Vec<u64>,
    /// How many records were pruned now.
    pub(in crate::door) gone: u64,
}

/// Prunes segments that lie one behind the other: of their records, those whose index and line `keeps` takes are left.
/// `None` when all of them are.
///
/// # Errors
/// There is none, one does not open at its place or has a summary that is not of its records, a gap lies between two, or
/// a record would go that is not from `before`.
pub(in crate::door) fn prune(
    keys: &Keyring,
    entropy: &dyn Entropy,
    rows: &[SegmentRow],
    before: Timestamp,
    keeps: &dyn Fn(u64, &Record<'_>) -> bool,
) -> Result<Option<Pruned>, CryptoError> {
    let (first, last) = rows.first().zip(rows.last()).ok_or(CryptoError)?;
    let mut left = Left::new(first.first, before);
    let mut summary: Option<Summary> = None;
    let mut end = first.first;
    for row in rows {
        if row.stream != first.stream || row.first != end {
            return Err(CryptoError);
        }
        let opened = Opened::open(keys, row)?;
        if !opened.has_summary(keys, row) {
            return Err(CryptoError);
        }
        let next = open_summary(keys, row.stream, (row.first, row.count), &row.summary)?;
        let summary = summary.get_or_insert_with(|| Summary::pruned(next.from, next.to));
        summary.to = next.to;
        left.take(&opened, row, keeps, summary)?;
        end = row.first + u64::from(row.count);
    }
    let gone = left.gone;
    let (content, kept) = left.end();
    if gone == 0 {
        return Ok(None);
    }
    let (stream, first) = (first.stream, first.first);
    let count = u32::try_from(end - first).map_err(|_| CryptoError)?;
    let summary = summary.ok_or(CryptoError)?.encode()?;
    let packed = Packer::large().pack(&content.encode()?)?;
    let row = SegmentRow {
        stream,
        first,
        count,
        seq: last.seq,
        summary: keys.seal_summary(entropy, stream, first, count, &summary)?,
        sealed: keys.seal_segment(entropy, stream, first, count, &packed)?,
    };
    Ok(Some(Pruned { row, kept, gone }))
}

/// A run of which no record is kept: its salts are needed no more.
const NO_RUN: Run = Run {
    count: 0,
    seq: 0,
    seed: [0; 32],
};

/// What is left so far.
struct Left {
    first: u64,
    before: Timestamp,
    content: Content,
    gaps: Gaps,
    kept: Vec<u64>,
    /// How many records were pruned now.
    gone: u64,
}

impl Left {
    fn new(first: u64, before: Timestamp) -> Self {
        Self {
            first,
            before,
            content: Content::default(),
            gaps: Gaps::default(),
            kept: Vec::new(),
            gone: 0,
        }
    }

    fn take(
        &mut self,
        opened: &Opened,
        row: &SegmentRow,
        keeps: &dyn Fn(u64, &Record<'_>) -> bool,
        summary: &mut Summary,
    ) -> Result<(), CryptoError> {
        let mut runs = opened.runs();
        let (mut run, mut run_end) = (&NO_RUN, row.first);
        let mut words = opened.written_words().peekable();
        let mut unsalted = opened.unsalted_lines();
        let moved = self.place(row.first)?;
        for piece in opened.pieces() {
            // A gap lies within one run: nothing that was kept lies in it.
            while run_end < piece.end() {
                run = runs.next().ok_or(CryptoError)?;
                run_end += u64::from(run.count);
            }
            let (index, line) = match piece {
                Piece::Gap(gap) => {
                    self.leave(gap, run.seq)?;
                    continue;
                }
                Piece::Line(index, line) => (index, line),
            };
            let stored = unsalted.next().ok_or(CryptoError)?;
            let at = u32::try_from(index - row.first).map_err(|_| CryptoError)?;
            let record = Record::parse(line).map_err(|_| CryptoError)?;
            let keeps = keeps(index, &record);
            if keeps {
                self.keep(index, stored, run)?;
                summary.name(&record);
            } else if record.time >= self.before.micros() {
                return Err(CryptoError);
            } else {
                self.gone += 1;
                let gap = Gap {
                    first: index,
                    level: 0,
                    hash: leaf_hash(line),
                };
                self.leave(gap, run.seq)?;
            }
            while let Some((_, word)) = words.next_if(|(record, _)| *record <= at) {
                if keeps {
                    self.content.add_written_word(moved, word)?;
                }
            }
        }
        Ok(())
    }

    /// Puts a gap behind what is left, whose last record was validated at the change `seq`.
    fn leave(&mut self, gap: Gap, seq: u64) -> Result<(), CryptoError> {
        self.gaps.push(gap);
        let closed: Vec<Gap> = self.gaps.closed().collect();
        self.write(closed)?;
        let count = u32::try_from(gap.count()).map_err(|_| CryptoError)?;
        match self.content.runs.last_mut() {
            Some(last) if last.seed == NO_RUN.seed => {
                last.count = last.count.checked_add(count).ok_or(CryptoError)?;
                last.seq = seq;
            }
            _ => self.content.runs.push(Run {
                count,
                seq,
                ..NO_RUN
            }),
        }
        Ok(())
    }

    fn keep(&mut self, index: u64, line: &[u8], run: &Run) -> Result<(), CryptoError> {
        let open: Vec<Gap> = self.gaps.end().collect();
        self.write(open)?;
        self.content.lines.extend_from_slice(line);
        self.content.lines.push(b'\n');
        self.kept.push(index);
        match self.content.runs.last_mut() {
            Some(last) if (last.seq, last.seed) == (run.seq, run.seed) => last.count += 1,
            _ => self.content.runs.push(Run { count: 1, ..*run }),
        }
        Ok(())
    }

    fn write(&mut self, gaps: Vec<Gap>) -> Result<(), CryptoError> {
        for gap in gaps {
            let at = self.place(gap.first)?;
            self.content.holes.push(Hole {
                at,
                level: gap.level,
                hash: gap.hash,
            });
        }
        Ok(())
    }

    fn place(&self, index: u64) -> Result<u32, CryptoError> {
        u32::try_from(index - self.first).map_err(|_| CryptoError)
    }

    fn end(mut self) -> (Content, Vec<u64>) {
        let open: Vec<Gap> = self.gaps.end().collect();
        self.write(open)
            .expect("a gap lies within the segments it is of");
        (self.content, self.kept)
    }
}
