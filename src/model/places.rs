//! Projects and environments, and the cluster that holds them.
//! Each is a sealed document; a row's name is believed only if its document opens under it.
//!
//! Invariant: a name used again gets a new id, so that nothing of the old one is shared.

use serde::{Deserialize, Serialize};

use super::{EnvironmentId, Name, ProjectId, StreamId, Timestamp};

/// A project's sealed document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An environment's sealed document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its own name.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
    /// The term that new data keys are wrapped under.
    pub term: u32,
    /// Terms whose keys were destroyed, oldest first: none of them is believed again, whoever puts its row back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destroyed: Vec<u32>,
    /// While every version gets a new data key: the term with which that began. What an older one wraps is still to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reencrypting: Option<u32>,
}

impl Environment {
    /// Whether this term's key was destroyed.
    pub fn has_destroyed(&self, term: u32) -> bool {
        self.destroyed.binary_search(&term).is_ok()
    }
}

/// The cluster's sealed document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Every stream there is: none may vanish.
    pub streams: Vec<StreamEntry>,
    /// When the cluster was made.
    pub created_at: Timestamp,
}

/// One stream of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamEntry {
    /// Its id.
    pub id: StreamId,
    /// The node that writes it.
    pub node: Name,
}
