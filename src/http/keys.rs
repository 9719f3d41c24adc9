//! An environment's key over HTTP: its census, a new term, old versions moved to it, and an old term destroyed.
//! A rewrap or a reencryption is many decisions, each with its record; the client waits for the last one and gets the census.
//!
//! Invariant: no key bytes, wrapped or not, are in an answer.

use coffer_api as api;

use super::endpoint::{Answered, Asked, Endpoint};
use super::limits::EMPTY_BODY_BYTES_MAX;
use super::once::Change;
use super::reply::Reply;
use crate::model::Refusal;
use crate::operations::keys::{
    Census, DestroyTerm, ListKeys, ReencryptKeys, Reencrypted, RewrapKeys, Rewrapped, RotateKey,
    TermFacts, TermState,
};

impl Endpoint for ListKeys {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            place: asked.environment()?,
        })
    }

    async fn reply(reply: Census, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&shown(reply)))
    }
}

impl Change for RotateKey {}

impl Endpoint for RotateKey {
    const BODY_BYTES_MAX: usize = EMPTY_BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        asked.no_parameters()?;
        Ok(Self {
            place: asked.environment()?,
        })
    }

    async fn reply(reply: Census, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&shown(reply)))
    }
}

impl Change for DestroyTerm {}

impl Endpoint for DestroyTerm {
    const BODY_BYTES_MAX: usize = EMPTY_BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let body: api::DestroyTerm = asked.body()?;
        Ok(Self {
            place: asked.environment()?,
            term: body.term,
        })
    }

    async fn reply(reply: Census, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&shown(reply)))
    }
}

impl Change for RewrapKeys {}

impl Endpoint for RewrapKeys {
    const BODY_BYTES_MAX: usize = EMPTY_BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        asked.no_parameters()?;
        asked.environment().map(Self::of)
    }

    /// The last step finds nothing left to move, and counts.
    fn again(reply: &Rewrapped) -> bool {
        reply.census.is_none()
    }

    fn gently(self) -> Self {
        Self::gently(self)
    }

    async fn reply(reply: Rewrapped, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let census = reply
            .census
            .ok_or(Refusal::Unavailable("the rewrap has not ended"))?;
        Ok(answered.json(&shown(census)))
    }
}

impl Change for ReencryptKeys {}

impl Endpoint for ReencryptKeys {
    const BODY_BYTES_MAX: usize = EMPTY_BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        asked.no_parameters()?;
        asked.environment().map(Self::of)
    }

    /// The first step begins, the last one finds nothing left, and counts.
    fn again(reply: &Reencrypted) -> bool {
        reply.census.is_none()
    }

    fn gently(self) -> Self {
        Self::gently(self)
    }

    async fn reply(reply: Reencrypted, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let census = reply
            .census
            .ok_or(Refusal::Unavailable("the reencryption has not ended"))?;
        Ok(answered.json(&shown(census)))
    }
}

fn shown(census: Census) -> api::Keys {
    let term = |facts: TermFacts| api::Term {
        term: facts.term,
        state: match facts.state {
            TermState::Current => api::TermState::Current,
            TermState::Retired => api::TermState::Retired,
            TermState::Destroyed => api::TermState::Destroyed,
        },
        versions: facts.versions,
    };
    api::Keys {
        environment: census.environment.to_string(),
        terms: census.terms.into_iter().map(term).collect(),
    }
}
