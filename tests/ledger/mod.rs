//! The interleavings that broke earlier drafts of the ledger, as far as one node can tell them; those of two are in `nodes`.
//!
//! Invariant: nothing here waits for a time to pass, and a point that was never met fails its test.

mod batches;
mod commits;
mod copying;
mod disk;
mod fsync;
mod hangups;
mod kills;
pub mod load;
mod merging;
mod once;
mod unrecorded;
mod unsynced;
