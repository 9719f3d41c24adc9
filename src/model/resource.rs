//! What an action is done to, spelt as in scopes and records.
//! The text is made once a request and used for authorising, recording and counting.
//!
//! Invariant: a resource's text is built from parsed names only.

use std::fmt;

use super::{EnvironmentName, Name, SecretName};

/// The object of an action.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Resource<'a> {
    /// Every place: only lists name it, and each place shown is authorised by itself.
    Places,
    /// `p`
    Project(&'a Name),
    /// `p/e`
    Environment(&'a EnvironmentName),
    /// `p/e/path`
    Secret(&'a SecretName),
    /// `sys/…`
    System(&'static str),
}

impl Resource<'_> {
    /// Tokens: making, listing, revoking them.
    pub const TOKENS: Self = Self::System("sys/tokens");
    /// The token that asks.
    pub const SELF: Self = Self::System("sys/tokens/self");
    /// Applications.
    pub const APPS: Self = Self::System("sys/apps");
    /// The audit log.
    pub const AUDIT: Self = Self::System("sys/audit");
    /// The streams of the audit log, claimed and anchored by the system.
    pub const STREAMS: Self = Self::System("sys/streams");
    /// What is left of old records.
    pub const RETENTION: Self = Self::System("sys/retention");
    /// The server's own state.
    pub const STATUS: Self = Self::System("sys/status");
    /// Requests that never reached the door, summarised.
    pub const DOOR: Self = Self::System("sys/door");
    /// The scheduler's leases.
    pub const LEASES: Self = Self::System("sys/leases");
    /// What is kept of requests that are made once.
    pub const RECEIPTS: Self = Self::System("sys/receipts");

    /// The text, in one piece of memory.
    pub fn text(&self) -> String {
        match self {
            Self::Secret(name) => name.text(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Places => f.write_str("*"),
            Self::Project(name) => name.fmt(f),
            Self::Environment(name) => name.fmt(f),
            Self::Secret(name) => name.fmt(f),
            Self::System(text) => f.write_str(text),
        }
    }
}
