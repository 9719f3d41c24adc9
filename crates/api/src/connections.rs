//! OAuth connections: a grant imported, the access token it gives, and how it fares.
//! The refresh token and the client secret go in, and nothing here carries them out.
//!
//! Invariant: a reply holds at most the access token.

use serde::{Deserialize, Serialize};

use crate::SecretText;

/// `POST /connections/{p}/{e}/{name}`: a grant that was given elsewhere; one refresh proves it before it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportConnection {
    /// The provider's token endpoint (RFC 6749, 3.2).
    pub token_url: String,
    /// The client that the grant was given to.
    pub client_id: String,
    /// Its secret; a public client has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretText>,
    /// The grant.
    pub refresh_token: SecretText,
    /// How the client proves who it is: `basic` without.
    #[serde(default)]
    pub auth: ClientAuth,
    /// What each refresh asks for, separated by spaces; without it, what was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_scopes: Option<String>,
}

/// How a client proves who it is (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// In the `Authorization` header.
    #[default]
    Basic,
    /// In the body.
    Post,
}

/// `GET /connections/{p}/{e}/{name}/token`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AccessToken {
    /// What the provider's own API takes.
    pub access_token: SecretText,
    /// `Bearer`, as a rule.
    pub token_type: String,
    /// RFC 3339; when the token runs out, nothing subtracted. Absent when the provider does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What was granted, separated by spaces; absent when the provider never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<String>,
    /// Which set of tokens this is; the next refresh raises it.
    pub version: u64,
}

/// How a connection fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Refreshed ahead of time.
    Active,
    /// The last refresh failed, and is tried again.
    Degraded,
    /// The answer to a refresh was lost: the refresh token may be spent.
    InDoubt,
    /// Only a person can help: the grant has to be given again.
    NeedsReauth,
    /// Newer than this release.
    #[serde(other)]
    Unknown,
}

/// The answer to an import, and one line of a list. Never a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Connection {
    /// `project/environment/name`.
    pub path: String,
    /// How it fares.
    pub state: ConnectionState,
    /// Why a person is needed, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which set of tokens is served.
    pub version: u64,
    /// What was granted, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<String>,
    /// RFC 3339; when the access token runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// RFC 3339; when it was last refreshed.
    pub refreshed_at: String,
    /// RFC 3339; when it is refreshed next, or tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_refresh_at: Option<String>,
    /// What the last refresh failed with, one sentence; absent once one went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The provider's token endpoint.
    pub token_url: String,
    /// The client that the grant was given to.
    pub client_id: String,
    /// RFC 3339; when it was imported.
    pub created_at: String,
}

/// `GET /connections/{p}/{e}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConnectionList {
    /// By name.
    pub items: Vec<Connection>,
    /// Present when there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
