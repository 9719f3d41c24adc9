//! Stories about Coffer, told on a ready vault and on both databases, and the machines that stand guard beside them.
//! All of them are one binary: linked once, with one PostgreSQL for the whole run.
//!
//! Invariant: a story asserts the status, the body and the record, and none waits for a time to pass.

mod advisories;
mod api;
mod architecture;
mod bundle;
mod compile;
mod container;
mod ledger;
mod matrix;
mod nodes;
mod oidc;
mod openapi;
mod operations;
mod release;
mod support;
mod surgery;
mod torture;
