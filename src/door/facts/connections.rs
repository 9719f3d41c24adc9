//! The connection at a path, with the access token that it serves at hand.
//! A secret is looked for first: the two share one namespace, and no decision puts one where the other lives.
//!
//! Invariant: the row that is kept, with the grant in it, is never at hand: only a refresh opens it.

use std::ops::Deref;
use std::sync::Arc;

use super::{
    Fact, KnownSecret, KnownVersion, LoadError, Loaded, Place, known_version, load_secret, opened,
};
use crate::crypto::{CryptoError, Keyring};
use crate::door::documents::{self, Within};
use crate::model::{Connection, DocumentKind, DocumentRow, SecretPath};
use crate::store::{self, Seen};

/// A connection, with what it serves.
pub struct KnownConnection {
    connection: Connection,
    served: Option<Arc<KnownVersion>>,
}

impl KnownConnection {
    /// One that was put here, just now.
    pub(in crate::door) const fn written(
        connection: Connection,
        served: Option<Arc<KnownVersion>>,
    ) -> Self {
        Self { connection, served }
    }

    /// The row of the access token that it serves.
    pub(crate) const fn served(&self) -> Option<&Arc<KnownVersion>> {
        self.served.as_ref()
    }

    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        1024 + self.served.as_ref().map_or(0, |served| served.weight())
    }
}

impl Deref for KnownConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// What lives at a path.
#[derive(Clone)]
pub enum Living {
    /// Nothing: the name is free.
    Nothing,
    /// A secret.
    Secret(Arc<KnownSecret>),
    /// A connection.
    Connection(Arc<KnownConnection>),
}

impl Living {
    /// As the cache keeps it.
    pub(in crate::door) fn into_fact(self) -> Fact {
        match self {
            Self::Nothing => Fact::Secret(None),
            Self::Secret(secret) => Fact::Secret(Some(secret)),
            Self::Connection(connection) => Fact::Connection(connection),
        }
    }

    /// As the cache kept it; nothing of another noun.
    pub(in crate::door) fn of_fact(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::Secret(None) => Some(Self::Nothing),
            Fact::Secret(Some(secret)) => Some(Self::Secret(Arc::clone(secret))),
            Fact::Connection(connection) => Some(Self::Connection(Arc::clone(connection))),
            _ => None,
        }
    }

    /// The path as it was first written.
    pub(crate) fn path(&self) -> Option<&SecretPath> {
        match self {
            Self::Nothing => None,
            Self::Secret(secret) => Some(&secret.path),
            Self::Connection(connection) => Some(&connection.path),
        }
    }
}

/// Opens a connection's row, and checks that the document is of the name it is found by.
pub(in crate::door) fn open_connection(
    keys: &Keyring,
    place: &Place,
    row: &DocumentRow,
) -> Result<Connection, CryptoError> {
    if row.kind != DocumentKind::Connection || row.space != *place.environment.id.as_bytes() {
        return Err(CryptoError);
    }
    let connection: Connection = documents::open(keys, row, Within::of(place), &row.name)?;
    let same = connection.path.folded() == row.name && *connection.id.as_bytes() == row.id;
    (same && row.grave.is_empty())
        .then_some(connection)
        .ok_or(CryptoError)
}

/// What lives at a path: a secret, or else a connection, whose name has one part.
pub(in crate::door) async fn load_living(
    connection: &mut store::Connection,
    keys: &Keyring,
    place: &Place,
    path: &SecretPath,
) -> Result<Loaded<Living>, LoadError> {
    let Loaded { at, value } = load_secret(connection, keys, place, path).await?;
    if let Some(secret) = value {
        let value = Living::Secret(secret);
        return Ok(Loaded { at, value });
    }
    let value = if path.as_str().contains('/') {
        Living::Nothing
    } else {
        // Read after `at`, as its row is: what changed in between has a note above `at`, and is decided again.
        let found = load_connection(connection, keys, place, path).await?.value;
        found.map_or(Living::Nothing, Living::Connection)
    };
    Ok(Loaded { at, value })
}

async fn load_connection(
    connection: &mut store::Connection,
    keys: &Keyring,
    place: &Place,
    path: &SecretPath,
) -> Result<Loaded<Option<Arc<KnownConnection>>>, LoadError> {
    let (space, name) = (*place.environment.id.as_bytes(), path.folded());
    let Seen { at, value } = connection
        .find_document_named(DocumentKind::Connection, space, &name)
        .await?;
    let Some(row) = value else {
        return Ok(Loaded { at, value: None });
    };
    if row.name != name {
        return Err(LoadError::Closed(at));
    }
    let found = opened(at, open_connection(keys, place, &row))?.value;
    let served = match &found.tokens {
        Some(tokens) => {
            let row = connection.find_version(tokens.row.id).await?.value;
            let known = row
                .ok_or(CryptoError)
                .and_then(|row| known_version(place, found.owner(), &tokens.row, row));
            Some(Arc::new(opened(at, known)?.value))
        }
        None => None,
    };
    let value = Some(Arc::new(KnownConnection::written(found, served)));
    Ok(Loaded { at, value })
}
