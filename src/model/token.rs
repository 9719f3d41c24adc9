//! A token as it is kept: its MAC, whom it stands for, what it may do, and until when.
//! The token's own text exists only in `crypto::PlainToken`, once.
//!
//! Invariant: a child never outlives its parent, and never may more.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PrincipalId, Scope, Timestamp, TokenId};

/// A token's sealed document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The first sixteen bytes of its MAC.
    pub id: TokenId,
    /// The whole MAC (HMAC-SHA-256), compared in constant time.
    pub mac: [u8; 32],
    /// Whom it stands for.
    pub principal: PrincipalId,
    /// The token that made it, unless it is an orphan.
    pub parent: Option<TokenId>,
    /// How many ancestors it has; at most eight.
    pub depth: u8,
    /// What it may do, refusals included.
    pub scopes: Arc<[Scope]>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// The deepest a token may be.
    pub const DEPTH_MAX: u8 = 8;
    /// The most scopes a token may carry.
    pub const SCOPES_MAX: usize = 64;
    /// The most living children a token may have.
    pub const CHILDREN_MAX: u64 = 10_000;

    /// When its life ends, or ended: at its expiry, or before, when it was revoked.
    pub fn died_at(&self) -> Timestamp {
        self.revoked_at
            .map_or(self.expires_at, |revoked| revoked.min(self.expires_at))
    }
}
