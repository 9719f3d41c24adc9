//! coffer
pub mod fault;
pub mod model;
pub mod store;
