//! The scope language: `actions:project/environment/path`, with `*` for one part, `**` for the rest, `!` to refuse.
//! A scope is matched against a resource's text, part by part, with no other pattern characters.
//!
//! Invariant: neither `*` nor `**` ever matches `sys`; a pattern reaches the system only by spelling it out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::check_part;
use super::{Action, Actions, Name};

const SCOPE_BYTES_MAX: usize = 768;
const PARTS_MAX: usize = 18;

/// Why a scope is refused: a clause that says what to do.
pub type ScopeError = &'static str;

/// One line of what a principal may do, or may not.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    text: Arc<str>,
    refuses: bool,
    actions: Actions,
    pattern: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Part {
    Exactly(Box<str>),
    One,
    Rest,
}

impl Scope {
    /// About how many bytes it holds in memory.
    pub fn weight(&self) -> usize {
        64 + 2 * self.text.len() + 40 * self.pattern.len()
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
        let mut parts = resource.split('/');
        for (at, part) in self.pattern.iter().enumerate() {
            match part {
                Part::Rest => return at > 0 || parts.next() != Some("sys"),
                Part::One => match parts.next() {
                    None => return false,
                    Some("sys") if at == 0 => return false,
                    Some(_) => {}
                },
                Part::Exactly(text) if parts.next() == Some(text) => {}
                Part::Exactly(_) => return false,
            }
        }
        parts.next().is_none()
    }

    /// Whether its pattern covers something at `place` or below it.
    pub fn reaches(&self, place: &str) -> bool {
        let mut parts = place.split('/').enumerate();
        for part in &self.pattern {
            match (part, parts.next()) {
                (_, None) => return true,
                (Part::Rest, Some((at, text))) => return at > 0 || text != "sys",
                (Part::One, Some((0, "sys"))) => return false,
                (Part::One, Some(_)) => {}
                (Part::Exactly(want), Some((_, text))) if **want == *text => {}
                (Part::Exactly(_), Some(_)) => return false,
            }
        }
        parts.next().is_none()
    }

    /// Whether everything that `other`'s pattern covers is covered by this one's.
    pub fn contains_pattern(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.pattern.iter(), other.pattern.iter());
        let mut at = 0;
        loop {
            let first = at == 0;
            at += 1;
            match (mine.next(), theirs.next()) {
                (None, None) => return true,
                (Some(Part::Rest), next) => {
                    return !(first
                        && matches!(next, Some(Part::Exactly(text)) if **text == *"sys"));
                }
                (Some(Part::One), Some(Part::Exactly(text))) => {
                    if first && **text == *"sys" {
                        return false;
                    }
                }
                (Some(Part::One), Some(Part::One)) => {}
                (Some(Part::Exactly(a)), Some(Part::Exactly(b))) if a == b => {}
                _ => return false,
            }
        }
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
            pattern: parse_pattern(pattern)?,
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

fn parse_pattern(text: &str) -> Result<Vec<Part>, ScopeError> {
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() > PARTS_MAX {
        return Err("a scope's pattern has at most 18 parts");
    }
    let of_system = parts.first() == Some(&"sys");
    parts
        .iter()
        .enumerate()
        .map(|(at, part)| match *part {
            "**" if at + 1 == parts.len() => Ok(Part::Rest),
            "**" => Err("`**` stands only at the end of a scope"),
            "*" => Ok(Part::One),
            // A project or an environment that no name can be would match nothing, and say so to nobody.
            part if at < 2 && !of_system => part
                .parse::<Name>()
                .map(|_| Part::Exactly(part.into()))
                .map_err(|_| "a scope's project and environment are `*` or names as they are made"),
            part => check_part(part)
                .map(|()| Part::Exactly(part.into()))
                .map_err(|_| "each part of a scope is `*`, a last `**`, or a name spelt out"),
        })
        .collect()
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
