//! Connections, as a view shows them: by name, by page, by id; and what a refresh opens.
//!
//! Invariant: a connection's grant is opened by `open_kept` alone.

use std::sync::Arc;

use super::View;
use crate::door::Place;
use crate::door::facts::{self, KnownConnection, Living};
use crate::model::{
    Connection, DocumentKind, DocumentRow, Fields, Ref, Refusal, SealedRow, Secret, SecretId,
    SecretPath, VersionId,
};
use crate::store::DOCUMENTS_AT_ONCE;

/// Whose row it is.
pub(crate) enum Owner {
    /// A secret, living or dead: the row is one of its versions.
    Secret(Secret),
    /// A connection: the row holds its tokens.
    Connection(Box<Connection>),
}

impl Owner {
    /// Its id and path, which its rows are sealed for.
    pub(crate) fn place(&self) -> (SecretId, &SecretPath) {
        match self {
            Self::Secret(secret) => secret.owner(),
            Self::Connection(connection) => connection.owner(),
        }
    }

    /// The row of this id, if it names it.
    pub(crate) fn names(&self, id: VersionId) -> Option<SealedRow> {
        match self {
            Self::Secret(secret) => secret.living_version(id).map(SealedRow::from),
            Self::Connection(connection) => connection.rows().find(|row| row.id == id).cloned(),
        }
    }

    /// Names another row in the place of this one.
    pub(crate) fn replace_row(&mut self, old: VersionId, new: &SealedRow) {
        match self {
            Self::Secret(secret) => secret.replace_row(old, new),
            Self::Connection(connection) => connection.replace_row(old, new),
        }
    }
}

impl View {
    /// The connection of this name, proven or not.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_connection(
        &self,
        place: &Place,
        path: &SecretPath,
    ) -> Result<Option<Arc<KnownConnection>>, Refusal> {
        Ok(match self.find_living(place, path).await? {
            Living::Connection(connection) if connection.path == *path => Some(connection),
            _ => None,
        })
    }

    /// Connections whose folded name comes after `after`, in that order, at most `limit`.
    ///
    /// # Errors
    /// As [`Self::find_connection`].
    pub async fn list_connections(
        &self,
        place: &Place,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Connection>, Refusal> {
        let environment = place.environment.id;
        let found = self
            .read(async |connection| {
                let space = *environment.as_bytes();
                connection
                    .list_documents(DocumentKind::Connection, space, "", after, limit)
                    .await
            })
            .await?;
        let seq = found.at.seq;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::listing(environment), seq));
        let mut connections = Vec::with_capacity(found.value.len());
        for row in &found.value {
            let opened = facts::open_connection(&self.shared.keys, place, row);
            let connection = opened.map_err(|_| Refusal::Tampered)?;
            let at = Ref::secret(environment, &connection.path);
            self.relied().refs.push((at, seq));
            connections.push(connection);
        }
        Ok(connections)
    }

    /// The connection of this id.
    ///
    /// # Errors
    /// As [`Self::find_connection`].
    pub async fn find_connection_by_id(
        &self,
        place: &Place,
        id: SecretId,
    ) -> Result<Option<Connection>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .find_document(DocumentKind::Connection, *id.as_bytes())
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        let environment = place.environment.id;
        // One of another environment is not here, whatever its id says.
        let own = found
            .value
            .filter(|row| row.space == *environment.as_bytes());
        let Some(row) = own else {
            return Ok(None);
        };
        let opened = facts::open_connection(&self.shared.keys, place, &row);
        let connection = opened.map_err(|_| Refusal::Tampered)?;
        let at = Ref::secret(environment, &connection.path);
        self.relied().refs.push((at, found.at.seq));
        Ok(Some(connection))
    }

    /// Whose rows those of these owners are, in any order; an id that is nobody's here has none.
    ///
    /// # Errors
    /// As [`Self::find_connection`].
    pub(crate) async fn find_owners(
        &self,
        place: &Place,
        ids: &[SecretId],
    ) -> Result<Vec<Owner>, Refusal> {
        let environment = place.environment.id;
        let mut owners = Vec::with_capacity(ids.len());
        for ids in ids.chunks(DOCUMENTS_AT_ONCE) {
            let mut ids: Vec<[u8; 16]> = ids.iter().map(|id| *id.as_bytes()).collect();
            for kind in [DocumentKind::Secret, DocumentKind::Connection] {
                if ids.is_empty() {
                    break;
                }
                let found = self
                    .read(async |connection| connection.find_documents(kind, &ids).await)
                    .await?;
                self.note_ahead(&found.at);
                for row in found.value {
                    // One of another environment is not here, whatever its id says.
                    if row.space != *environment.as_bytes() {
                        continue;
                    }
                    let owner = self.open_owner(place, &row)?;
                    let at = Ref::secret(environment, owner.place().1);
                    self.relied().refs.push((at, found.at.seq));
                    owners.push(owner);
                    ids.retain(|id| *id != row.id);
                }
            }
        }
        Ok(owners)
    }

    fn open_owner(&self, place: &Place, row: &DocumentRow) -> Result<Owner, Refusal> {
        let keys = &self.shared.keys;
        let owner = match row.kind {
            DocumentKind::Connection => facts::open_connection(keys, place, row)
                .map(|connection| Owner::Connection(Box::new(connection))),
            _ => facts::open_secret(keys, place, row).map(Owner::Secret),
        };
        owner.map_err(|_| Refusal::Tampered)
    }

    /// What a connection serves.
    ///
    /// # Errors
    /// `Tampered` when it does not open, or is not there.
    pub fn open_served(&self, connection: &KnownConnection) -> Result<Fields, Refusal> {
        let served = connection.served().ok_or(Refusal::Tampered)?;
        served.open().map_err(|_| Refusal::Tampered)
    }

    /// What a connection keeps: its refresh token, and its client's secret.
    ///
    /// # Errors
    /// The store cannot be read, or it does not open.
    pub(crate) async fn open_kept(
        &self,
        place: &Place,
        connection: &Connection,
    ) -> Result<Fields, Refusal> {
        self.open_row(place, connection.owner(), &connection.kept)
            .await
    }
}
