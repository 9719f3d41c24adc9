//! Coffer: a self-hosted secrets service whose audit log proves itself.
//!
//! The map, from the outside in; `ARCHITECTURE.md` says what may use what:
//! - `commands`, of the binary: its command line, which makes the parts and hands them to each other.
//! - [`config`]: the configuration file, every key of it known.
//! - [`http`]: routes, strict parsing, replies and problems, sockets and TLS.
//! - [`jobs`]: what Coffer does unasked.
//! - [`operations`]: what Coffer can do, as pure decisions over a view.
//! - [`door`]: the one way in: authenticate, authorise, decide, record; behind it the ledger.
//! - [`store`]: the only place SQL lives.
//! - [`seal`]: where the root key comes from.
//! - [`crypto`]: the only place key bytes live.
//! - [`outbound`]: the only place that calls out.
//! - [`model`]: the nouns, without I/O.
//! - [`metrics`]: what a server counts of itself.
//! - [`clock`], [`entropy`], [`fault`]: time, chance and failpoints.
//! - `fuzzing`, of tests and of fuzzers alone: every parser, and what must hold of it.
//!
//! Invariant: nothing calls upward in this list, and a test reads the source to prove it.

pub mod clock;
pub mod config;
pub mod crypto;
pub mod door;
pub mod entropy;
pub mod fault;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod model;
pub mod operations;
pub mod outbound;
pub mod seal;
pub mod store;
