//! A receipt: what a request came to that named itself by an `Idempotency-Key`, so that a repeat of it is told and not done.
//! It is put in the commit that did what was asked, and is worth nothing after its day.
//!
//! Invariant: a receipt holds no secret: an answer that shows one is not kept.

use serde::{Deserialize, Serialize};

use super::{ReceiptId, SecretId, Timestamp, TokenId};

/// A receipt's sealed document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The first sixteen bytes of a MAC over the token that was shown and the client's key.
    pub id: ReceiptId,
    /// A MAC over all that was asked, compared in constant time.
    pub fingerprint: [u8; 32],
    /// The id of the request that it was made for.
    pub request: String,
    /// From when on it is as if it were not there.
    pub until: Timestamp,
    /// What the request came to.
    pub kept: Kept,
}

/// What a request came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// It was answered.
    Answer(KeptAnswer),
    /// It made this token, whose text was answered once and is stored nowhere.
    Token(TokenId),
    /// It began to import this connection, and goes on.
    Begun(SecretId),
}

/// An answer as it was given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The `ETag`, if it had one.
    pub etag: Option<String>,
    /// The body: JSON, or nothing.
    pub body: String,
}
