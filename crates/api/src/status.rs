//! What `GET /status` answers: to anybody whether the node is sealed, and more to who may `manage` `sys/status`.
//! The optional keys are absent, not null, for everybody else.
//!
//! Invariant: without a token this tells one bit.

use serde::{Deserialize, Serialize};

/// The state of one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Status {
    /// Whether the root key is absent from memory; every other route then answers 503.
    pub sealed: bool,
    /// The server's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The node's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// `sqlite` or `postgres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Whether the pages that hold keys are locked into memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_memory: Option<bool>,
}
