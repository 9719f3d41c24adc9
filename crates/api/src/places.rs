//! Projects and environments: what makes one, and how they are listed.
//! An environment's name stands alone here; its project is in the URL.
//!
//! Invariant: a listing holds only what the caller may `list`.

use serde::{Deserialize, Serialize};

/// `POST /projects` and `POST /projects/{p}/environments`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreatePlace {
    /// `[a-z][a-z0-9-]{0,62}`; not `sys` for a project.
    pub name: String,
}

/// A project or an environment; also the answer (201) to making one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Place {
    /// Its own name, without the project's.
    pub name: String,
    /// RFC 3339.
    pub created_at: String,
}

/// `GET /projects`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Projects {
    /// By name.
    pub projects: Vec<Place>,
}

/// `GET /projects/{p}/environments`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Environments {
    /// By name.
    pub environments: Vec<Place>,
}
