//! Coffer: a self-hosted secrets service whose audit log proves itself.

pub mod clock;
pub mod config;
pub mod crypto;
pub mod door;
pub mod entropy;
pub mod fault;
pub mod http;
pub mod jobs;
pub mod model;
pub mod operations;
pub mod seal;
pub mod store;
