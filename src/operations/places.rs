//! Projects and environments: made, shown and taken away.
//! Making an environment makes the first term of its key; taking it away takes its keys with it.
//!
//! Invariant: a list shows only places that the caller may list by their own exact text.

use crate::door::{Access, Cx, Decision, Operation, Places, ProjectPlaces, View};
use crate::model::{
    Action, Environment, EnvironmentId, EnvironmentName, KeyRow, Name, Project, ProjectId, Refusal,
    Resource, Secret, State, Timestamp,
};

/// Projects and environments of a cluster together: all of them are kept in memory and answered at once.
pub const PLACES_MAX: usize = 10_000;
/// Documents of destroyed secrets that one decision takes away; below the thousand refs of a decision.
const BURIED_MAX: u32 = 500;
/// The term of a new environment's key.
const FIRST_TERM: u32 = 1;

/// A project or an environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceFacts {
    /// Its own name, without the project's.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
}

/// `GET /projects`
pub struct ListProjects;

impl Operation for ListProjects {
    const ACTION: Action = Action::List;
    const ACCESS: Access = Access::Reach;
    type Reply = Vec<PlaceFacts>;

    fn resource(&self) -> Resource<'_> {
        Resource::Places
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Vec<PlaceFacts>>, Refusal> {
        let places = view.places().await?;
        let shown = places
            .projects()
            .filter(|(name, _)| cx.caller.allows(Action::List, name.as_str()));
        shown
            .map(|(_, project)| project_facts(project))
            .collect::<Result<_, _>>()
            .map(Decision::new)
    }
}

/// `GET /projects/{p}`
pub struct ReadProject {
    /// Which one.
    pub name: Name,
}

impl Operation for ReadProject {
    const ACTION: Action = Action::List;
    type Reply = PlaceFacts;

    fn resource(&self) -> Resource<'_> {
        Resource::Project(&self.name)
    }

    async fn decide(&self, _: &Cx<'_>, view: &View) -> Result<Decision<PlaceFacts>, Refusal> {
        let places = view.places().await?;
        let project = places.project(&self.name).ok_or(Refusal::NotFound)?;
        project_facts(project).map(Decision::new)
    }
}

/// `GET /projects/{p}/environments`
pub struct ListEnvironments {
    /// Of which project.
    pub project: Name,
}

impl Operation for ListEnvironments {
    const ACTION: Action = Action::List;
    const ACCESS: Access = Access::Reach;
    type Reply = Vec<PlaceFacts>;

    fn resource(&self) -> Resource<'_> {
        Resource::Project(&self.project)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<Vec<PlaceFacts>>, Refusal> {
        let places = view.places().await?;
        let project = places.project(&self.project).ok_or(Refusal::NotFound)?;
        let listed = |name: &Name| {
            cx.caller
                .allows(Action::List, &format!("{}/{name}", self.project))
        };
        let shown = project
            .environments()
            .filter(|(name, _)| listed(name))
            .map(|(name, place)| {
                let place = place.ok_or(Refusal::Tampered)?;
                Ok(PlaceFacts {
                    name: name.clone(),
                    created_at: place.environment.created_at,
                })
            });
        shown.collect::<Result<_, _>>().map(Decision::new)
    }
}

/// `POST /projects`
pub struct CreateProject {
    /// Its name.
    pub name: Name,
}

impl Operation for CreateProject {
    const ACTION: Action = Action::Manage;
    type Reply = PlaceFacts;

    fn resource(&self) -> Resource<'_> {
        Resource::Project(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<PlaceFacts>, Refusal> {
        let places = view.places().await?;
        if places.project(&self.name).is_some() {
            return Err(exists("a project of that name is there already"));
        }
        check_room(&places)?;
        let id = ProjectId::new(cx.now, cx.id_bytes());
        let project = Project {
            id,
            name: self.name.clone(),
            created_at: cx.now,
        };
        let reply = PlaceFacts {
            name: self.name.clone(),
            created_at: cx.now,
        };
        Decision::new(reply).status(201).put_project(cx, &project)
    }
}

/// `POST /projects/{p}/environments`
pub struct CreateEnvironment {
    /// Its project and its name.
    pub name: EnvironmentName,
}

impl Operation for CreateEnvironment {
    const ACTION: Action = Action::Manage;
    type Reply = PlaceFacts;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.name)
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<PlaceFacts>, Refusal> {
        let places = view.places().await?;
        let found = places
            .project(&self.name.project)
            .ok_or(Refusal::NotFound)?;
        if found.environment(&self.name.environment).is_some() {
            return Err(exists("an environment of that name is there already"));
        }
        check_room(&places)?;
        let environment = Environment {
            id: EnvironmentId::new(cx.now, cx.id_bytes()),
            project: found.project.as_ref().ok_or(Refusal::Tampered)?.id,
            name: self.name.environment.clone(),
            created_at: cx.now,
            term: FIRST_TERM,
            destroyed: Vec::new(),
            reencrypting: None,
        };
        let reply = PlaceFacts {
            name: environment.name.clone(),
            created_at: cx.now,
        };
        let decision = Decision::new(reply)
            .status(201)
            .put_environment(cx, &environment)?;
        Ok(decision.put_key(new_key(cx, &environment)?))
    }
}

