//! Rotation policies: how often a field is made anew, and how long the old value stays readable.
//! `POST /rotate/…` rotates now and answers [`crate::WrittenSecret`].
//!
//! Invariant: every duration is whole seconds.

use serde::{Deserialize, Serialize};

/// `PUT /rotations/{p}/{e}/{*path}`; makes the secret if it is absent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetRotation {
    /// The period in seconds: at least 60, and longer than the grace.
    pub every: u64,
    /// Seconds the replaced version stays readable: a day, or half the period when that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<u64>,
    /// Which field is made anew; needed when the secret has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Characters to generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    /// The characters to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alphabet: Option<String>,
}

/// A policy in force: the answer to `GET` and `PUT`, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Rotation {
    /// `project/environment/path`.
    pub path: String,
    /// Seconds.
    pub every: u64,
    /// Seconds.
    pub grace: u64,
    /// The field that is made anew.
    pub field: String,
    /// Characters.
    pub length: u32,
    /// The characters chosen from.
    pub alphabet: String,
    /// RFC 3339.
    pub next_at: String,
    /// RFC 3339; absent until the first rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
}
