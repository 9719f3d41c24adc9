//! The scope language: `actions:project/environment/path`, with `!` to refuse.
//! What a scope speaks of is a list of actions and a pattern of resources.
//!
//! Invariant: a scope is as it was typed, or it is refused; none is repaired.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Action, Actions, Pattern};

const SCOPE_BYTES_MAX: usize = 768;

/// Why a scope is refused: a clause that says what to do.
pub type ScopeError = &'static str;

/// One line of what a principal may do, or may not.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    text: Arc<str>,
    refuses: bool,
    actions: Actions,
    pattern: Pattern,
}

impl Scope {
    /// About how many bytes it holds in memory.
    pub fn weight(&self) -> usize {
        64 + 2 * self.text.len() + self.pattern.weight()
    }

    /// The text, as typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text, shared.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Whether it takes away instead of giving.
    pub const fn refuses(&self) -> bool {
        self.refuses
    }

    /// The actions it speaks of.
    pub const fn actions(&self) -> Actions {
        self.actions
    }

    /// Whether it speaks of this action on this resource.
    pub fn matches(&self, action: Action, resource: &str) -> bool {
        self.actions.contains(action) && self.covers(resource)
    }

    /// Whether its pattern covers this resource, whatever the action.
    pub fn covers(&self, resource: &str) -> bool {
        self.pattern.covers(resource)
    }

    /// Whether its pattern covers something at `place` or below it.
    pub fn reaches(&self, place: &str) -> bool {
        self.pattern.reaches(place)
    }

    /// Whether everything that `other`'s pattern covers is covered by this one's.
    pub fn contains_pattern(&self, other: &Self) -> bool {
        self.pattern.contains(&other.pattern)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > SCOPE_BYTES_MAX {
            return Err("a scope has at most 768 bytes");
        }
        let (refuses, rest) = text
            .strip_prefix('!')
            .map_or((false, text), |rest| (true, rest));
        let (actions, pattern) = rest.split_once(':').ok_or(
            "a scope is written actions:project/environment/path, as in read:payments/prod/**",
        )?;
        Ok(Self {
            text: text.into(),
            refuses,
            actions: parse_actions(actions)?,
            pattern: pattern.parse()?,
        })
    }
}

fn parse_actions(text: &str) -> Result<Actions, ScopeError> {
    let mut actions = Actions::default();
    for word in text.split(',') {
        let action = word.parse().map_err(|()| {
            "the actions are list, read, write, delete, destroy, rotate, connect, share, manage and audit, joined by commas"
        })?;
        if actions.contains(action) {
            return Err("each action is named once");
        }
        actions = actions.with(action);
    }
    Ok(actions)
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;
    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope(text: &str) -> Scope {
        text.parse().expect("a scope of the test")
    }

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, resource, covered) in [
            ("read:a/b/**", "a/b", true),
            ("read:a/b/**", "a/b/c/d", true),
            ("read:a/b/**", "a/bc", false),
            ("read:a/*/c", "a/b/c", true),
            ("read:a/*/c", "a/b/c/d", false),
            ("read:a/*", "a", false),
            ("read:**", "a/b/c", true),
            ("read:**", "sys/tokens", false),
            ("read:*/tokens", "sys/tokens", false),
            ("read:sys/**", "sys/tokens", true),
            ("read:sys/*", "sys/tokens", true),
            ("read:a/b/c", "a/b/C", false),
        ] {
            assert_eq!(
                scope(pattern).matches(Action::Read, resource),
                covered,
                "{pattern} {resource}"
            );
        }
    }

    #[test]
    fn bad_scopes_are_refused() {
        for bad in [
            "",
            "read",
            "read:",
            ":a",
            "read:a/**/b",
            "read:a//b",
            "read:a/../b",
            "Read:a",
            "read,read:a",
            "read:a/b*",
            "read: a",
            "fly:a",
            "!!read:a",
            "read:a/%2f",
            "read:A/b",
            "read:a/B",
            "read:*/B",
            "read:a/sys/b",
        ] {
            assert!(bad.parse::<Scope>().is_err(), "{bad:?}");
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        (
            prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "sys"]), 0..4),
            any::<bool>(),
        )
            .prop_filter_map("a scope", |(mut parts, rest)| {
                if rest {
                    parts.push("**");
                }
                let text = format!("read:{}", parts.join("/"));
                text.parse::<Scope>().is_ok().then_some(text)
            })
    }

    proptest! {
        #[test]
        fn a_contained_pattern_never_covers_more(
            outer in pattern(),
            inner in pattern(),
            resource in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "sys"]), 1..6),
        ) {
            let (outer, inner, resource) = (scope(&outer), scope(&inner), resource.join("/"));
            if outer.contains_pattern(&inner) && inner.covers(&resource) {
                prop_assert!(outer.covers(&resource));
            }
        }

        #[test]
        fn what_is_covered_below_a_place_is_reached(pattern in pattern(), resource in prop::collection::vec(prop::sample::select(vec!["a", "b", "sys"]), 1..5)) {
            let (scope, text) = (scope(&pattern), resource.join("/"));
            if scope.covers(&text) {
                for n in 1..=resource.len() {
                    prop_assert!(scope.reaches(&resource[..n].join("/")));
                }
            }
        }
    }
}
