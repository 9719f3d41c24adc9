//! The wrapped keys: each opens as what it is kept for, belongs to an environment that has a document, and is the one that
//! the log last recorded; no term is missing but those that were destroyed, and none of these is there.
//!
//! Invariant: a key that nothing names is named here, as one that does not open is.

use super::{Check, KnownPlaces};
use crate::crypto::{Keyring, RootKey};
use crate::door::documents::hex;
use crate::door::facts::Place;
use crate::door::start::StartError;
use crate::door::words::{self, Subject};
use crate::model::{ClusterId, EnvironmentId, KeyKind, KeyRow};

/// The kinds of key that belong to the cluster, each of which has a first term.
const OF_CLUSTER: [KeyKind; 7] = [
    KeyKind::Seal,
    KeyKind::TokenMac,
    KeyKind::CursorMac,
    KeyKind::MarkMac,
    KeyKind::System,
    KeyKind::Audit,
    KeyKind::Signer,
];

impl Check<'_> {
    /// Every key opens at its place and is the one that the log knows; none is missing.
    pub(super) async fn wrapped_keys(&mut self, places: &KnownPlaces) -> Result<(), StartError> {
        let rows = self.reader.list_whole_keys().await?;
        for row in &rows {
            let said = self.word_against(
                Subject::Key,
                words::id_of_key(row),
                words::digest(&row.wrapped),
            );
            if let Some(why) = self.misplaced(places, row).or(said) {
                self.say(format!("{}: {why}", name_of(row)));
            }
        }
        let held = |kind, environment, term| {
            rows.iter()
                .any(|row| (row.kind, row.environment, row.term) == (kind, environment, term))
        };
        for kind in OF_CLUSTER {
            if !held(kind, [0; 16], 1) {
                self.say(format!("wrapped key {} 1: it is gone", kind.as_str()));
            }
        }
        for place in places.opened.environments() {
            let id = *place.environment.id.as_bytes();
            let kept =
                (1..=place.environment.term).filter(|term| !place.environment.has_destroyed(*term));
            for term in kept.filter(|term| !held(KeyKind::Environment, id, *term)) {
                self.say(format!(
                    "wrapped key environment {term} of {}: it is gone",
                    hex(&id)
                ));
            }
        }
        Ok(())
    }

    fn misplaced(&self, places: &KnownPlaces, row: &KeyRow) -> Option<&'static str> {
        if row.kind != KeyKind::Environment {
            let opens = row.environment == [0; 16] && self.keys.opens(row);
            return (!opens).then_some("it does not open there");
        }
        if !places.environments.contains(&row.environment) {
            return Some("no environment has it");
        }
        let environment = EnvironmentId::from_bytes(row.environment);
        let destroyed = |place: &Place| place.environment.has_destroyed(row.term);
        let opens = |place: &Place| {
            row.term <= place.environment.term
                && self
                    .keys
                    .open_environment_key(place.project.id, environment, row)
                    .is_ok()
        };
        // An environment that does not open for want of another key is named by itself.
        match places.opened.place_of(environment) {
            Some(place) if destroyed(place) => Some("its term was destroyed"),
            Some(place) if !opens(place) => Some("it does not open there"),
            _ => None,
        }
    }
}

/// The keys of the cluster that this root key does not open, and those that are gone.
pub(super) fn unopened(root: &RootKey, cluster: ClusterId, rows: &[KeyRow]) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in OF_CLUSTER {
        let mut mine = rows.iter().filter(|row| row.kind == kind).peekable();
        if mine.peek().is_none() {
            lines.push(format!("wrapped key {} 1: it is gone", kind.as_str()));
        }
        let wrong = mine.filter(|row| row.term != 1 || !Keyring::opens_under(root, cluster, row));
        lines.extend(wrong.map(|row| format!("{}: it does not open there", name_of(row))));
    }
    lines
}

fn name_of(row: &KeyRow) -> String {
    let (kind, term) = (row.kind.as_str(), row.term);
    if row.environment == [0; 16] {
        format!("wrapped key {kind} {term}")
    } else {
        format!("wrapped key {kind} {term} of {}", hex(&row.environment))
    }
}
