//! The history of a name: every version of the secret that has it, and the deleted ones that had it before.
//! Numbers, states and times; no values.
//!
//! Invariant: a state is said as of the request's instant.

use crate::door::{Cx, Decision, Operation, View};
use crate::model::{Action, Refusal, Resource, Secret, SecretId, SecretName, State, Timestamp};

/// `GET /history/…`
pub struct ReadHistory {
    /// Which name.
    pub name: SecretName,
}

/// What a name has been.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// `project/environment/path`.
    pub path: String,
    /// The secret that has the name now.
    pub id: Option<SecretId>,
    /// Its versions, oldest first.
    pub versions: Vec<VersionFacts>,
    /// Those that had the name before, the newest deletion first.
    pub deleted: Vec<DeletedSecret>,
}

/// One version, without its values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionFacts {
    /// Its number.
    pub version: u64,
    /// Its state now.
    pub state: State,
    /// When it was written.
    pub created_at: Timestamp,
    /// Until when it stays readable as previous, if it is.
    pub valid_until: Option<Timestamp>,
}

/// A deleted secret, which `undelete` and `destroy` take by its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedSecret {
    /// Its id.
    pub id: SecretId,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Its versions, oldest first.
    pub versions: Vec<VersionFacts>,
}

impl Operation for ReadHistory {
    const ACTION: Action = Action::List;
    type Reply = History;

    fn resource(&self) -> Resource<'_> {
        Resource::Secret(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<History>, Refusal> {
        let place = view.place(&self.name.place).await?;
        let living = view.find_secret(&place, &self.name.path).await?;
        let dead = view.list_deleted_secrets(&place, &self.name.path).await?;
        if living.is_none() && dead.is_empty() {
            return Err(Refusal::NotFound);
        }
        let deleted = dead
            .iter()
            .rev()
            .filter_map(|secret| DeletedSecret::of(secret, cx.now));
        Ok(Decision::new(History {
            path: self.name.to_string(),
            id: living.as_ref().map(|secret| secret.id),
            versions: living
                .as_ref()
                .map_or_else(Vec::new, |secret| facts(secret, cx.now)),
            deleted: deleted.collect(),
        }))
    }
}

impl DeletedSecret {
    fn of(secret: &Secret, now: Timestamp) -> Option<Self> {
        Some(Self {
            id: secret.id,
            deleted_at: secret.deleted_at?,
            versions: facts(secret, now),
        })
    }
}

fn facts(secret: &Secret, now: Timestamp) -> Vec<VersionFacts> {
    let fact = |entry| {
        let state = Secret::state_of(entry, now);
        VersionFacts {
            version: entry.number,
            state,
            created_at: entry.created_at,
            valid_until: entry.valid_until.filter(|_| state == State::Previous),
        }
    };
    secret.versions.iter().map(fact).collect()
}