/// `DELETE /projects/{p}`
pub struct DeleteProject {
    /// Which one.
    pub name: Name,
}

impl Operation for DeleteProject {
    const ACTION: Action = Action::Manage;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::Project(&self.name)
    }

    async fn decide(&self, _: &Cx<'_>, view: &View) -> Result<Decision<()>, Refusal> {
        let places = view.places().await?;
        let found = places.project(&self.name).ok_or(Refusal::NotFound)?;
        if found.environments().next().is_some() {
            return Err(not_empty(
                "the project still has environments: delete them first",
            ));
        }
        let project = found.project.as_ref().ok_or(Refusal::Tampered)?;
        Ok(Decision::new(()).status(204).drop_project(project))
    }
}

/// `DELETE /projects/{p}/environments/{e}`, one step of it: to be asked again while something is left.
pub struct DeleteEnvironment {
    /// Which one.
    pub name: EnvironmentName,
}

/// What one step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeletedEnvironment {
    /// Whether documents of destroyed secrets are left, and the environment with them.
    pub left: bool,
}

impl Operation for DeleteEnvironment {
    const ACTION: Action = Action::Manage;
    type Reply = DeletedEnvironment;

    fn resource(&self) -> Resource<'_> {
        Resource::Environment(&self.name)
    }

    async fn decide(
        &self,
        _: &Cx<'_>,
        view: &View,
    ) -> Result<Decision<DeletedEnvironment>, Refusal> {
        let place = view.place(&self.name).await?;
        let living = view.list_secrets(&place, "", "", 1).await?;
        if !living.is_empty() {
            return Err(not_empty(
                "the environment holds secrets: delete and destroy them first",
            ));
        }
        if !view.list_connections(&place, "", 1).await?.is_empty() {
            return Err(not_empty(
                "the environment holds connections: remove them first",
            ));
        }
        // What is deleted and destroyed has left its document, which nothing could open without the environment.
        let buried = view.list_buried_secrets(&place, BURIED_MAX).await?;
        if view.holds_versions(&place).await? || !buried.iter().all(is_destroyed) {
            return Err(not_empty(
                "deleted secrets of the environment still have versions: destroy them first",
            ));
        }
        let left = buried.len() == BURIED_MAX as usize;
        let decision = Decision::new(DeletedEnvironment { left });
        let decision = buried.iter().fold(decision, |decision, secret| {
            decision.drop_secret(&place, secret)
        });
        if left {
            return Ok(decision.status(202));
        }
        Ok(decision.status(204).drop_environment(&place.environment))
    }
}

fn is_destroyed(secret: &Secret) -> bool {
    let mut versions = secret.versions.iter();
    versions.all(|version| version.state == State::Destroyed)
}

/// A new key of the environment's term, as its row.
pub(super) fn new_key(cx: &Cx<'_>, environment: &Environment) -> Result<KeyRow, Refusal> {
    let Environment {
        id, project, term, ..
    } = environment;
    let generated = cx
        .keys
        .generate_environment_key(cx.entropy, *project, *id, *term);
    let (_, row) = generated.map_err(|_| Refusal::Unavailable("a key could not be wrapped"))?;
    Ok(row)
}

fn project_facts(places: &ProjectPlaces) -> Result<PlaceFacts, Refusal> {
    let project = places.project.as_ref().ok_or(Refusal::Tampered)?;
    Ok(PlaceFacts {
        name: project.name.clone(),
        created_at: project.created_at,
    })
}

fn check_room(places: &Places) -> Result<(), Refusal> {
    let count: usize = places
        .projects()
        .map(|(_, project)| 1 + project.environments().count())
        .sum();
    if count < PLACES_MAX {
        return Ok(());
    }
    let sentence =
        format!("there are {PLACES_MAX} projects and environments already: delete some first");
    Err(Refusal::Conflict("too-many-places", sentence))
}

fn exists(sentence: &str) -> Refusal {
    Refusal::Conflict("exists", sentence.to_owned())
}

fn not_empty(sentence: &str) -> Refusal {
    Refusal::Conflict("not-empty", sentence.to_owned())
}
