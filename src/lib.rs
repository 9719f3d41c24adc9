//! coffer
pub mod fault;
pub mod model;
