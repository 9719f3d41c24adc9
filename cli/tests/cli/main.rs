//! The real binary, without a server or with a stub of one: arguments, exit codes, what is sent and what is printed.
//! What a real server answers is tried where the server is tested.
//!
//! Invariant: no test leaves the machine, and none depends on the caller's environment.

mod coffer;
mod connecting;
mod reading;
mod running;
mod stub;
mod usage;
mod verifying;
mod writing;
