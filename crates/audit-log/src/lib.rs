//! Coffer's audit log, as pure values: a record and its one spelling, the tree over records, the signed head, and
//! the bundle that carries whole streams to an auditor. The server writes with it and the auditor verifies with it.
//!
//! Invariant: no I/O of its own, no clock, no randomness and no private key: what is not passed in is not known.
//!
//! | module | one sentence |
//! |---|---|
//! | [`record`] | one line of the log and its only spelling (RFC 8785) |
//! | [`tree`] | RFC 6962 hashing and the tree's right edge |
//! | [`proof`] | inclusion and consistency, made and checked |
//! | [`name`] | clusters, streams and origins |
//! | [`key`] | the public verifier key (C2SP vkey) |
//! | [`note`] | a tree head as a signed note (C2SP checkpoint) |
//! | [`anchor`] | how streams record each other's heads |
//! | [`gap`] | what stands in the place of records that were pruned |
//! | [`pruning`] | how the log says what may be pruned |
//! | [`bundle`] | writes whole streams as one strict text |
//! | [`mod@verify`] | reads such a text and believes nothing in it |
//! | [`report`] | what a verified bundle proves |
//! | [`damage`] | what a verifier can find, a sentence each |
#![forbid(unsafe_code)]

pub mod anchor;
pub mod bundle;
mod canonical;
pub mod damage;
pub mod gap;
pub mod instant;
pub mod key;
mod lines;
mod metadata;
pub mod name;
pub mod note;
pub mod proof;
pub mod pruning;
pub mod record;
pub mod report;
pub mod tree;
pub mod verify;

pub use anchor::{Anchor, anchor_metadata};
pub use bundle::{BundleError, BundleWriter};
pub use damage::Damage;
pub use gap::{Gap, Gaps};
pub use key::{KeyError, VerifierKey, key_id};
pub use name::{ClusterId, NameError, Origin, StreamId};
pub use note::{Checkpoint, NoteError, open_note, signed_note};
pub use pruning::{Missing, Pruning, is_pruning, kept_hash, prunings};
pub use record::{Outcome, RECORD_BYTES_MAX, Record, RecordError, Verdict};
pub use report::{Report, StreamReport};
pub use tree::{Frontier, Hash, leaf_hash, node_hash};
pub use verify::{verify, verify_against};
