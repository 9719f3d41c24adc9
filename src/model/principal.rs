//! Who acts: a person, a workload, or the system itself.
//! The document carries the bindings, so that users and roles come later without resealing a token.
//!
//! Invariant: a principal that is missing or disabled allows nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Name, PrincipalId, Scope, Timestamp};

/// What sort of principal it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A workload.
    Application,
}

/// A principal's sealed document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Its id.
    pub id: PrincipalId,
    /// Its sort.
    pub kind: PrincipalKind,
    /// Its name, unique among its sort.
    pub name: Name,
    /// What it may do at most, refusals included.
    pub bindings: Arc<[Scope]>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Principal {
    /// The name of the application that the first token stands for.
    pub const FIRST: &str = "root";

    /// How records name it: `app/NAME` or `user/NAME`.
    pub fn display(&self) -> String {
        match self.kind {
            PrincipalKind::User => format!("user/{}", self.name),
            PrincipalKind::Application => format!("app/{}", self.name),
        }
    }
}
