//! A secret's document: its versions and their states, the mark of deletion, its rotation.
//! The values are elsewhere, each version sealed under a data key of its own.
//!
//! Invariant: a version that this document does not list, or lists as destroyed, does not exist, whatever a row says.

use serde::{Deserialize, Serialize};

use super::{FieldName, RotationPolicy, SealedRow, SecretId, SecretPath, Timestamp, VersionId};

/// Where a version is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// What readers get.
    Current,
    /// Readable as `previous` until its `valid_until`.
    Previous,
    /// Readable by number.
    Retired,
    /// Gone: its data key is shredded.
    Destroyed,
}

impl State {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
        }
    }
}

/// One version in its secret's document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionEntry {
    /// Its number, from 1.
    pub number: u64,
    /// The row that holds its values.
    pub id: VersionId,
    /// As stored; see [`Secret::state_of`] for the state at an instant.
    pub state: State,
    /// When it was written.
    pub created_at: Timestamp,
    /// Until when a previous version is readable as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// SHA-256 of the sealed values.
    #[serde(with = "base64_bytes")]
    pub digest: [u8; 32],
}

/// A secret's sealed document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// Its path, as first written.
    pub path: SecretPath,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its last change.
    pub updated_at: Timestamp,
    /// Versions, oldest first; those before the first are destroyed and forgotten.
    pub versions: Vec<VersionEntry>,
    /// Names of the current version's fields.
    pub fields: Vec<FieldName>,
    /// When it was deleted, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// How it rotates, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationPolicy>,
}

impl Secret {
    /// Versions kept; older ones are destroyed by the write that exceeds them.
    pub const VERSIONS_MAX: usize = 100;

    /// A secret without a version yet.
    pub const fn new(id: SecretId, path: SecretPath, now: Timestamp) -> Self {
        Self {
            id,
            path,
            created_at: now,
            updated_at: now,
            versions: Vec::new(),
            fields: Vec::new(),
            deleted_at: None,
            rotation: None,
        }
    }

    /// Whose rows its versions are.
    pub const fn owner(&self) -> (SecretId, &SecretPath) {
        (self.id, &self.path)
    }

    /// The version that readers get; none once all are destroyed.
    pub fn current(&self) -> Option<&VersionEntry> {
        self.versions
            .iter()
            .rev()
            .find(|version| version.state == State::Current)
    }

    /// The newest version that is still readable as `previous` at `now`.
    pub fn previous(&self, now: Timestamp) -> Option<&VersionEntry> {
        self.versions
            .iter()
            .rev()
            .find(|version| Self::state_of(version, now) == State::Previous)
    }

    /// The version of this number, if the document lists it.
    pub fn version(&self, number: u64) -> Option<&VersionEntry> {
        self.versions
            .iter()
            .find(|version| version.number == number)
    }

    /// The version whose row has this id, unless it is destroyed.
    pub fn living_version(&self, id: VersionId) -> Option<&VersionEntry> {
        let mut living = self.versions.iter();
        living.find(|version| version.id == id && version.state != State::Destroyed)
    }

    /// Names another row as that of the version whose row this was.
    pub fn replace_row(&mut self, old: VersionId, new: &SealedRow) {
        let mut versions = self.versions.iter_mut();
        if let Some(version) = versions.find(|version| version.id == old) {
            (version.id, version.digest) = (new.id, new.digest);
        }
    }

    /// The number that the next version gets.
    pub fn next_number(&self) -> u64 {
        self.versions.last().map_or(1, |version| version.number + 1)
    }

    /// A version's state at `now`: a previous one whose time is over is retired.
    pub fn state_of(version: &VersionEntry, now: Timestamp) -> State {
        match version.state {
            State::Previous if version.valid_until.is_none_or(|until| until <= now) => {
                State::Retired
            }
            state => state,
        }
    }

    /// Adds the new current version; the old one stays `previous` until `valid_until`, or retires.
    /// Gives back the versions that are destroyed because too many would be kept.
    pub fn push_version(
        &mut self,
        now: Timestamp,
        entry: VersionEntry,
        fields: Vec<FieldName>,
        valid_until: Option<Timestamp>,
    ) -> Vec<VersionId> {
        for version in &mut self.versions {
            match version.state {
                State::Current if valid_until.is_some() => {
                    version.state = State::Previous;
                    version.valid_until = valid_until;
                }
                State::Current | State::Previous => {
                    version.state = State::Retired;
                    version.valid_until = None;
                }
                State::Retired | State::Destroyed => {}
            }
        }
        self.versions.push(entry);
        self.fields = fields;
        self.updated_at = now;
        let excess = self.versions.len().saturating_sub(Self::VERSIONS_MAX);
        self.versions
            .drain(..excess)
            .filter(|version| version.state != State::Destroyed)
            .map(|version| version.id)
            .collect()
    }

    /// Destroys these versions (all of them when none is named), and gives back their rows.
    pub fn destroy(&mut self, now: Timestamp, numbers: &[u64]) -> Vec<VersionId> {
        let mut gone = Vec::new();
        for version in &mut self.versions {
            let named = numbers.is_empty() || numbers.contains(&version.number);
            if named && version.state != State::Destroyed {
                version.state = State::Destroyed;
                version.valid_until = None;
                gone.push(version.id);
            }
        }
        self.updated_at = now;
        gone
    }
}

pub(super) mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(D::Error::custom)?;
        bytes
            .try_into()
            .map_err(|_| D::Error::custom("a digest has 32 bytes"))
    }
}
