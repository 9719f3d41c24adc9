//! Patterns of resources, as scopes and queries spell them: `*` for one part, a last `**` for the rest.
//! A pattern is matched against a resource's text, part by part, with no other pattern characters.
//!
//! Invariant: neither `*` nor `**` ever matches `sys`; a pattern reaches the system only by spelling it out.

use std::str::FromStr;

use super::Name;
use super::names::check_part;
use super::scope::ScopeError;

const PARTS_MAX: usize = 18;

/// Which resources are spoken of.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Part {
    Exactly(Box<str>),
    One,
    Rest,
}

impl Pattern {
    /// About how many bytes it holds in memory.
    pub(super) fn weight(&self) -> usize {
        40 * self.0.len()
    }

    /// Whether it covers this resource.
    pub fn covers(&self, resource: &str) -> bool {
        let mut parts = resource.split('/');
        for (at, part) in self.0.iter().enumerate() {
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

    /// Whether it covers something at `place` or below it.
    pub fn reaches(&self, place: &str) -> bool {
        let mut parts = place.split('/').enumerate();
        for part in &self.0 {
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

    /// Whether everything that `other` covers is covered by this one.
    pub fn contains(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.0.iter(), other.0.iter());
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

impl FromStr for Pattern {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
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
                    .map_err(
                        |_| "a scope's project and environment are `*` or names as they are made",
                    ),
                part => check_part(part)
                    .map(|()| Part::Exactly(part.into()))
                    .map_err(|_| "each part of a scope is `*`, a last `**`, or a name spelt out"),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
