//! The terms of an environment's key, and how many versions each still protects.
//! `GET /keys/{p}/{e}`, `POST …/rotate`, `…/rewrap`, `…/reencrypt` and `…/destroy` all answer [`Keys`].
//!
//! Invariant: no key bytes, wrapped or not, cross the wire.

use serde::{Deserialize, Serialize};

/// The census of an environment's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Keys {
    /// `project/environment`.
    pub environment: String,
    /// One a term, oldest first.
    pub terms: Vec<Term>,
}

/// `POST /keys/{p}/{e}/destroy`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DestroyTerm {
    /// Which term: an older one that protects nothing any more.
    pub term: u32,
}

/// One term of an environment's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Term {
    /// Its number, from 1.
    pub term: u32,
    /// Whether new writes use it.
    pub state: TermState,
    /// Secret versions whose data key it wraps.
    pub versions: u64,
}

/// Where a term is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TermState {
    /// New data keys are wrapped with it.
    Current,
    /// It opens what it wrapped, and wraps nothing new.
    Retired,
    /// Its bytes are gone.
    Destroyed,
}

impl TermState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
        }
    }
}
