//! Tokens: what is asked for, what is shown once, and what a list may tell.
//! Scopes are text here and are parsed by the server alone.
//!
//! Invariant: a token's text is in [`CreatedToken`] and nowhere else.

use crate::SecretText;
use serde::{Deserialize, Serialize};

/// `POST /tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// `actions:project/environment/path`, one a string.
    pub scopes: Vec<String>,
    /// Whole seconds.
    pub ttl: u64,
    /// The application it shall speak for; made if absent. Its maker's principal without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Without a parent, so that it outlives its maker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orphan: bool,
}

/// The answer (201): the only time the token is shown.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreatedToken {
    /// `cof_<kind>_<43 base62>_<6 base62>`.
    pub token: SecretText,
    /// Names it in lists, records and revocations.
    pub id: String,
    /// As they were asked for.
    pub scopes: Vec<String>,
    /// RFC 3339.
    pub expires_at: String,
}

/// `GET /tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TokenList {
    /// Those the caller may see.
    pub tokens: Vec<TokenEntry>,
    /// Present when there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One token in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TokenEntry {
    /// Its id.
    pub id: String,
    /// Who it speaks for.
    pub principal: String,
    /// The token it dies with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: String,
    /// Itself or an ancestor.
    pub revoked: bool,
}

/// `GET /tokens/self`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TokenSelf {
    /// Its id.
    pub id: String,
    /// Who it speaks for.
    pub principal: String,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: String,
    /// The token it dies with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}
