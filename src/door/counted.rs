//! What never reaches the door is counted by source, and summarised at most once a minute in a record by the system.
//! A token that is missing or malformed costs no look-up and no record of its own.
//!
//! Invariant: the number of sources remembered is bounded; the rest are counted together.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::Door;
use super::request::Request;
use super::shared::Shared;
use crate::model::TokenProblem;

/// Sources counted apart between two summaries.
const SOURCES_MAX: usize = 64;

/// Why a request never reached the door.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Turned {
    /// It showed no token.
    Missing,
    /// What it showed is no token.
    Malformed,
    /// It had no meaning.
    BadRequest,
    /// There were too many.
    TooMany,
    /// The server was sealed.
    Sealed,
}

impl Turned {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "token-missing",
            Self::Malformed => "token-malformed",
            Self::BadRequest => "bad-request",
            Self::TooMany => "too-many-requests",
            Self::Sealed => "sealed",
        }
    }
}

/// Counts since the last summary; a sealed server keeps its own until there is a door.
#[derive(Default)]
pub struct Counted(Mutex<HashMap<(Option<IpAddr>, Turned), u64>>);

impl Counted {
    /// Counts one more.
    pub fn count(&self, source: Option<IpAddr>, why: Turned) {
        self.add(source, why, 1);
    }

    fn add(&self, source: Option<IpAddr>, why: Turned, more: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if counts.len() < SOURCES_MAX || counts.contains_key(&(source, why)) {
            source
        } else {
            None
        };
        *counts.entry((key, why)).or_insert(0) += more;
    }

    fn take_all(&self) -> HashMap<(Option<IpAddr>, Turned), u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self) -> BTreeMap<String, String> {
        self.take_all()
            .into_iter()
            .map(|((source, why), count)| {
                let source =
                    source.map_or_else(|| "others".to_owned(), |source| source.to_string());
                (format!("{source} {}", why.as_str()), count.to_string())
            })
            .collect()
    }
}

impl Shared {
    pub(super) fn count_unauthenticated(&self, request: &Request, problem: TokenProblem) {
        let why = if problem == TokenProblem::Missing {
            Turned::Missing
        } else {
            Turned::Malformed
        };
        self.counted.count(request.source, why);
    }
}

impl Door {
    /// Counts a request that was turned away before the door.
    pub fn count_turned_away(&self, source: Option<IpAddr>, why: Turned) {
        self.shared.counted.count(source, why);
    }

    /// Takes over what was counted before there was a door.
    pub fn take_over(&self, counted: &Counted) {
        for ((source, why), count) in counted.take_all() {
            self.shared.counted.add(source, why, count);
        }
    }

    /// What was turned away since this was last asked: source and reason to a number.
    pub fn take_counted(&self) -> BTreeMap<String, String> {
        self.shared.counted.take()
    }
}
