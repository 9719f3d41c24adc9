//! What can be known of a segment without opening it.
//! Summaries are made as records come, joined when segments are merged, and made again by `check`.
//!
//! Invariant: a summary names everything that its records hold, and nothing else but when those were that were pruned.

use std::collections::BTreeSet;

use coffer_audit_log::Record;
use serde::{Deserialize, Serialize};

use crate::crypto::{CryptoError, Keyring};
use crate::model::{StreamId, Timestamp};

const FORMAT: u32 = 3;

/// When, who, where, what, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::door) struct Summary {
    format: u32,
    pub(in crate::door) from: Timestamp,
    pub(in crate::door) to: Timestamp,
    pub(in crate::door) principals: BTreeSet<String>,
    pub(in crate::door) places: BTreeSet<String>,
    pub(in crate::door) actions: BTreeSet<String>,
    /// The codes of the outcomes.
    pub(in crate::door) outcomes: BTreeSet<String>,
    /// Whether records were pruned. The times are still those of all there were.
    pub(in crate::door) pruned: bool,
}

impl Summary {
    /// Of no record yet; times of a first one are to come.
    pub(in crate::door) const fn new(time: Timestamp) -> Self {
        Self {
            format: FORMAT,
            from: time,
            to: time,
            principals: BTreeSet::new(),
            places: BTreeSet::new(),
            actions: BTreeSet::new(),
            outcomes: BTreeSet::new(),
            pruned: false,
        }
    }

    /// Of nothing that is kept yet, of records of these times.
    pub(in crate::door) fn pruned(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from,
            pruned: true,
            ..Self::new(to)
        }
    }

    /// Adds a record, no older than the one before.
    pub(in crate::door) fn add(&mut self, record: &Record<'_>) {
        self.to = Timestamp::from_micros(record.time);
        self.name(record);
    }

    /// Adds what a record says beside its time.
    pub(in crate::door) fn name(&mut self, record: &Record<'_>) {
        if let Some(principal) = &record.principal {
            insert(&mut self.principals, principal);
        }
        insert(&mut self.places, place_of(&record.resource));
        insert(&mut self.actions, &record.action);
        insert(&mut self.outcomes, &record.outcome.code);
    }

    /// Adds what the next segment's says.
    pub(super) fn join(&mut self, next: Self) {
        self.to = next.to;
        self.principals.extend(next.principals);
        self.places.extend(next.places);
        self.actions.extend(next.actions);
        self.outcomes.extend(next.outcomes);
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, CryptoError> {
        serde_json::to_vec(self).map_err(|_| CryptoError)
    }
}

/// Nothing is allocated for what is known already.
fn insert(set: &mut BTreeSet<String>, text: &str) {
    if !set.contains(text) {
        set.insert(text.to_owned());
    }
}

/// Opens the summary of a segment at its place.
///
/// # Errors
/// It is not of this place, was changed, or is of another format.
pub(in crate::door) fn open_summary(
    keys: &Keyring,
    stream: StreamId,
    (first, count): (u64, u32),
    sealed: &[u8],
) -> Result<Summary, CryptoError> {
    let plain = keys.open_summary(stream, first, count, sealed)?;
    let summary: Summary = serde_json::from_slice(plain.expose()).map_err(|_| CryptoError)?;
    (summary.format == FORMAT)
        .then_some(summary)
        .ok_or(CryptoError)
}

/// The place in a resource, as summaries name it: its first two parts.
pub(in crate::door) fn place_of(resource: &str) -> &str {
    let end = resource.match_indices('/').nth(1);
    &resource[..end.map_or(resource.len(), |(at, _)| at)]
}
