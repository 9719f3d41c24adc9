//! The body of every refusal, after RFC 9457 (problem details).
//! `code` is for programs, `detail` one sentence for people; neither repeats what was sent.
//!
//! Invariant: a problem tells nothing that the caller's scopes do not let them know.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The content type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Every status and code that a refusal can have.
#[rustfmt::skip]
pub const PROBLEMS: &[(u16, &str)] = &[
    (400, "bad-request"),
    (401, "token-missing"), (401, "token-invalid"), (401, "token-expired"), (401, "token-revoked"),
    (403, "forbidden"),
    (404, "not-found"), (404, "no-such-route"),
    (405, "method-not-allowed"),
    (408, "timeout"),
    (409, "exists"), (409, "case-clash"), (409, "name-taken"), (409, "not-empty"), (409, "no-rotation"),
    (409, "token-depth"), (409, "too-many-places"), (409, "too-many-terms"), (409, "too-many-children"),
    (409, "too-many-scopes"), (409, "reencrypting"), (409, "term-current"), (409, "term-in-use"),
    (409, "grant-refused"), (409, "grant-unproven"), (409, "needs-reauth"),
    (409, "token-shown"), (409, "idempotency-key-in-use"),
    (412, "precondition-failed"),
    (413, "too-large"),
    (415, "unsupported-media-type"),
    (422, "idempotency-key-reused"),
    (429, "too-many-requests"),
    (500, "integrity"), (500, "internal"),
    (503, "sealed"), (503, "unavailable"), (503, "busy"), (503, "token-refreshing"),
];

/// `type title status detail code request_id`, and `retry_after` with 429 and 503.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
