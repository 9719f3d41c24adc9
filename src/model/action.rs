//! The verbs that scopes allow.
//! The list is closed: what is not on it cannot be granted.
//!
//! Invariant: an action's text is the word in scopes and records alike.

use std::fmt;
use std::str::FromStr;

/// What is done to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Action {
    /// Names, history, metadata; not values.
    List,
    /// Values; a connection's access token.
    Read,
    /// Set, undelete, rotation policies.
    Write,
    /// Delete.
    Delete,
    /// Destroy.
    Destroy,
    /// Rotate a secret or an environment's keys now; rewrap.
    Rotate,
    /// Import or connect a grant, revoke it.
    Connect,
    /// Share a secret once.
    Share,
    /// Places, tokens, applications.
    Manage,
    /// Read and export the log.
    Audit,
}

impl Action {
    /// Every action, in the order of the design.
    pub const ALL: [Self; 10] = [
        Self::List,
        Self::Read,
        Self::Write,
        Self::Delete,
        Self::Destroy,
        Self::Rotate,
        Self::Connect,
        Self::Share,
        Self::Manage,
        Self::Audit,
    ];

    /// The word in scopes and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Destroy => "destroy",
            Self::Rotate => "rotate",
            Self::Connect => "connect",
            Self::Share => "share",
            Self::Manage => "manage",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or(())
    }
}

/// A set of actions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Actions(u16);

impl Actions {
    /// The set with `action` in it too.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | 1 << action as u16)
    }

    /// Whether `action` is in the set.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u16) != 0
    }

    /// The actions in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .into_iter()
            .filter(move |action| self.contains(*action))
    }
}
