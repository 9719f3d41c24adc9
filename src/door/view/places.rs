//! Places, the cluster itself, leases and heads, as a view shows them.
//! All projects and environments are one fact: a place is found without asking for its project first.
//!
//! Invariant: a place whose document or current key does not open is tampered with, not absent.

use std::sync::Arc;

use super::{STORE_LOST, Source, View};
use crate::door::facts::{self, Fact, LoadError, Loaded};
use crate::door::{Head, Lease, Place, Places};
use crate::model::{Cluster, EnvironmentName, Ref, Refusal};

impl View {
    /// Every project and environment.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn places(&self) -> Result<Arc<Places>, Refusal> {
        if let Some(entry) = self.known(Ref::PLACES)
            && let Fact::Places(places) = &entry.fact
        {
            return Ok(Arc::clone(places));
        }
        let loaded = Box::pin(self.load_places()).await?;
        self.learn(Ref::PLACES, loaded, Fact::Places)
    }

    async fn load_places(&self) -> Result<Result<Loaded<Arc<Places>>, LoadError>, Refusal> {
        let keys = &self.shared.keys;
        Ok(match &self.source {
            Source::Cache => match self.shared.store.snapshot().await {
                Ok(mut reader) => facts::load_places(&mut reader, keys).await,
                Err(_) => return Err(Refusal::Unavailable(STORE_LOST)),
            },
            Source::Snapshot(reader) => facts::load_places(&mut *reader.lock().await, keys).await,
            Source::Locked(writer) => facts::load_places(writer.lock().await.within(), keys).await,
        })
    }

    /// The environment of this name.
    ///
    /// # Errors
    /// 404 when it is not there, `Tampered` when it does not open.
    pub async fn place(&self, name: &EnvironmentName) -> Result<Arc<Place>, Refusal> {
        let places = self.places().await?;
        let project = places.project(&name.project).ok_or(Refusal::NotFound)?;
        let place = project
            .environment(&name.environment)
            .ok_or(Refusal::NotFound)?;
        place.cloned().ok_or(Refusal::Tampered)
    }

    /// The cluster's document.
    ///
    /// # Errors
    /// The store cannot be read, or it does not open.
    pub async fn cluster(&self) -> Result<Arc<Cluster>, Refusal> {
        if let Some(entry) = self.known(Ref::CLUSTER)
            && let Fact::Cluster(cluster) = &entry.fact
        {
            return Ok(Arc::clone(cluster));
        }
        let keys = &self.shared.keys;
        let loaded = self
            .load(async |connection| facts::load_cluster(connection, keys).await)
            .await?;
        self.learn(Ref::CLUSTER, loaded, Fact::Cluster)
    }

    /// A lease of the scheduler.
    ///
    /// # Errors
    /// The store cannot be read, or it does not open.
    pub async fn find_lease(&self, name: &str) -> Result<Option<Lease>, Refusal> {
        let keys = &self.shared.keys;
        let loaded = self
            .load(async |connection| facts::load_lease(connection, keys, name).await)
            .await?;
        let Loaded { at, value } = self.believe(Ref::lease(name), loaded)?;
        self.note_ahead(&at);
        Ok(value)
    }

    /// The heads of all streams, in one statement, each opened with the cluster's own key.
    ///
    /// # Errors
    /// The store cannot be read, or a head was not signed by this cluster.
    pub async fn list_heads(&self) -> Result<Vec<Head>, Refusal> {
        let rows = match &self.source {
            Source::Cache => self.shared.reader().await?.list_streams().await,
            Source::Snapshot(reader) => reader.lock().await.list_streams().await,
            Source::Locked(writer) => writer.lock().await.within().list_streams().await,
        };
        let rows = rows.map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        rows.into_iter()
            .map(|row| self.shared.open_head(row))
            .collect()
    }
}
