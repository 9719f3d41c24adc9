//! The whole log, gone through for what of some ranges still matters: the records whose words are the last that were said
//! of a row that lives. On the way every stream is hashed up to its signed head.
//!
//! Invariant: what it says is said of segments that lead to signed heads, and only of those.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use coffer_audit_log::{Frontier, Hash};

use super::digest;
use super::ranges::Range;
use crate::door::log::aside;
use crate::door::segments::Opened;
use crate::door::shared::Shared;
use crate::door::view::STORE_LOST;
use crate::door::words::{GONE, Subject};
use crate::model::{Refusal, SegmentRow, StreamId};

const PRUNED_MEANWHILE: &str = "another node pruned records while they were surveyed";

/// Where the last word on a row was said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    /// The change, then its place among that change's words.
    seq: u64,
    index: u64,
    at: usize,
    stream: StreamId,
    gone: bool,
}

type LastWords = HashMap<(Subject, [u8; 16]), Option<Said>>;

/// See the module.
pub(super) struct Survey {
    shared: Arc<Shared>,
    /// Where each stream ends, and the root over it: this node's own as the ledger has signed it.
    ends: Vec<(StreamId, u64, Hash)>,
    /// The rows that the ranges' words are of, and the last word on each.
    last: LastWords,
    /// The segments of the ranges, once they are hashed.
    seen: BTreeMap<(StreamId, u64), [u8; 32]>,
    /// Which segments those are.
    wanted: HashSet<(StreamId, u64)>,
}

impl Survey {
    /// Of the log as it stands now.
    pub(super) async fn new(shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let rows = shared.reader().await?.list_streams().await;
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        let own = shared.signed();
        let ends = rows.into_iter().map(|row| {
            if row.id == shared.stream {
                return Ok((row.id, own.size(), own.root()));
            }
            let head = shared.open_head(row)?;
            Ok((head.stream, head.checkpoint.size, head.checkpoint.root))
        });
        Ok(Self {
            shared: Arc::clone(shared),
            ends: ends.collect::<Result<_, Refusal>>()?,
            last: HashMap::new(),
            seen: BTreeMap::new(),
            wanted: HashSet::new(),
        })
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.ends.iter().map(|(stream, ..)| *stream)
    }

    /// How many rows are looked after.
    pub(super) fn words(&self) -> usize {
        self.last.len()
    }

    /// Looks after the rows that a range's words are of.
    pub(super) async fn add(&mut self, range: &Range) -> Result<(), Refusal> {
        let rows = {
            let mut reader = self.shared.reader().await?;
            reader
                .list_segments(range.stream, range.first, range.segments)
                .await
        };
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        self.wanted
            .extend(rows.iter().map(|row| (row.stream, row.first)));
        let shared = Arc::clone(&self.shared);
        let _turn = self.shared.scan_turn().await;
        let words = aside(move || {
            let mut words = Vec::new();
            for row in &rows {
                for word in open(&shared, row)?.words() {
                    let word = word.ok_or(Refusal::Tampered)?;
                    words.push((word.subject, word.id));
                }
            }
            Ok::<_, Refusal>(words)
        });
        self.last
            .extend(words.await?.into_iter().map(|row| (row, None)));
        Ok(())
    }

    /// Goes through all streams up to their heads.
    pub(super) async fn walk(&mut self) -> Result<(), Refusal> {
        for (stream, size, root) in std::mem::take(&mut self.ends) {
            let mut tree = Frontier::new();
            while tree.size() < size {
                let rows = self.shared.segments_from(stream, tree.size()).await?;
                if rows.is_empty() {
                    return Err(Refusal::Tampered);
                }
                let _turn = self.shared.scan_turn().await;
                let shared = Arc::clone(&self.shared);
                let (mut last, wanted) = (
                    std::mem::take(&mut self.last),
                    std::mem::take(&mut self.wanted),
                );
                let walked = aside(move || {
                    let mut seen = Vec::new();
                    for row in &rows {
                        read(&open(&shared, row)?, row, size, &mut tree, &mut last)?;
                        // What reaches beyond the end was not hashed as a whole.
                        let place = (row.stream, row.first);
                        let whole = row.first + u64::from(row.count) <= size;
                        if whole && wanted.contains(&place) {
                            seen.push((place, digest(row)));
                        }
                    }
                    Ok::<_, Refusal>((tree, last, wanted, seen))
                });
                let seen;
                (tree, self.last, self.wanted, seen) = walked.await?;
                self.seen.extend(seen);
            }
            if tree.root() != root {
                return Err(Refusal::Tampered);
            }
        }
        Ok(())
    }

    /// Whether a segment is the very one that was hashed.
    pub(super) fn saw(&self, row: &SegmentRow) -> bool {
        self.seen.get(&(row.stream, row.first)) == Some(&digest(row))
    }

    /// The records of a stream that say the last word on a row that lives.
    pub(super) fn living(&self, stream: StreamId) -> HashSet<u64> {
        let said = self.last.values().flatten();
        said.filter(|said| said.stream == stream && !said.gone)
            .map(|said| said.index)
            .collect()
    }
}

fn open(shared: &Shared, row: &SegmentRow) -> Result<Opened, Refusal> {
    Opened::open(&shared.keys, row).map_err(|_| Refusal::Tampered)
}

/// Puts a segment's records behind the tree, up to `size`, and keeps the last words on the rows that are looked after.
fn read(
    opened: &Opened,
    row: &SegmentRow,
    size: u64,
    tree: &mut Frontier,
    last: &mut LastWords,
) -> Result<(), Refusal> {
    let begin = tree.size();
    if row.first > begin {
        return Err(Refusal::Tampered);
    }
    if opened.is_pruned() && row.first != begin {
        return Err(Refusal::Unavailable(PRUNED_MEANWHILE));
    }
    for piece in opened.pieces().skip_while(|piece| piece.end() <= begin) {
        if tree.size() < size && !piece.grow(tree) {
            return Err(Refusal::Tampered);
        }
    }
    for (at, word) in opened.words().enumerate() {
        let word = word.ok_or(Refusal::Tampered)?;
        let index = row.first + u64::from(word.record);
        // What lies beyond the end is not signed yet, and what lies before was hashed with another segment.
        if index >= size {
            break;
        }
        if index < begin {
            continue;
        }
        let Some(found) = last.get_mut(&(word.subject, word.id)) else {
            continue;
        };
        let said = Said {
            seq: word.seq,
            index,
            at,
            stream: row.stream,
            gone: word.digest == GONE,
        };
        *found = (*found).max(Some(said));
    }
    Ok(())
}
