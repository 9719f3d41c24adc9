//! The terms of an environment's key: counted, begun anew, and destroyed. Old versions move to the newest in
//! `rewrap.rs`, and are sealed anew in `reencrypt.rs`; nothing here touches a version.
//!
//! Invariant: a term that wraps anything, or that new data keys are wrapped under, is not destroyed.

mod reencrypt;
mod rewrap;

use std::collections::BTreeMap;

pub use reencrypt::{ReencryptKeys, Reencrypted};
pub use rewrap::{RewrapKeys, Rewrapped};

use super::places::new_key;
use crate::door::{Cx, Decision, Operation, Place, View};
use crate::model::{Action, Environment, EnvironmentName, Refusal, Resource};

/// Terms that one environment may have: each is a key in locked memory.
const TERMS_MAX: usize = 1_000;
/// Terms that one environment may have had: its document lists those that were destroyed.
const TERMS_EVER_MAX: u32 = 10_000;

/// How many versions each term still protects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Census {
    /// Which environment.
    pub environment: EnvironmentName,
    /// Its terms, oldest first.
    pub terms: Vec<TermFacts>,
}

/// One term of an environment's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TermFacts {
    /// Its number, from 1.
    pub term: u32,
    /// Where it is in its life.
    pub state: TermState,
    /// Versions whose data keys it wraps.
    pub versions: u64,
}

/// Where a term is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TermState {
    /// New data keys are wrapped with it.
    Current,
    /// It opens what it wrapped.
    Retired,
    /// Its key is gone.
    Destroyed,
}

/// `GET /keys/{p}/{e}`
pub struct ListKeys {
    /// Which environment.
    pub place: EnvironmentName,
}

impl Operation for ListKeys {
    const ACTION: Action = Action::List;
    type Reply = Census;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.place)
    }

    async fn decide(&self, _: &Cx<'_>, view: &View) -> Result<Decision<Census>, Refusal> {
        let place = view.place(&self.place).await?;
        let counts = view.count_versions_by_term(&place).await?;
        Ok(Decision::new(Census::of(
            &self.place,
            place.terms(),
            &place.environment,
            &counts,
        )))
    }
}

/// `POST /keys/{p}/{e}/rotate`
pub struct RotateKey {
    /// Which environment.
    pub place: EnvironmentName,
}

impl Operation for RotateKey {
    const ACTION: Action = Action::Rotate;
    type Reply = Census;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.place)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Census>, Refusal> {
        let place = view.place(&self.place).await?;
        let counts = view.count_versions_by_term(&place).await?;
        let environment = with_new_term(&place)?;
        let terms = place.terms().chain([environment.term]);
        let census = Census::of(&self.place, terms, &environment, &counts);
        let decision = Decision::new(census)
            .say("coffer.keys", "rotate")
            .put_environment(cx, &environment)?;
        Ok(decision.put_key(new_key(cx, &environment)?))
    }
}

/// The environment with another term as its current one, which has no key yet.
fn with_new_term(place: &Place) -> Result<Environment, Refusal> {
    let newest = place.terms().max().unwrap_or(0).max(place.environment.term);
    let max = if place.terms().count() >= TERMS_MAX {
        format!("an environment's key has at most {TERMS_MAX} terms: destroy old ones first")
    } else if newest >= TERMS_EVER_MAX {
        format!("an environment's key has at most {TERMS_EVER_MAX} terms in its life")
    } else {
        return Ok(Environment {
            term: newest + 1,
            ..place.environment.clone()
        });
    };
    Err(Refusal::Conflict("too-many-terms", max))
}

/// `POST /keys/{p}/{e}/destroy`
pub struct DestroyTerm {
    /// Which environment.
    pub place: EnvironmentName,
    /// Which term of its key.
    pub term: u32,
}

impl Operation for DestroyTerm {
    const ACTION: Action = Action::Destroy;
    type Reply = Census;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.place)
    }

    /// A count of zero stays true: nothing is wrapped under a term that is not the current one (who decides so has relied
    /// on the places, which a new term touches), and no term becomes current again. The places come first here, so the
    /// term was old already when its versions were counted.
    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Census>, Refusal> {
        let place = view.place(&self.place).await?;
        let counts = view.count_versions_by_term(&place).await?;
        if place.environment.has_destroyed(self.term) || place.key(self.term).is_none() {
            return Err(Refusal::NotFound);
        }
        if self.term == place.environment.term {
            let sentence = "new versions are protected by this term: begin another with `coffer key rotate` first";
            return Err(Refusal::Conflict("term-current", sentence.to_owned()));
        }
        if let Some((_, versions)) = counts.iter().find(|(term, _)| *term == self.term) {
            let sentence = format!(
                "versions of secrets or connections are still protected by this term ({versions}): move them with `coffer key rewrap`, and destroy or remove the rest"
            );
            return Err(Refusal::Conflict("term-in-use", sentence));
        }
        let mut environment = place.environment.clone();
        environment.destroyed.push(self.term);
        environment.destroyed.sort_unstable();
        let terms = place.terms().filter(|term| *term != self.term);
        let census = Census::of(&self.place, terms, &environment, &counts);
        let decision = Decision::new(census)
            .say("coffer.keys", "destroy")
            .say("coffer.term", self.term)
            .put_environment(cx, &environment)?;
        Ok(decision.destroy_key(&environment, self.term))
    }
}

impl Census {
    /// A term that wraps something and has no key is shown as destroyed: what it wraps can be read by nobody.
    fn of(
        place: &EnvironmentName,
        terms: impl Iterator<Item = u32>,
        environment: &Environment,
        counts: &[(u32, u64)],
    ) -> Self {
        let facts = |term, state| TermFacts {
            term,
            state,
            versions: 0,
        };
        let destroyed = |term| facts(term, TermState::Destroyed);
        let gone = environment.destroyed.iter().copied();
        let mut known: BTreeMap<u32, TermFacts> =
            gone.map(|term| (term, destroyed(term))).collect();
        known.extend(terms.map(|term| {
            let state = if term == environment.term {
                TermState::Current
            } else {
                TermState::Retired
            };
            (term, facts(term, state))
        }));
        for (term, versions) in counts {
            known
                .entry(*term)
                .or_insert_with(|| destroyed(*term))
                .versions = *versions;
        }
        Self {
            environment: place.clone(),
            terms: known.into_values().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EnvironmentId, ProjectId, Timestamp};

    #[test]
    fn a_census_names_every_term_once() {
        let place = EnvironmentName {
            project: "p".parse().expect("a name"),
            environment: "e".parse().expect("a name"),
        };
        let environment = Environment {
            id: EnvironmentId::from_bytes([1; 16]),
            project: ProjectId::from_bytes([2; 16]),
            name: place.environment.clone(),
            created_at: Timestamp::from_micros(0),
            term: 4,
            destroyed: vec![2],
            reencrypting: None,
        };
        let counts = [(1, 4), (4, 1), (9, 2)];
        let census = Census::of(&place, [1, 3, 4].into_iter(), &environment, &counts);
        let facts: Vec<_> = census
            .terms
            .iter()
            .map(|fact| (fact.term, fact.state, fact.versions))
            .collect();
        assert_eq!(
            facts,
            [
                (1, TermState::Retired, 4),
                (2, TermState::Destroyed, 0),
                (3, TermState::Retired, 0),
                (4, TermState::Current, 1),
                (9, TermState::Destroyed, 2)
            ]
        );
    }
}
