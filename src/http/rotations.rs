//! Rotation policies over HTTP: whole seconds in, every default filled in on the way out.
//! A rotation by hand answers as a write does, without the value.
//!
//! Invariant: what is answered is the policy in force.

use coffer_api as api;

use super::endpoint::{Answered, Asked, Endpoint, named};
use super::limits::{BODY_BYTES_MAX, EMPTY_BODY_BYTES_MAX};
use super::once::Change;
use super::reply::Reply;
use super::secrets::written;
use crate::model::{Refusal, Ttl};
use crate::operations::Generate;
use crate::operations::rotations::{
    DeleteRotation, ReadRotation, RotateNow, Rotation, SetRotation,
};
use crate::operations::secrets::Written;

impl Change for SetRotation {}

impl Endpoint for SetRotation {
    const BODY_BYTES_MAX: usize = BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let body: api::SetRotation = asked.body()?;
        Ok(Self {
            name: asked.secret()?,
            every: Ttl::seconds(body.every),
            grace: body.grace.map(Ttl::seconds),
            field: body.field.map(|field| named("field", &field)).transpose()?,
            generate: Generate::new(body.length, body.alphabet).map_err(Refusal::Malformed)?,
        })
    }

    async fn reply(reply: Rotation, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&shown(reply)))
    }
}

impl Endpoint for ReadRotation {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            name: asked.secret()?,
        })
    }

    async fn reply(reply: Rotation, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&shown(reply)))
    }
}

impl Change for DeleteRotation {}

impl Endpoint for DeleteRotation {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            name: asked.secret()?,
        })
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(Reply::empty(answered.status))
    }
}

impl Change for RotateNow {}

impl Endpoint for RotateNow {
    const BODY_BYTES_MAX: usize = EMPTY_BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        asked.no_parameters()?;
        Ok(Self {
            name: asked.secret()?,
        })
    }

    async fn reply(reply: Written, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(written(reply, answered))
    }
}

fn shown(rotation: Rotation) -> api::Rotation {
    let Rotation { path, policy } = rotation;
    api::Rotation {
        path,
        every: policy.every.as_seconds(),
        grace: policy.grace.as_seconds(),
        field: policy.field.to_string(),
        length: policy.length,
        alphabet: policy.alphabet.into(),
        next_at: policy.next_at.to_string(),
        last_at: policy.last_at.map(|at| at.to_string()),
    }
}
