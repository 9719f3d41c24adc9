//! What `/audit/head` and `/audit/key` answer; records, exports and bundles are text of their own, not JSON bodies.
//! `coffer-audit-log` owns the form of a record and of a bundle.
//!
//! Invariant: nothing here is believed by a verifier, who brings a key of their own.

use serde::{Deserialize, Serialize};

/// `GET /audit/head`: the newest signed head of every stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditHeads {
    /// One a stream, by name.
    pub heads: Vec<AuditHead>,
}

/// The signed tree head of one stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditHead {
    /// The stream's name.
    pub stream: String,
    /// Records under this head.
    pub size: u64,
    /// Root hash of the RFC 6962 tree, base64 as in the note.
    pub root: String,
    /// The whole checkpoint, a C2SP signed note.
    pub note: String,
}

/// `GET /audit/key`: the public key that verifies every head of this cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditKey {
    /// A C2SP verifier key, `name+hash+key`.
    pub key: String,
}
