//! The tree of a stream as tiles (C2SP tlog-tiles): 256 hashes side by side at every eighth level, and the records below.
//! They are made from the segments whenever they are asked for. What lies over 65,536 records is remembered, so that the
//! upper levels do not take the whole log each time.
//!
//! Invariant: nothing beyond the given size is told, and where a record was pruned there is neither it nor its own hash.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use coffer_audit_log::{Frontier, Hash, leaf_hash};
use tokio::sync::Mutex;

use super::aside;
use crate::door::Door;
use crate::door::segments::{Opened, Piece};
use crate::door::shared::Shared;
use crate::model::{Refusal, SegmentRow, StreamId};

/// Hashes of a full tile, and records of a full bundle of entries.
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree from one level of tiles to the next.
const TILE_HEIGHT: u32 = 8;
/// The level of the hashes that are remembered: each is over all records of a tile of level 1.
const KNOWN_HEIGHT: u32 = 2 * TILE_HEIGHT;
/// Hashes that one request makes, of those that will be remembered.
const KNOWN_AT_ONCE: u64 = 16;
const NOT_MADE: &str =
    "the upper tiles of this stream are still being made from its records; ask again in a moment";

/// A tile, or a bundle of entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tile {
    /// The level; nothing for the entries themselves.
    pub level: Option<u8>,
    /// Which of its level.
    pub index: u64,
    /// How many of its hashes or entries, from 1 to [`TILE_WIDTH`].
    pub width: u64,
}

/// Hashes that were made before, by stream.
pub(in crate::door) type KnownHashes = Mutex<HashMap<StreamId, Vec<Hash>>>;

impl Tile {
    /// Whether a tree of so many records has it.
    pub const fn is_within(&self, size: u64) -> bool {
        let level = match self.level {
            Some(level) => level as u32,
            None => 0,
        };
        let whole = if level < u64::BITS / TILE_HEIGHT {
            size >> (level * TILE_HEIGHT)
        } else {
            0
        };
        match self.index.checked_mul(TILE_WIDTH) {
            Some(first) => whole >= first && whole - first >= self.width,
            None => false,
        }
    }
}

impl Door {
    /// The bytes of a tile of a stream, which has at least so many records as it needs: hashes side by side, or entries,
    /// each behind its length. `None` when they were pruned.
    ///
    /// # Errors
    /// The store does not answer, a segment is missing or does not open, or a tile of an upper level takes longer to make.
    pub async fn tile(&self, stream: StreamId, tile: Tile) -> Result<Option<Vec<u8>>, Refusal> {
        let shared = &self.shared;
        shared.sync().await?;
        let first = tile.index * TILE_WIDTH;
        let Some(level) = tile.level else {
            return entries(shared, stream, first, tile.width).await;
        };
        let height = u32::from(level) * TILE_HEIGHT;
        let hashes = if height < KNOWN_HEIGHT {
            match hashes(shared, stream, height, first, tile.width).await? {
                Some(hashes) => hashes,
                None => return Ok(None),
            }
        } else {
            let apart = height - KNOWN_HEIGHT;
            let known = known(shared, stream, first << apart, tile.width << apart).await?;
            known.chunks(1 << apart).map(root_of).collect()
        };
        Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect()))
    }
}

/// The hash of a full subtree, of the hashes over its equal parts.
fn root_of(parts: &[Hash]) -> Hash {
    let mut tree = Frontier::new();
    parts.iter().for_each(|part| tree.push(*part));
    tree.root()
}

/// The hashes over 65,536 records each, so many from `first` on; those that nobody asked for before are made.
async fn known(
    shared: &Arc<Shared>,
    stream: StreamId,
    first: u64,
    count: u64,
) -> Result<Vec<Hash>, Refusal> {
    let mut all = shared.known_hashes.lock().await;
    let known = all.entry(stream).or_default();
    let wanted = first + count;
    for _ in 0..KNOWN_AT_ONCE {
        let next = known.len() as u64;
        if next >= wanted {
            break;
        }
        let made = hashes(shared, stream, KNOWN_HEIGHT, next, 1).await?;
        known.extend(made.ok_or(Refusal::Tampered)?);
    }
    let range = usize::try_from(first)
        .ok()
        .zip(usize::try_from(wanted).ok());
    let found = range.and_then(|(first, wanted)| known.get(first..wanted));
    found
        .map(<[Hash]>::to_vec)
        .ok_or(Refusal::Unavailable(NOT_MADE))
}

/// The hashes over 2^`height` records each, so many from `first` on; `None` when one of them was pruned.
async fn hashes(
    shared: &Arc<Shared>,
    stream: StreamId,
    height: u32,
    first: u64,
    count: u64,
) -> Result<Option<Vec<Hash>>, Refusal> {
    let each = 1 << height;
    let range = first * each..(first + count) * each;
    let hashes = walk(shared, stream, range, Hashes::of(each)).await?;
    Ok(hashes.made)
}

