//! What a node's merger knows to be what was signed: its stream's trees at the ends of segments, each of which led to the
//! tree that the ledger holds in memory. Who writes to the database can put a segment into another's place that opens
//! there and is of another history; no root leads over it (RFC 6962, section 2.1).
//!
//! Invariant: a tree is known only if the records behind it led to the tree under a head that this node has signed.

use std::sync::Arc;

use coffer_audit_log::Frontier;

use super::log::aside;
use super::merging::{Next, SEGMENTS_MAX, enough, unread};
use super::segments::Opened;
use super::shared::Shared;
use crate::model::{Refusal, SegmentRow};

/// Segments that are read at a time on the way to where merging begins; most of them are large.
const LARGE_AT_ONCE: u32 = 16;

/// The trees that are known, by their sizes: one at the end of each segment that is to be made, up to the last look.
#[derive(Default)]
pub(super) struct Proven {
    trees: Vec<Frontier>,
}

impl Proven {
    /// Knows nothing but this tree, which is the ledger's.
    pub(super) fn of(signed: Frontier) -> Self {
        Self {
            trees: vec![signed],
        }
    }

    /// Gives a segment back that is to stand for others, of so many records at most, if it has the ones that were
    /// signed, and their summary. It is asked of what is about to be stored and not of what was read for it, so that
    /// nothing that is done to the rows meanwhile matters.
    ///
    /// # Errors
    /// [`Refusal::Tampered`] if it has not; otherwise the store does not answer.
    pub(super) async fn hold(
        &mut self,
        shared: &Arc<Shared>,
        merged: SegmentRow,
        records: u64,
    ) -> Result<SegmentRow, Refusal> {
        let (first, end) = (merged.first, merged.first + u64::from(merged.count));
        if self.tree_of(first).is_none() || self.tree_of(end).is_none() {
            self.trees = self.look(shared, first, records).await?;
        }
        self.trees.retain(|tree| tree.size() >= first);
        let trees = self.tree_of(first).cloned().zip(self.tree_of(end).cloned());
        let (mut tree, after) = trees.ok_or(Refusal::Tampered)?;
        let _turn = shared.scan_turn().await;
        let shared = Arc::clone(shared);
        aside(move || {
            let opened = push(&shared, &mut tree, &merged, end)?;
            let whole = tree == after && opened.has_summary(&shared.keys, &merged);
            whole.then_some(merged).ok_or(Refusal::Tampered)
        })
        .await
    }

    fn tree_of(&self, size: u64) -> Option<&Frontier> {
        self.trees.iter().find(|tree| tree.size() == size)
    }

    /// Follows the records from `from` to the end of the signed tree: the trees at `from` and at the end of each
    /// segment that is to be made on the way. What lies before `from` is read from the last tree on that is known, or
    /// that the signed one still has the subtrees of.
    async fn look(
        &self,
        shared: &Arc<Shared>,
        from: u64,
        records: u64,
    ) -> Result<Vec<Frontier>, Refusal> {
        let (stream, signed) = (shared.stream, shared.signed());
        let known = self.trees.iter().filter(|tree| tree.size() <= from);
        let known = known.cloned().chain([signed.below(from)]);
        let mut tree = known.max_by_key(Frontier::size).unwrap_or_default();
        while tree.size() < from {
            let mut reader = shared.reader().await?;
            let rows = reader.list_segments(stream, tree.size(), LARGE_AT_ONCE);
            let rows = rows.await.map_err(unread)?;
            drop(reader);
            tree = follow(shared, tree, rows, from).await?;
        }
        let mut trees = vec![tree.clone()];
        while tree.size() < signed.size() {
            let mut reader = shared.reader().await?;
            let places = reader.list_segment_places(stream, tree.size(), SEGMENTS_MAX);
            let places = within(places.await.map_err(unread)?, signed.size());
            let count = match enough(tree.size(), &places, records)? {
                Next::Stays(_) => 1,
                Next::Merge(count) => count,
                Next::TooFew => SEGMENTS_MAX.min(u32::try_from(places.len()).unwrap_or(0)),
            };
            let rows = reader.list_segments(stream, tree.size(), count);
            let rows = rows.await.map_err(unread)?;
            drop(reader);
            tree = follow(shared, tree, rows, signed.size()).await?;
            trees.push(tree.clone());
        }
        (tree == signed).then_some(trees).ok_or(Refusal::Tampered)
    }
}

/// The segments of these places that lie within a tree of this size.
pub(super) fn within(mut places: Vec<(u64, u32)>, size: u64) -> Vec<(u64, u32)> {
    let ends_within = |(first, count): &(u64, u32)| first.saturating_add((*count).into()) <= size;
    let count = places.iter().take_while(|place| ends_within(place)).count();
    places.truncate(count);
    places
}

/// Puts the records of these segments behind a tree that ends in the first of them or before it, up to `until`.
async fn follow(
    shared: &Arc<Shared>,
    mut tree: Frontier,
    rows: Vec<SegmentRow>,
    until: u64,
) -> Result<Frontier, Refusal> {
    let _turn = shared.scan_turn().await;
    let shared = Arc::clone(shared);
    aside(move || {
        let before = tree.size();
        for row in &rows {
            if tree.size() >= until {
                break;
            }
            push(&shared, &mut tree, row, until)?;
        }
        (tree.size() > before)
            .then_some(tree)
            .ok_or(Refusal::Tampered)
    })
    .await
}

/// Puts the records of a segment behind a tree that ends in it, up to `until`.
fn push(
    shared: &Shared,
    tree: &mut Frontier,
    row: &SegmentRow,
    until: u64,
) -> Result<Opened, Refusal> {
    let opened = Opened::open(&shared.keys, row).map_err(|_| Refusal::Tampered)?;
    let begin = tree.size();
    if row.first > begin {
        return Err(Refusal::Tampered);
    }
    for piece in opened.pieces().skip_while(|piece| piece.end() <= begin) {
        if tree.size() >= until {
            break;
        }
        if !piece.grow(tree) {
            return Err(Refusal::Tampered);
        }
    }
    Ok(opened)
}
