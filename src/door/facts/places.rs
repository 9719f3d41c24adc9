//! Every project and environment as one fact, each environment with its opened keys.
//! What does not open stays in its place as such, so that one broken row takes nobody else down.
//!
//! Invariant: a place opens only under its own ids and names, with the key of its current term, and with none that its
//! document says was destroyed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{LoadError, Loaded};
use crate::crypto::{CryptoError, EnvironmentKey, Keyring};
use crate::door::documents::{self, Within};
use crate::model::{DocumentKind, DocumentRow, Environment, EnvironmentId, KeyRow, Name, Project};
use crate::store::{Connection, Seen, StoreError};

/// An environment, with its project and its opened keys.
pub struct Place {
    /// The project.
    pub project: Arc<Project>,
    /// The environment.
    pub environment: Environment,
    /// Its keys by term.
    keys: BTreeMap<u32, EnvironmentKey>,
}

impl Place {
    /// The key that new data keys are wrapped under.
    pub fn current_key(&self) -> Option<&EnvironmentKey> {
        self.keys.get(&self.environment.term)
    }

    /// The key of a term.
    pub fn key(&self, term: u32) -> Option<&EnvironmentKey> {
        self.keys.get(&term)
    }

    /// The terms there are, oldest first.
    pub fn terms(&self) -> impl Iterator<Item = u32> {
        self.keys.keys().copied()
    }
}

/// Every project and environment.
pub struct Places {
    projects: BTreeMap<Name, ProjectPlaces>,
    pub(super) count: usize,
}

/// A project and its environments; `None` where a row does not open.
pub struct ProjectPlaces {
    /// The project.
    pub project: Option<Arc<Project>>,
    environments: BTreeMap<Name, Option<Arc<Place>>>,
}

impl Places {
    /// The project of this name.
    pub fn project(&self, name: &Name) -> Option<&ProjectPlaces> {
        self.projects.get(name)
    }

    /// The environment of this id, if it opens.
    pub fn place_of(&self, id: EnvironmentId) -> Option<&Arc<Place>> {
        let places = self
            .projects
            .values()
            .flat_map(|project| project.environments.values());
        places.flatten().find(|place| place.environment.id == id)
    }

    /// The environments that open.
    pub fn environments(&self) -> impl Iterator<Item = &Arc<Place>> {
        let places = self.projects.values();
        places.flat_map(|project| project.environments.values().flatten())
    }

    /// Projects by name.
    pub fn projects(&self) -> impl Iterator<Item = (&Name, &ProjectPlaces)> {
        self.projects.iter()
    }
}

impl ProjectPlaces {
    /// The environment of this name; `Some(None)` when it is there and does not open.
    pub fn environment(&self, name: &Name) -> Option<Option<&Arc<Place>>> {
        self.environments.get(name).map(Option::as_ref)
    }

    /// Environments by name.
    pub fn environments(&self) -> impl Iterator<Item = (&Name, Option<&Arc<Place>>)> {
        self.environments
            .iter()
            .map(|(name, place)| (name, place.as_ref()))
    }
}

/// Rows fetched at a time while places are loaded.
const PAGE: u32 = 1000;

/// Loads every place. The connection must hold one snapshot.
pub(in crate::door) async fn load_places(
    connection: &mut Connection,
    keys: &Keyring,
) -> Result<Loaded<Arc<Places>>, LoadError> {
    let Seen {
        at,
        value: key_rows,
    } = connection.list_all_keys().await?;
    let projects = list_kind(connection, DocumentKind::Project).await?;
    let environments = list_kind(connection, DocumentKind::Environment).await?;
    Ok(Loaded {
        at,
        value: Arc::new(open_places(keys, &key_rows, &projects, &environments)),
    })
}

async fn list_kind(
    connection: &mut Connection,
    kind: DocumentKind,
) -> Result<Vec<DocumentRow>, StoreError> {
    let mut rows: Vec<DocumentRow> = Vec::new();
    loop {
        let after = rows.last().map_or([0; 16], |row| row.id);
        let page = connection
            .list_documents_of_kind(kind, after, PAGE)
            .await?
            .value;
        let full = page.len() == PAGE as usize;
        rows.extend(page);
        if !full {
            return Ok(rows);
        }
    }
}

/// Opens every place as far as it opens.
pub(in crate::door) fn open_places(
    keys: &Keyring,
    key_rows: &[KeyRow],
    projects: &[DocumentRow],
    environments: &[DocumentRow],
) -> Places {
    let mut places = Places {
        projects: BTreeMap::new(),
        count: projects.len() + environments.len(),
    };
    let mut names = BTreeMap::new();
    for row in projects {
        // A name that does not parse was never written by Coffer, and can be asked for by nobody.
        let Ok(name) = row.name.parse::<Name>() else {
            continue;
        };
        let project = documents::open::<Project>(keys, row, Within::default(), &row.name).ok();
        let project =
            project.filter(|project| *project.id.as_bytes() == row.id && project.name == name);
        names.insert(row.id, name.clone());
        places.projects.insert(
            name,
            ProjectPlaces {
                project: project.map(Arc::new),
                environments: BTreeMap::new(),
            },
        );
    }
    for row in environments {
        let (Some(project), Ok(name)) = (names.get(&row.space), row.name.parse::<Name>()) else {
            continue;
        };
        let Some(slot) = places.projects.get_mut(project) else {
            continue;
        };
        let place = slot
            .project
            .as_ref()
            .and_then(|project| open_place(keys, key_rows, project, row).ok());
        slot.environments.insert(name, place.map(Arc::new));
    }
    places
}

fn open_place(
    keys: &Keyring,
    key_rows: &[KeyRow],
    project: &Arc<Project>,
    row: &DocumentRow,
) -> Result<Place, CryptoError> {
    let within = Within {
        project: Some(project.id),
        environment: None,
    };
    let environment: Environment = documents::open(keys, row, within, &row.name)?;
    let same = *environment.id.as_bytes() == row.id
        && environment.name.as_str() == row.name
        && environment.project == project.id;
    if !same {
        return Err(CryptoError);
    }
    // A destroyed term has no key, whatever row is there: it is neither opened nor in the way of the others.
    let mine = key_rows
        .iter()
        .filter(|key| key.environment == row.id && !environment.has_destroyed(key.term));
    let opened = mine.map(|key| {
        Ok((
            key.term,
            keys.open_environment_key(project.id, environment.id, key)?,
        ))
    });
    let keys = opened.collect::<Result<BTreeMap<_, _>, CryptoError>>()?;
    if !keys.contains_key(&environment.term) {
        return Err(CryptoError);
    }
    Ok(Place {
        project: Arc::clone(project),
        environment,
        keys,
    })
}
