//! Why a run was given up: one sentence, with its cause behind a colon.
//! A bench has one caller who can do something about it, a person, so there is one kind.
//!
//! Invariant: the text holds no token.

use std::fmt::Display;

/// What everything here returns.
pub type Result<T> = std::result::Result<T, Failure>;

/// One sentence.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// From any text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what could not be done, before the cause.
pub trait Context<T> {
    /// `what`, a colon, the cause.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|cause| Failure(format!("{what}: {cause}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl Display) -> Result<T> {
        self.ok_or_else(|| Failure(what.to_string()))
    }
}
