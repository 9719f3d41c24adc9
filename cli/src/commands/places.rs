//! `coffer project` and `coffer env`: the places that secrets live in.
//! A place is deleted only when it is empty, so that no secret goes with it unasked.
//!
//! Invariant: a name is checked here before a server is asked.

use crate::client::Client;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::Subcommand;
use coffer_api::{CreatePlace, Environments, Place, Projects};
use reqwest::Method;

#[derive(Subcommand)]
pub enum Project {
    /// Make a project.
    Create {
        /// Lower-case letters, digits and -.
        name: String,
    },
    /// List the projects that this token may list.
    List,
    /// Delete a project without environments.
    Delete {
        /// The project.
        name: String,
    },
}

#[derive(Subcommand)]
pub enum Env {
    /// Make an environment, with keys of its own.
    Create {
        /// Where, and its name.
        #[arg(value_name = "PROJECT/ENV")]
        place: String,
    },
    /// List a project's environments that this token may list.
    List {
        /// The project; the one of .coffer.toml without.
        #[arg(value_name = "PROJECT")]
        project: Option<String>,
    },
    /// Delete an environment without secrets.
    Delete {
        /// The environment.
        #[arg(value_name = "PROJECT/ENV")]
        place: String,
    },
}

impl Project {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let projects = Route::new("projects");
        match self {
            Self::Create { name } => create(output, &projects, names::project(&name)?, &name),
            Self::Delete { name } => delete(output, &projects.part(&names::project(&name)?), &name),
            Self::List => {
                let reply = Client::from_environment()?.get(&projects)?;
                if output.is_json() {
                    return output.body(&reply.body);
                }
                list(output, "PROJECT", "", &reply.parse::<Projects>()?.projects)
            }
        }
    }
}

impl Env {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let environments =
            |project: &str| Route::new("projects").part(project).part("environments");
        match self {
            Self::Create { place } => {
                let place = names::environment(Some(&place))?;
                create(
                    output,
                    &environments(&place.project),
                    place.name.clone(),
                    &place.to_string(),
                )
            }
            Self::Delete { place } => {
                let place = names::environment(Some(&place))?;
                delete(
                    output,
                    &environments(&place.project).part(&place.name),
                    &place.to_string(),
                )
            }
            Self::List { project } => {
                let project = names::project_or_default(project.as_deref())?;
                let reply = Client::from_environment()?.get(&environments(&project))?;
                if output.is_json() {
                    return output.body(&reply.body);
                }
                let found: Environments = reply.parse()?;
                list(
                    output,
                    "ENVIRONMENT",
                    &format!("{project}/"),
                    &found.environments,
                )
            }
        }
    }
}

fn create(output: Output, route: &Route, name: String, shown: &str) -> Result<(), Failure> {
    let reply =
        Client::from_environment()?.send(Method::POST, route, Some(&CreatePlace { name }))?;
    if output.is_json() {
        output.body(&reply.body)
    } else {
        output.line(&format!("{shown} is made"))
    }
}

fn delete(output: Output, route: &Route, shown: &str) -> Result<(), Failure> {
    let reply = Client::from_environment()?.send(Method::DELETE, route, None::<&()>)?;
    if output.is_json() {
        output.body(&reply.body)
    } else {
        output.line(&format!("{shown} is deleted"))
    }
}

fn list(output: Output, heading: &str, before: &str, places: &[Place]) -> Result<(), Failure> {
    let row = |place: &Place| vec![format!("{before}{}", place.name), place.created_at.clone()];
    output.table(
        &[heading, "CREATED"],
        &places.iter().map(row).collect::<Vec<_>>(),
    )
}
