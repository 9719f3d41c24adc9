//! What the cache holds: one fact for each ref, opened and believed.
//! Loading a fact reads rows, opens every document in them, and says at which change it was true.
//!
//! Invariant: a fact is made only from documents that opened under the name they were asked by.

mod connections;
mod places;
mod receipts;
mod secrets;
mod tokens;
mod versions;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::documents::{self, NO_SPACE, Within};
use crate::crypto::{CryptoError, Keyring};
use crate::model::{
    BootId, Cluster, DocumentKind, Principal, PrincipalId, Scope, SecretId, Timestamp, Token,
};
use crate::store::{Connection, Seen, Stamp, StoreError};

pub use connections::{KnownConnection, Living};
pub(super) use connections::{load_living, open_connection};
pub use places::{Place, Places, ProjectPlaces};
pub(super) use places::{load_places, open_places};
pub(super) use receipts::open_receipt;
pub use secrets::KnownSecret;
pub(super) use secrets::{load_secret, open_secret};
pub(super) use tokens::{load_application, load_principal, load_token, open_principal, open_token};
pub use versions::KnownVersion;
pub(super) use versions::known_version;

/// Something known under a ref.
#[derive(Clone)]
pub(in crate::door) enum Fact {
    Places(Arc<Places>),
    Secret(Option<Arc<KnownSecret>>),
    Connection(Arc<KnownConnection>),
    Token(Option<Arc<Token>>),
    Principal(Option<Arc<Principal>>),
    Application(Option<PrincipalId>),
    Cluster(Arc<Cluster>),
}

impl Fact {
    /// About how many bytes it holds.
    pub(in crate::door) fn weight(&self) -> u64 {
        let bytes = match self {
            Self::Places(places) => 256 * places.count,
            Self::Secret(known) => 512 + known.as_ref().map_or(0, |known| known.weight()),
            Self::Connection(known) => 512 + known.weight(),
            Self::Token(token) => 512 + token.as_ref().map_or(0, |token| held(&token.scopes)),
            Self::Principal(principal) => {
                512 + principal.as_ref().map_or(0, |found| held(&found.bindings))
            }
            Self::Application(_) => 128,
            Self::Cluster(cluster) => 128 + 96 * cluster.streams.len(),
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// About how many bytes these scopes hold.
pub(in crate::door) fn held(scopes: &[Scope]) -> usize {
    scopes.iter().map(Scope::weight).sum()
}

/// Why a fact could not be had.
#[derive(Debug)]
pub(in crate::door) enum LoadError {
    Store(StoreError),
    /// A row did not open. It is tampering only if the commit proves that nothing moved meanwhile.
    Closed(Stamp),
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A lease of the scheduler: who may begin work on something, until when.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Its row.
    pub id: SecretId,
    /// What it is on.
    pub name: String,
    /// Who holds it.
    pub holder: BootId,
    /// Raised by each new holder.
    pub epoch: u64,
    /// Raised by each renewal.
    pub beat: u64,
    /// Until when nobody else begins.
    pub until: Timestamp,
}

/// A value and the change at which it was true.
pub(in crate::door) struct Loaded<T> {
    pub(in crate::door) at: Stamp,
    pub(in crate::door) value: T,
}

fn opened<T>(at: Stamp, value: Result<T, CryptoError>) -> Result<Loaded<T>, LoadError> {
    match value {
        Ok(value) => Ok(Loaded { at, value }),
        Err(CryptoError) => Err(LoadError::Closed(at)),
    }
}

pub(in crate::door) async fn load_cluster(
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

pub(in crate::door) async fn load_lease(
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
