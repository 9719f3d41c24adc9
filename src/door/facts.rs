//! What the cache holds: one fact for each ref, opened and believed.
//! Loading a fact reads rows, opens every document in them, and says at which change it was true.
//!
//! Invariant: a fact is made only from documents that opened under the name they were asked by.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::documents::{self, NO_SPACE, Within};
use crate::crypto::{CryptoError, EnvironmentKey, Keyring, Prepared, VersionContext};
use crate::model::{
    Cluster, DocumentKind, DocumentRow, Environment, EnvironmentId, Fields, KeyRow, Name,
    Principal, PrincipalId, Project, Secret, SecretPath, Timestamp, Token, TokenId, VersionEntry,
    VersionRow,
};
use crate::store::{Connection, Seen, Stamp, StoreError};

/// Something known under a ref.
#[derive(Clone)]
pub(super) enum Fact {
    Places(Arc<Places>),
    Secret(Arc<KnownSecret>),
    Token(Option<Arc<Token>>),
    Principal(Option<Arc<Principal>>),
    Application(Option<PrincipalId>),
    Cluster(Arc<Cluster>),
}

impl Fact {
    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> u64 {
        let bytes = match self {
            Self::Places(places) => 256 * places.count,
            Self::Secret(known) => {
                512 + known
                    .secret
                    .as_ref()
                    .map_or(0, |secret| 160 * secret.versions.len())
                    + known
                        .current
                        .as_ref()
                        .map_or(0, |version| version.row.sealed.len() + 512)
            }
            Self::Token(_) | Self::Principal(_) => 1024,
            Self::Application(_) => 128,
            Self::Cluster(cluster) => 128 + 96 * cluster.streams.len(),
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Why a fact could not be had.
#[derive(Debug)]
pub(super) enum LoadError {
    Store(StoreError),
    /// A row did not open. It is tampering only if the commit proves that nothing moved meanwhile.
    Closed(Stamp),
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

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
    count: usize,
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

/// What is at a path: the living secret, if there is one, and its current version.
pub(super) struct KnownSecret {
    pub(super) secret: Option<Arc<Secret>>,
    pub(super) current: Option<KnownVersion>,
}

/// A version's row, ready to be opened again and again.
pub(super) struct KnownVersion {
    pub(super) row: VersionRow,
    prepared: Prepared,
}

impl KnownVersion {
    pub(super) fn new(
        place: &Place,
        secret: &Secret,
        number: u64,
        row: VersionRow,
    ) -> Result<Self, CryptoError> {
        if row.environment != place.environment.id || row.secret != secret.id {
            return Err(CryptoError);
        }
        let context = VersionContext {
            secret: secret.id,
            path: secret.path.as_str(),
            version: number,
        };
        let key = place
            .key(row.term)
            .ok_or(CryptoError)?
            .open_data_key(&context, &row.wrapped)?;
        let prepared = key.prepare(&context, &row.sealed)?;
        Ok(Self { row, prepared })
    }

    pub(super) fn open(&self) -> Result<Fields, CryptoError> {
        let plain = self.prepared.open(&self.row.sealed)?;
        Fields::decode(plain.expose()).ok_or(CryptoError)
    }
}

/// A lease of the scheduler: who may begin work on something, until when.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Its row.
    pub id: crate::model::SecretId,
    /// What it is on.
    pub name: String,
    /// Who holds it.
    pub holder: crate::model::BootId,
    /// Raised by each new holder.
    pub epoch: u64,
    /// Raised by each renewal.
    pub beat: u64,
    /// Until when nobody else begins.
    pub until: Timestamp,
}

/// A value and the change at which it was true.
pub(super) struct Loaded<T> {
    pub(super) at: Stamp,
    pub(super) value: T,
}

fn opened<T>(at: Stamp, value: Result<T, CryptoError>) -> Result<Loaded<T>, LoadError> {
    match value {
        Ok(value) => Ok(Loaded { at, value }),
        Err(CryptoError) => Err(LoadError::Closed(at)),
    }
}

/// Opens a secret's row, and checks that the document is of the path it is found by.
pub(super) fn open_secret(
    keys: &Keyring,
    place: &Place,
    row: &DocumentRow,
) -> Result<Secret, CryptoError> {
    if row.kind != DocumentKind::Secret || row.space != *place.environment.id.as_bytes() {
        return Err(CryptoError);
    }
    let secret: Secret = documents::open(keys, row, Within::of(place), &row.name)?;
    let buried = !row.grave.is_empty();
    let same = secret.path.folded() == row.name && *secret.id.as_bytes() == row.id;
    (same && buried == secret.deleted_at.is_some())
        .then_some(secret)
        .ok_or(CryptoError)
}

pub(super) async fn load_secret(
    connection: &mut Connection,
    keys: &Keyring,
    place: &Place,
    path: &SecretPath,
) -> Result<Loaded<Arc<KnownSecret>>, LoadError> {
    let space = *place.environment.id.as_bytes();
    let Seen { at, value } = connection
        .find_document_named(DocumentKind::Secret, space, &path.folded())
        .await?;
    let Some(row) = value else {
        return Ok(Loaded {
            at,
            value: Arc::new(KnownSecret {
                secret: None,
                current: None,
            }),
        });
    };
    if row.name != path.folded() {
        return Err(LoadError::Closed(at));
    }
    let secret = opened(at, open_secret(keys, place, &row))?.value;
    let current = match secret.current().cloned() {
        Some(entry) => {
            // Read after the document: what changed in between has a note above `at`, and is decided again.
            let row = connection.find_version(entry.id).await?.value;
            let known = row
                .ok_or(CryptoError)
                .and_then(|row| known_version(place, &secret, &entry, row));
            Some(opened(at, known)?.value)
        }
        None => None,
    };
    Ok(Loaded {
        at,
        value: Arc::new(KnownSecret {
            secret: Some(Arc::new(secret)),
            current,
        }),
    })
}

/// Believes a version's row only if it is the one that the document names.
pub(super) fn known_version(
    place: &Place,
    secret: &Secret,
    entry: &VersionEntry,
    row: VersionRow,
) -> Result<KnownVersion, CryptoError> {
    use sha2::{Digest, Sha256};
    let named = row.id == entry.id && Sha256::digest(&row.sealed)[..] == entry.digest;
    if !named {
        return Err(CryptoError);
    }
    KnownVersion::new(place, secret, entry.number, row)
}

pub(super) fn open_token(keys: &Keyring, row: &DocumentRow) -> Result<Token, CryptoError> {
    let token: Token = documents::open(keys, row, Within::default(), "")?;
    (*token.id.as_bytes() == row.id && token.mac[..16] == row.id)
        .then_some(token)
        .ok_or(CryptoError)
}

pub(super) async fn load_token(
    connection: &mut Connection,
    keys: &Keyring,
    id: TokenId,
) -> Result<Loaded<Option<Arc<Token>>>, LoadError> {
    let Seen { at, value } = connection
        .find_document(DocumentKind::Token, *id.as_bytes())
        .await?;
    let token = value
        .map(|row| open_token(keys, &row))
        .transpose()
        .map(|token| token.map(Arc::new));
    opened(at, token)
}

pub(super) fn open_principal(keys: &Keyring, row: &DocumentRow) -> Result<Principal, CryptoError> {
    let principal: Principal = documents::open(keys, row, Within::default(), &row.name)?;
    let same = *principal.id.as_bytes() == row.id && principal.name.as_str() == row.name;
    same.then_some(principal).ok_or(CryptoError)
}

pub(super) async fn load_principal(
    connection: &mut Connection,
    keys: &Keyring,
    id: PrincipalId,
) -> Result<Loaded<Option<Arc<Principal>>>, LoadError> {
    let Seen { at, value } = connection
        .find_document(DocumentKind::Principal, *id.as_bytes())
        .await?;
    opened(
        at,
        value
            .map(|row| open_principal(keys, &row))
            .transpose()
            .map(|found| found.map(Arc::new)),
    )
}

pub(super) async fn load_application(
    connection: &mut Connection,
    keys: &Keyring,
    name: &Name,
) -> Result<Loaded<Option<PrincipalId>>, LoadError> {
    let Seen { at, value } = connection
        .find_document_named(DocumentKind::Principal, NO_SPACE, name.as_str())
        .await?;
    let found = value.map(|row| open_principal(keys, &row)).transpose();
    let found = found.and_then(|found| match found {
        Some(principal) if principal.name != *name => Err(CryptoError),
        found => Ok(found.map(|principal| principal.id)),
    });
    opened(at, found)
}

pub(super) async fn load_cluster(
    connection: &mut Connection,
    keys: &Keyring,
) -> Result<Loaded<Arc<Cluster>>, LoadError> {
    let Seen { at, value } = connection
        .find_document(DocumentKind::Cluster, documents::CLUSTER_ID)
        .await?;
    let cluster = value
        .ok_or(CryptoError)
        .and_then(|row| documents::open(keys, &row, Within::default(), ""));
    opened(at, cluster.map(Arc::new))
}

pub(super) async fn load_lease(
    connection: &mut Connection,
    keys: &Keyring,
    name: &str,
) -> Result<Loaded<Option<Lease>>, LoadError> {
    let Seen { at, value } = connection
        .find_document_named(DocumentKind::Lease, NO_SPACE, name)
        .await?;
    opened(
        at,
        value
            .map(|row| documents::open(keys, &row, Within::default(), name))
            .transpose(),
    )
}

/// Rows fetched at a time while places are loaded.
const PAGE: u32 = 1000;

/// Loads every place. The connection must hold one snapshot.
pub(super) async fn load_places(
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

fn open_places(
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
    let mine = key_rows.iter().filter(|key| key.environment == row.id);
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
