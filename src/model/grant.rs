//! What a list of scopes decides, and what a whole chain of them does: token, ancestors, principal.
//! All must allow; one refusal anywhere is enough.
//!
//! Invariant: an empty list allows nothing.

use std::sync::Arc;

use super::{Action, Resource, Scope};

/// What a chain of scope lists says of an action on a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Allowed, by this scope of the asking token.
    Allowed(Arc<str>),
    /// Refused by this scope.
    RefusedBy(Arc<str>),
    /// Not allowed; something else is allowed on the same resource (403).
    Other,
    /// Nothing is allowed on the resource at all (404).
    Nothing,
}

/// The scope lists that must all allow: the token's first, then its ancestors', then its principal's.
#[derive(Clone, Default, Debug)]
pub struct Grant {
    lists: Vec<Arc<[Scope]>>,
}

impl Grant {
    /// The grant of these lists, the asking token's first.
    pub const fn new(lists: Vec<Arc<[Scope]>>) -> Self {
        Self { lists }
    }

    /// Decides `action` on `resource`.
    pub fn decide(&self, action: Action, resource: Resource<'_>) -> Verdict {
        self.decide_text(action, &resource.to_string())
    }

    /// Decides `action` on the resource with this text.
    pub fn decide_text(&self, action: Action, resource: &str) -> Verdict {
        match self.allowing(action, resource) {
            Ok(Some(scope)) => Verdict::Allowed(scope.text()),
            denied => {
                let other = Action::ALL
                    .into_iter()
                    .any(|other| matches!(self.allowing(other, resource), Ok(Some(_))));
                match (other, denied) {
                    (false, _) => Verdict::Nothing,
                    (true, Err(refusal)) => Verdict::RefusedBy(refusal.text()),
                    (true, _) => Verdict::Other,
                }
            }
        }
    }

    /// Whether `action` is allowed on `resource`: for the items of a list.
    pub fn allows(&self, action: Action, resource: &str) -> bool {
        matches!(self.allowing(action, resource), Ok(Some(_)))
    }

    /// What is said of a list below `place`: allowed if every list has a scope for `action` that reaches into it.
    pub fn reaches(&self, action: Action, place: &str) -> Verdict {
        let reach = |action: Action| {
            let mut first = None;
            for list in &self.lists {
                let scope = list.iter().find(|scope| {
                    !scope.refuses() && scope.actions().contains(action) && scope.reaches(place)
                })?;
                first.get_or_insert(scope);
            }
            first
        };
        match reach(action) {
            Some(scope) => Verdict::Allowed(scope.text()),
            None if Action::ALL.into_iter().any(|other| reach(other).is_some()) => Verdict::Other,
            None => Verdict::Nothing,
        }
    }

    /// Whether everything that `scope` gives is within what each list gives (refusals are not looked at:
    /// they bind the child through its ancestors).
    pub fn contains(&self, scope: &Scope) -> bool {
        !self.lists.is_empty()
            && self.lists.iter().all(|list| {
                scope.actions().iter().all(|action| {
                    list.iter().any(|mine| {
                        !mine.refuses()
                            && mine.actions().contains(action)
                            && mine.contains_pattern(scope)
                    })
                })
            })
    }

    /// Every refusal of the chain: what a token without a parent must carry itself.
    pub fn refusals(&self) -> impl Iterator<Item = &Scope> {
        self.lists
            .iter()
            .flat_map(|list| list.iter())
            .filter(|scope| scope.refuses())
    }

    /// The scope of the first list that allows, when all lists allow; `Err` with the refusal that forbids.
    fn allowing(&self, action: Action, resource: &str) -> Result<Option<&Scope>, &Scope> {
        let mut first = None;
        for (at, list) in self.lists.iter().enumerate() {
            if let Some(refusal) = list
                .iter()
                .find(|s| s.refuses() && s.matches(action, resource))
            {
                return Err(refusal);
            }
            let Some(scope) = list
                .iter()
                .find(|s| !s.refuses() && s.matches(action, resource))
            else {
                return Ok(None);
            };
            if at == 0 {
                first = Some(scope);
            }
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(lists: &[&[&str]]) -> Grant {
        Grant::new(
            lists
                .iter()
                .map(|list| list.iter().map(|s| s.parse().expect("a scope")).collect())
                .collect(),
        )
    }

    #[test]
    fn empty_means_nothing() {
        assert_eq!(
            grant(&[]).decide_text(Action::Read, "a/b/c"),
            Verdict::Nothing
        );
        assert_eq!(
            grant(&[&[]]).decide_text(Action::Read, "a/b/c"),
            Verdict::Nothing
        );
        assert!(!grant(&[]).contains(&"read:a".parse().expect("a scope")));
    }

    #[test]
    fn every_list_must_allow_and_a_refusal_wins() {
        let chain = grant(&[
            &["read,list:a/**", "!read:a/b/root/**"],
            &["read:a/b/**", "list:**"],
        ]);
        assert!(matches!(
            chain.decide_text(Action::Read, "a/b/c"),
            Verdict::Allowed(_)
        ));
        assert!(matches!(
            chain.decide_text(Action::Read, "a/b/root/x"),
            Verdict::RefusedBy(_)
        ));
        assert_eq!(chain.decide_text(Action::Read, "a/c/c"), Verdict::Other);
        assert_eq!(chain.decide_text(Action::Read, "z/c/c"), Verdict::Nothing);
        assert_eq!(chain.decide_text(Action::Write, "a/b/c"), Verdict::Other);
    }

    #[test]
    fn a_list_reaches_into_places() {
        let chain = grant(&[&["list:a/b/x/**", "read:a/c/**"]]);
        assert!(matches!(
            chain.reaches(Action::List, "a/b"),
            Verdict::Allowed(_)
        ));
        assert_eq!(chain.reaches(Action::List, "a/c"), Verdict::Other);
        assert_eq!(chain.reaches(Action::List, "a/d"), Verdict::Nothing);
    }
}
