//! The body of every refusal, after RFC 9457 (problem details).
//! `code` is for programs, `detail` one sentence for people; neither repeats what was sent.
//!
//! Invariant: a problem tells nothing that the caller's scopes do not let them know.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The content type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// `type title status detail code request_id`, and `retry_after` with 429 and 503.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// A URI that names the kind of problem; `about:blank` when the status says it all.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: Cow<'static, str>,
    /// The kind in a few words; the same for every problem of this kind.
    pub title: Cow<'static, str>,
    /// The HTTP status, again.
    pub status: u16,
    /// What happened this time, and what to do.
    #[serde(default)]
    pub detail: Cow<'static, str>,
    /// Stable, for programs: `token-expired`.
    #[serde(default)]
    pub code: Cow<'static, str>,
    /// The `X-Request-Id` of this answer.
    #[serde(default)]
    pub request_id: String,
    /// Whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

fn about_blank() -> Cow<'static, str> {
    Cow::Borrowed("about:blank")
}