/// The records from `first` on, so many, each behind its length; `None` when one of them was pruned.
async fn entries(
    shared: &Arc<Shared>,
    stream: StreamId,
    first: u64,
    count: u64,
) -> Result<Option<Vec<u8>>, Refusal> {
    let range = first..first + count;
    let entries = walk(shared, stream, range, Entries(Some(Vec::new()))).await?;
    Ok(entries.0)
}

/// What is made of a stream's pieces, as they lie one behind the other.
trait Taker: Send + 'static {
    /// Takes the next piece.
    fn take(&mut self, piece: Piece<'_>) -> Result<(), Refusal>;
}

/// Hashes over equally many records each; nothing once a piece was larger.
struct Hashes {
    each: u64,
    tree: Frontier,
    made: Option<Vec<Hash>>,
}

impl Hashes {
    fn of(each: u64) -> Self {
        Self {
            each,
            tree: Frontier::new(),
            made: Some(Vec::new()),
        }
    }
}

impl Taker for Hashes {
    fn take(&mut self, piece: Piece<'_>) -> Result<(), Refusal> {
        let grown = match piece {
            Piece::Line(_, line) => {
                self.tree.push(leaf_hash(line));
                true
            }
            // A subtree is aligned as its gaps are, so they stand at the same places within it.
            Piece::Gap(gap) if gap.count() <= self.each => {
                self.tree.push_subtree(gap.level, gap.hash)
            }
            Piece::Gap(_) => {
                self.made = None;
                true
            }
        };
        if let Some(made) = &mut self.made
            && self.tree.size() == self.each
        {
            made.push(std::mem::take(&mut self.tree).root());
        }
        grown.then_some(()).ok_or(Refusal::Tampered)
    }
}

/// Records, each behind its length (C2SP tlog-tiles: an entry bundle); nothing once one was pruned.
struct Entries(Option<Vec<u8>>);

impl Taker for Entries {
    fn take(&mut self, piece: Piece<'_>) -> Result<(), Refusal> {
        match (piece, &mut self.0) {
            (Piece::Line(_, line), Some(entries)) => {
                let length = u16::try_from(line.len()).map_err(|_| Refusal::Tampered)?;
                entries.extend_from_slice(&length.to_be_bytes());
                entries.extend_from_slice(line);
            }
            _ => self.0 = None,
        }
        Ok(())
    }
}

/// Gives the pieces of a range of a stream, which is signed, to a taker.
async fn walk<T: Taker>(
    shared: &Arc<Shared>,
    stream: StreamId,
    range: Range<u64>,
    mut taker: T,
) -> Result<T, Refusal> {
    let (mut at, end) = (range.start, range.end);
    while at < end {
        let rows = shared.segments_from(stream, at).await?;
        if rows.is_empty() {
            return Err(Refusal::Tampered);
        }
        let shared = Arc::clone(shared);
        let _turn = shared.scan_turn().await;
        let keys = Arc::clone(&shared);
        let walked = aside(move || {
            for row in &rows {
                at = give(&keys, row, at..end, &mut taker)?;
            }
            Ok::<_, Refusal>((at, taker))
        });
        (at, taker) = walked.await?;
    }
    Ok(taker)
}

/// Gives the pieces of a segment that lie in a range; the index behind the last of them.
fn give<T: Taker>(
    shared: &Shared,
    row: &SegmentRow,
    range: Range<u64>,
    taker: &mut T,
) -> Result<u64, Refusal> {
    let mut at = range.start;
    if at >= range.end {
        return Ok(at);
    }
    if row.first > at {
        return Err(Refusal::Tampered);
    }
    let opened = Opened::open(&shared.keys, row).map_err(|_| Refusal::Tampered)?;
    for piece in opened
        .pieces()
        .skip_while(|piece| piece.end() <= range.start)
    {
        if at >= range.end {
            break;
        }
        taker.take(piece)?;
        at = piece.end();
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_the_tiles_of_its_size() {
        let has = |level: Option<u8>, index, width, size| {
            Tile {
                level,
                index,
                width,
            }
            .is_within(size)
        };
        // The example of the specification: 70,000 records.
        assert!(has(Some(0), 272, 256, 70_000) && !has(Some(0), 273, 256, 70_000));
        assert!(has(Some(0), 273, 112, 70_000) && !has(Some(0), 273, 113, 70_000));
        assert!(has(None, 273, 112, 70_000) && !has(None, 274, 1, 70_000));
        assert!(has(Some(1), 0, 256, 70_000) && has(Some(1), 1, 17, 70_000));
        assert!(!has(Some(1), 1, 18, 70_000));
        assert!(has(Some(2), 0, 1, 70_000) && !has(Some(2), 0, 2, 70_000));
        assert!(!has(Some(3), 0, 1, 70_000) && !has(Some(63), 0, 1, u64::MAX));
        assert!(has(Some(7), 0, 255, u64::MAX) && !has(Some(7), u64::MAX, 1, u64::MAX));
        assert!(has(Some(1), 0, 1, 256) && !has(Some(1), 0, 1, 255));
    }
}
