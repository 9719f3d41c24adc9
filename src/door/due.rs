//! What is due, for the jobs: read beside the decisions, believed by none of them.
//! Each rotation and each refresh is decided on its own document; these lists only say where to look.
//!
//! Invariant: nothing here is recorded or answered to anybody outside.

use std::sync::Arc;

use super::facts::{self, Living, Place};
use super::view::STORE_LOST;
use super::{Door, View};
use crate::model::{
    BootId, Connection, DocumentKind, DocumentRow, EnvironmentId, EnvironmentName, Holder, Refusal,
    Runner, SecretName, SecretPath, Timestamp,
};

/// Where a page of what is due ended.
#[derive(Clone, Copy, Debug)]
pub struct DuePage((Timestamp, [u8; 16]));

impl DuePage {
    /// Before everything that is due.
    const FIRST: Self = Self((Timestamp::from_micros(i64::MIN), [0; 16]));
}

impl Door {
    /// This run of the server.
    pub fn boot(&self) -> BootId {
        self.shared.boot
    }

    /// This run of this node.
    pub fn holder(&self) -> Holder {
        Holder {
            stream: self.shared.stream,
            boot: self.shared.boot,
        }
    }

    /// This run, and the one before it that left this state directory.
    pub fn runner(&self) -> Runner {
        Runner {
            holder: self.holder(),
            before: self.shared.before,
        }
    }

    /// Living secrets whose rotation is due now, the longest due first, at most `limit`.
    /// A row that does not open is passed over: who reads it is told, and so is `check`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_due(&self, limit: u32) -> Result<Vec<SecretName>, Refusal> {
        let now = self.now();
        let rotating = |place: &Place, row: &DocumentRow| {
            let secret = facts::open_secret(&self.shared.keys, place, row).ok()?;
            let due = secret.rotation.as_ref()?.next_at <= now && secret.deleted_at.is_none();
            due.then_some((secret.path, ()))
        };
        let within = (DuePage::FIRST, now);
        let due = self.list_due_of(DocumentKind::Secret, within, limit, rotating);
        Ok(due.await?.0.into_iter().map(|(name, ())| name).collect())
    }

    /// Connections that somebody should look at now, the longest due first, a page of `limit` at most after a page; each
    /// with the host and port of its token endpoint.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_due_connections(
        &self,
        after: Option<DuePage>,
        limit: u32,
    ) -> Result<(Vec<(SecretName, String)>, Option<DuePage>), Refusal> {
        let now = self.now();
        let waiting = |place: &Place, row: &DocumentRow| {
            let connection = facts::open_connection(&self.shared.keys, place, row).ok()?;
            let due = connection.due().is_some_and(|at| at <= now);
            let host = connection.client.token_url.authority().to_owned();
            due.then_some((connection.path, host))
        };
        let after = after.unwrap_or(DuePage::FIRST);
        self.list_due_of(DocumentKind::Connection, (after, now), limit, waiting)
            .await
    }

    async fn list_due_of<T>(
        &self,
        kind: DocumentKind,
        (DuePage(after), now): (DuePage, Timestamp),
        limit: u32,
        is_due: impl Fn(&Place, &DocumentRow) -> Option<(SecretPath, T)> + Send,
    ) -> Result<(Vec<(SecretName, T)>, Option<DuePage>), Refusal> {
        let mut reader = self.shared.reader().await?;
        let found = reader.list_due_documents(kind, after, now, limit).await;
        let found = found.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        drop(reader);
        if found.value.is_empty() {
            return Ok((Vec::new(), None));
        }
        let places = View::cached(Arc::clone(&self.shared)).places().await?;
        let named = found.value.iter().filter_map(|row| {
            let place = places.place_of(EnvironmentId::from_bytes(row.space))?;
            let (path, known) = is_due(place, row)?;
            let place = EnvironmentName {
                project: place.project.name.clone(),
                environment: place.environment.name.clone(),
            };
            Some((SecretName { place, path }, known))
        });
        let last = found
            .value
            .last()
            .filter(|_| found.value.len() == limit as usize);
        let next = last.and_then(|row| Some(DuePage((row.due?, row.id))));
        Ok((named.collect(), next))
    }

    /// The connection of this name as the store has it now, past what this node remembers.
    ///
    /// # Errors
    /// The store does not answer, or what it holds does not open.
    pub async fn look_at(&self, name: &SecretName) -> Result<Option<Connection>, Refusal> {
        let shared = &self.shared;
        let place = View::cached(Arc::clone(shared)).place(&name.place).await?;
        let mut reader = shared.reader().await?;
        let found = facts::load_living(&mut reader, &shared.keys, &place, &name.path).await;
        match found.map(|loaded| loaded.value) {
            Ok(Living::Connection(found)) if found.path == name.path => {
                Ok(Some(Connection::clone(&found)))
            }
            Ok(_) => Ok(None),
            Err(facts::LoadError::Store(_)) => Err(Refusal::Unavailable(STORE_LOST)),
            // A rewrap between two look-ups reads the same: whoever decides finds out.
            Err(facts::LoadError::Closed(_)) => Err(Refusal::Tampered),
        }
    }
}
