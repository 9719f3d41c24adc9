//! Many batches' segments made one: the same lines and words, under the changes that validated them.
//! A small segment is mostly envelope, and its records are compressed without those before them.
//!
//! Invariant: what was merged opens to the same lines at the same indexes, and its words in the same order.

use super::content::Content;
use super::opened::Unsalted;
use super::packer::Packer;
use super::summary::{Summary, open_summary};
use crate::crypto::{CryptoError, Keyring};
use crate::entropy::Entropy;
use crate::model::SegmentRow;

/// What became of segments that were to be merged.
pub(in crate::door) enum Merged {
    /// They are to be replaced by this one.
    Into(SegmentRow),
    /// One was pruned, and stays the range that its pruning names: everything before this index stays as it is.
    StaysTo(u64),
}

/// One segment that holds what these hold, which lie one behind the other.
///
/// # Errors
/// There is none, one does not open at its place, or a gap lies between two.
pub(in crate::door) fn merge(
    keys: &Keyring,
    entropy: &dyn Entropy,
    rows: &[SegmentRow],
) -> Result<Merged, CryptoError> {
    let (first, last) = rows.first().zip(rows.last()).ok_or(CryptoError)?;
    let (mut content, mut count) = (Content::default(), 0_u32);
    let mut summary: Option<Summary> = None;
    for row in rows {
        if row.stream != first.stream || row.first != first.first + u64::from(count) {
            return Err(CryptoError);
        }
        let opened = Unsalted::open(keys, row)?;
        if opened.is_pruned() {
            return Ok(Merged::StaysTo(row.first + u64::from(row.count)));
        }
        content.append(count, &opened.parsed)?;
        let next = open_summary(keys, row.stream, (row.first, row.count), &row.summary)?;
        match &mut summary {
            None => summary = Some(next),
            Some(summary) => summary.join(next),
        }
        count = count.checked_add(row.count).ok_or(CryptoError)?;
    }
    let summary = summary.ok_or(CryptoError)?.encode()?;
    let packed = Packer::large().pack(&content.encode()?)?;
    let (stream, first) = (first.stream, first.first);
    Ok(Merged::Into(SegmentRow {
        stream,
        first,
        count,
        seq: last.seq,
        summary: keys.seal_summary(entropy, stream, first, count, &summary)?,
        sealed: keys.seal_segment(entropy, stream, first, count, &packed)?,
    }))
}
