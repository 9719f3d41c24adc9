//! Two nodes are two processes of the built binary on one PostgreSQL: what the ledger's page promises of them.
//! The row about merging segments comes with that part.
//!
//! Invariant: nothing here waits for a time to pass, and a point that was never met fails its test.

mod ahead;
mod beside;
mod cache;
mod clocks;
mod connections;
mod ended;
mod export;
mod history;
mod interleaved;
mod keys;
mod once;
mod places;
mod revoked;
mod roles;
mod rotation;
mod starts;
mod stopped;
mod triggers;
