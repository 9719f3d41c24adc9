//! Segments: records as they lie in the store, a batch's or many batches' merged, and which rows each of them wrote.
//! Compressed with zstd, then sealed for their place in the stream; a summary, sealed by itself, lets queries skip one.
//!
//! Invariant: the lines come out byte for byte as they were hashed, or not at all.

mod content;
#[cfg(any(test, fuzzing))]
pub(in crate::door) mod fuzzing;
mod gather;
mod merge;
mod opened;
mod packer;
mod prune;
mod salts;
mod summary;

pub(super) use gather::Gathering;
pub(super) use merge::{Merged, merge};
pub(super) use opened::{Opened, Piece, Unsalted, salted};
pub(super) use packer::Packer;
pub(super) use prune::{Pruned, prune};
pub(super) use summary::{Summary, open_summary};

use super::words::Subject;

/// The log's last word on a row: what it is of, its id, and the SHA-256 of what was stored; zero once it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word {
    /// The change that validated the record which says so.
    pub(super) seq: u64,
    /// That record's place in its segment.
    pub(super) record: u32,
    pub(super) subject: Subject,
    pub(super) id: [u8; 16],
    pub(super) digest: [u8; 32],
}
