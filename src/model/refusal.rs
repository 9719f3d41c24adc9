//! Why a request is not answered as asked: the one error type that clients ever see.
//! `http/problem.rs` gives each variant its status, code and sentence.
//!
//! Invariant: no refusal carries a value, a token, a key or a store's own words.

use super::Action;

/// A refusal, for the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// 400: what was sent has no meaning; the sentence says what to send.
    Malformed(String),
    /// 401: who asks is not known, and why.
    Unauthenticated(TokenProblem),
    /// 403: something else is allowed on this resource, but not this.
    Forbidden(Lacking),
    /// 404: not there.
    NotFound,
    /// 404: not for this caller to see, and answered exactly as if it were not there.
    Hidden,
    /// 409: it clashes with what is there; a code and a sentence.
    Conflict(&'static str, String),
    /// 412: the version or the ETag asked for is not the current one.
    PreconditionFailed,
    /// 413: more than the limit that the sentence names.
    TooLarge(String),
    /// 422: its `Idempotency-Key` was used for another request.
    KeyReused,
    /// 429: too many; seconds to wait.
    TooMany(u32),
    /// 503: sealed, fenced, or the store cannot record; the sentence says which.
    Unavailable(&'static str),
    /// 503: the access token that would serve is not there yet.
    Refreshing(Patience),
    /// 500: a stored row does not open, or contradicts the log.
    Tampered,
}

/// What a token lacks that may do something else where it asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lacking {
    /// A scope with this action.
    Action(Action),
    /// A scope that it wants to give to another token.
    GivenScope,
    /// The application that it wants another token to act for.
    First,
}

/// Whether whoever asks for an access token still waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// It waits, and asks again: nothing is decided yet, and nothing recorded.
    Waits,
    /// It has waited long enough, and is told to come back.
    Over,
}

/// What is wrong with the token that was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenProblem {
    /// None was shown.
    Missing,
    /// It is malformed or unknown.
    Invalid,
    /// It, or an ancestor, is past its time.
    Expired,
    /// It, an ancestor or its principal, is revoked.
    Revoked,
}

impl Refusal {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Unauthenticated(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound | Self::Hidden => 404,
            Self::Conflict(..) => 409,
            Self::PreconditionFailed => 412,
            Self::TooLarge(_) => 413,
            Self::KeyReused => 422,
            Self::TooMany(_) => 429,
            Self::Tampered => 500,
            Self::Unavailable(_) | Self::Refreshing(_) => 503,
        }
    }

    /// The machine-readable code, in problem bodies and records.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "bad-request",
            Self::Unauthenticated(TokenProblem::Missing) => "token-missing",
            Self::Unauthenticated(TokenProblem::Invalid) => "token-invalid",
            Self::Unauthenticated(TokenProblem::Expired) => "token-expired",
            Self::Unauthenticated(TokenProblem::Revoked) => "token-revoked",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound | Self::Hidden => "not-found",
            Self::Conflict(code, _) => code,
            Self::PreconditionFailed => "precondition-failed",
            Self::TooLarge(_) => "too-large",
            Self::KeyReused => "idempotency-key-reused",
            Self::TooMany(_) => "too-many-requests",
            Self::Tampered => "integrity",
            Self::Unavailable(_) => "unavailable",
            Self::Refreshing(_) => "token-refreshing",
        }
    }
}
