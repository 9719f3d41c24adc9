//! Projects and environments over HTTP.
//! A place is made by its name in a body, and found and taken away by its name in the path.
//!
//! Invariant: a list answers with what the operation showed, and adds nothing.

use coffer_api::{CreatePlace, Environments, Place, Projects};

use super::endpoint::{Answered, Asked, Endpoint, named};
use super::limits::TOKEN_BODY_BYTES_MAX;
use super::once::Change;
use super::reply::Reply;
use crate::model::{EnvironmentName, Refusal};
use crate::operations::places::{
    CreateEnvironment, CreateProject, DeleteEnvironment, DeleteProject, DeletedEnvironment,
    ListEnvironments, ListProjects, PlaceFacts, ReadProject,
};

fn place(facts: PlaceFacts) -> Place {
    Place {
        name: facts.name.into(),
        created_at: facts.created_at.to_string(),
    }
}

impl Endpoint for ListProjects {
    fn parse(_: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self)
    }

    async fn reply(reply: Vec<PlaceFacts>, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&Projects {
            projects: reply.into_iter().map(place).collect(),
        }))
    }
}

impl Change for CreateProject {}

impl Endpoint for CreateProject {
    const BODY_BYTES_MAX: usize = TOKEN_BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let body: CreatePlace = asked.body()?;
        Ok(Self {
            name: named("name", &body.name)?,
        })
    }

    async fn reply(reply: PlaceFacts, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&place(reply)))
    }
}

impl Endpoint for ReadProject {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            name: asked.project()?,
        })
    }

    async fn reply(reply: PlaceFacts, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&place(reply)))
    }
}

impl Change for DeleteProject {}

impl Endpoint for DeleteProject {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            name: asked.project()?,
        })
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(Reply::empty(answered.status))
    }
}

impl Endpoint for ListEnvironments {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            project: asked.project()?,
        })
    }

    async fn reply(reply: Vec<PlaceFacts>, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&Environments {
            environments: reply.into_iter().map(place).collect(),
        }))
    }
}

impl Change for CreateEnvironment {}

impl Endpoint for CreateEnvironment {
    const BODY_BYTES_MAX: usize = TOKEN_BODY_BYTES_MAX;

    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let body: CreatePlace = asked.body()?;
        let name = EnvironmentName {
            project: asked.project()?,
            environment: named("name", &body.name)?,
        };
        Ok(Self { name })
    }

    async fn reply(reply: PlaceFacts, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&place(reply)))
    }
}

impl Change for DeleteEnvironment {}

impl Endpoint for DeleteEnvironment {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            name: asked.environment()?,
        })
    }

    /// One step takes away what one decision may; the last takes the environment.
    fn again(reply: &DeletedEnvironment) -> bool {
        reply.left
    }

    async fn reply(_: DeletedEnvironment, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(Reply::empty(answered.status))
    }
}
