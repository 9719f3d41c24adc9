//! What an operation sees of the world, and the list of what its decision relied on.
//! It answers from the cache, loads what is missing, and never shows a row or a connection.
//!
//! Invariant: every answer, absence included, leaves its ref in `relied`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::Entry;
use super::facts::{self, Fact, KnownSecret, LoadError, Loaded, known_version};
use super::history::{Point, Relied};
use super::shared::Shared;
use super::{Lease, Place, Places};
use crate::model::{
    Cluster, DocumentKind, DocumentRow, EnvironmentName, Fields, Name, Principal, PrincipalId, Ref,
    Refusal, Secret, SecretPath, Timestamp, Token, TokenId, VersionEntry, VersionId, VersionRow,
};
use crate::store::{Connection, Reader, Stamp, Writer};

/// The most refs that one decision may rely on.
pub const REFS_MAX: usize = 1_000;

/// One decision's sight of the world.
pub struct View {
    shared: Arc<Shared>,
    source: Source,
    point: Point,
    relied: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    refs: Vec<(Ref, u64)>,
    ahead: Vec<Stamp>,
}

/// Where a view loads from.
enum Source {
    /// The cache, and the pool for what it lacks.
    Cache,
    /// One snapshot for everything: a read that was sent back.
    Snapshot(tokio::sync::Mutex<Reader>),
    /// The transaction that holds the lock: a command that was sent back twice.
    Locked(Arc<tokio::sync::Mutex<Writer>>),
}

impl View {
    /// A view over the cache.
    pub(super) fn cached(shared: Arc<Shared>) -> Self {
        let point = shared.history.point();
        Self::new(shared, Source::Cache, point, Seen::default())
    }

    /// A view over one snapshot, true as of its own instant.
    pub(super) async fn snapshot(shared: Arc<Shared>) -> Result<Self, Refusal> {
        let generation = shared.history.point().generation;
        let mut reader = shared
            .store
            .snapshot()
            .await
            .map_err(|_| Refusal::Unavailable(STORE_LOST))?;
        let at = stamp(&mut reader).await?;
        let seen = Seen {
            refs: Vec::new(),
            ahead: vec![at],
        };
        let point = Point {
            generation,
            seq: at.seq,
        };
        Ok(Self::new(
            shared,
            Source::Snapshot(tokio::sync::Mutex::new(reader)),
            point,
            seen,
        ))
    }

    /// A view under the lock, on top of the batch's own changes.
    pub(super) fn locked(shared: Arc<Shared>, writer: Arc<tokio::sync::Mutex<Writer>>) -> Self {
        let point = shared.history.point();
        Self::new(shared, Source::Locked(writer), point, Seen::default())
    }

    const fn new(shared: Arc<Shared>, source: Source, point: Point, seen: Seen) -> Self {
        Self {
            shared,
            source,
            point,
            relied: Mutex::new(seen),
        }
    }

    /// What the decision relied on.
    pub(super) fn into_relied(self) -> Relied {
        let seen = self
            .relied
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        // Under the lock nothing can have touched it: there is nothing to look at again.
        let refs = if matches!(self.source, Source::Locked(_)) {
            Vec::new()
        } else {
            seen.refs
        };
        Relied {
            point: self.point,
            refs,
            ahead: seen.ahead,
        }
    }

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
        let loaded = match &self.source {
            Source::Cache => {
                let mut reader = self.shared.store.snapshot().await.map_err(LoadError::Store);
                match &mut reader {
                    Ok(reader) => facts::load_places(reader, &self.shared.keys).await,
                    Err(_) => return Err(Refusal::Unavailable(STORE_LOST)),
                }
            }
            Source::Snapshot(reader) => {
                facts::load_places(&mut *reader.lock().await, &self.shared.keys).await
            }
            Source::Locked(writer) => {
                facts::load_places(writer.lock().await.within(), &self.shared.keys).await
            }
        };
        self.learn(Ref::PLACES, loaded, Fact::Places)
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

    /// The living secret at a path.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_secret(
        &self,
        place: &Place,
        path: &SecretPath,
    ) -> Result<Option<Arc<Secret>>, Refusal> {
        let known = self.known_secret(place, path).await?;
        Ok(known
            .secret
            .as_ref()
            .filter(|secret| secret.path == *path)
            .cloned())
    }

    /// The living secret at a path in whatever case it is written.
    ///
    /// # Errors
    /// As [`Self::find_secret`].
    pub async fn find_secret_any_case(
        &self,
        place: &Place,
        path: &SecretPath,
    ) -> Result<Option<Arc<Secret>>, Refusal> {
        Ok(self.known_secret(place, path).await?.secret.clone())
    }

    /// The fields of a version.
    ///
    /// # Errors
    /// 404 when the version is destroyed, `Tampered` when it is gone or does not open.
    pub async fn open_version(
        &self,
        place: &Place,
        secret: &Secret,
        entry: &VersionEntry,
    ) -> Result<Fields, Refusal> {
        if entry.state == crate::model::State::Destroyed {
            return Err(Refusal::NotFound);
        }
        let known = self.known_secret(place, &secret.path).await?;
        if let Some(current) = known
            .current
            .as_ref()
            .filter(|current| current.row.id == entry.id)
        {
            return current.open().map_err(|_| Refusal::Tampered);
        }
        let row = self
            .find_version_row(entry)
            .await?
            .ok_or(Refusal::Tampered)?;
        let known = known_version(place, secret, entry, row).map_err(|_| Refusal::Tampered)?;
        known.open().map_err(|_| Refusal::Tampered)
    }

    /// Deleted secrets at a path, newest last.
    ///
    /// # Errors
    /// As [`Self::find_secret`].
    pub async fn list_deleted_secrets(
        &self,
        place: &Place,
        path: &SecretPath,
    ) -> Result<Vec<Secret>, Refusal> {
        let space = *place.environment.id.as_bytes();
        let folded = path.folded();
        let found = self
            .read(async |connection| {
                connection
                    .list_documents_named(DocumentKind::Secret, space, &folded)
                    .await
            })
            .await?;
        self.relied()
            .refs
            .push((Ref::secret(place.environment.id, path), found.at.seq));
        self.note_ahead(&found.at);
        let mut deleted = Vec::new();
        for row in found.value.iter().filter(|row| !row.grave.is_empty()) {
            deleted.push(
                facts::open_secret(&self.shared.keys, place, row).map_err(|_| Refusal::Tampered)?,
            );
        }
        deleted.retain(|secret| secret.path == *path);
        deleted.sort_by_key(|secret| secret.deleted_at);
        Ok(deleted)
    }

    /// Living secrets whose folded path begins with `prefix` and comes after `after`, in that order, at most `limit`.
    ///
    /// # Errors
    /// As [`Self::find_secret`].
    pub async fn list_secrets(
        &self,
        place: &Place,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Secret>, Refusal> {
        let environment = place.environment.id;
        let space = *environment.as_bytes();
        let found = self
            .read(async |connection| {
                connection
                    .list_documents(DocumentKind::Secret, space, prefix, after, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.relied()
            .refs
            .push((Ref::listing(environment), found.at.seq));
        let mut secrets = Vec::with_capacity(found.value.len());
        for row in &found.value {
            let secret =
                facts::open_secret(&self.shared.keys, place, row).map_err(|_| Refusal::Tampered)?;
            self.relied()
                .refs
                .push((Ref::secret(environment, &secret.path), found.at.seq));
            secrets.push(secret);
        }
        Ok(secrets)
    }

    /// The token of this id.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_token(&self, id: TokenId) -> Result<Option<Arc<Token>>, Refusal> {
        let at = Ref::token(id);
        if let Some(entry) = self.known(at)
            && let Fact::Token(token) = &entry.fact
        {
            return Ok(token.clone());
        }
        let keys = &self.shared.keys;
        let loaded = self
            .load(async |connection| facts::load_token(connection, keys, id).await)
            .await?;
        self.learn(at, loaded, Fact::Token)
    }

    /// Whether the cache knows a token of this id.
    pub(super) fn knows_token(&self, id: TokenId) -> bool {
        let entry = self.shared.cache.find(&Ref::token(id));
        entry.is_some_and(|entry| matches!(entry.fact, Fact::Token(Some(_))))
    }

    /// How many living children a token has.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_children(&self, id: TokenId, now: Timestamp) -> Result<u64, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .count_documents(DocumentKind::Token, *id.as_bytes(), now)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::children(id), found.at.seq));
        Ok(found.value)
    }

    /// Tokens by id, living and dead, after `after`, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn list_tokens(&self, after: [u8; 16], limit: u32) -> Result<Vec<Token>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .list_documents_of_kind(DocumentKind::Token, after, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::TOKENS, found.at.seq));
        let open = |row| facts::open_token(&self.shared.keys, row).map_err(|_| Refusal::Tampered);
        found.value.iter().map(open).collect()
    }

    /// Living children of a token by id, after `after`, at most `limit`; expired ones are among them.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn list_children(
        &self,
        id: TokenId,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<Token>, Refusal> {
        let after = after.map_or_else(String::new, |after| after.to_string());
        let found = self
            .read(async |connection| {
                connection
                    .list_documents(DocumentKind::Token, *id.as_bytes(), "", &after, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::children(id), found.at.seq));
        let mut children = self.open_tokens(&found.value, found.at.seq)?;
        // Whose child a token is, its document says; the row's space is only where it was looked for.
        children.retain(|token| token.parent == Some(id));
        Ok(children)
    }

    /// Tokens that a look-up column says to have died by `until`, the longest dead first, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn list_due_tokens(
        &self,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Token>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .list_due_documents(DocumentKind::Token, until, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        self.open_tokens(&found.value, found.at.seq)
    }

    fn open_tokens(&self, rows: &[DocumentRow], seq: u64) -> Result<Vec<Token>, Refusal> {
        let mut tokens = Vec::with_capacity(rows.len());
        for row in rows {
            let token = facts::open_token(&self.shared.keys, row).map_err(|_| Refusal::Tampered)?;
            self.relied().refs.push((Ref::token(token.id), seq));
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// The principal of this id.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_principal(&self, id: PrincipalId) -> Result<Option<Arc<Principal>>, Refusal> {
        let at = Ref::principal(id);
        if let Some(entry) = self.known(at)
            && let Fact::Principal(principal) = &entry.fact
        {
            return Ok(principal.clone());
        }
        let keys = &self.shared.keys;
        let loaded = self
            .load(async |connection| facts::load_principal(connection, keys, id).await)
            .await?;
        self.learn(at, loaded, Fact::Principal)
    }

    /// The application of this name.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_application(&self, name: &Name) -> Result<Option<Arc<Principal>>, Refusal> {
        let at = Ref::application(name);
        let id = match self.known(at).map(|entry| entry.fact.clone()) {
            Some(Fact::Application(id)) => id,
            _ => {
                let keys = &self.shared.keys;
                let loaded = self
                    .load(async |connection| facts::load_application(connection, keys, name).await)
                    .await?;
                self.learn(at, loaded, Fact::Application)?
            }
        };
        match id {
            Some(id) => self.find_principal(id).await,
            None => Ok(None),
        }
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

    /// Versions of an environment whose data key is wrapped under a term before `term`, after `after`, at most `limit`.
    /// The caller relies on each one's secret by finding it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn list_versions_before_term(
        &self,
        place: &Place,
        term: u32,
        after: Option<VersionId>,
        limit: u32,
    ) -> Result<Vec<VersionRow>, Refusal> {
        let id = place.environment.id;
        let found = self
            .read(async |connection| {
                connection
                    .list_versions_before_term(id, term, after, limit)
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        Ok(found.value)
    }

    /// The secret of this id, living or dead.
    ///
    /// # Errors
    /// The store cannot be read, or it does not open.
    pub async fn find_secret_by_id(
        &self,
        place: &Place,
        id: crate::model::SecretId,
    ) -> Result<Option<Secret>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .find_document(DocumentKind::Secret, *id.as_bytes())
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        let Some(row) = found.value else {
            return Ok(None);
        };
        let secret =
            facts::open_secret(&self.shared.keys, place, &row).map_err(|_| Refusal::Tampered)?;
        self.relied().refs.push((
            Ref::secret(place.environment.id, &secret.path),
            found.at.seq,
        ));
        Ok(Some(secret))
    }

    /// How many versions are wrapped under each term.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_versions_by_term(&self, place: &Place) -> Result<Vec<(u32, u64)>, Refusal> {
        let id = place.environment.id;
        let found = self
            .read(async |connection| connection.count_versions_by_term(id).await)
            .await?;
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::listing(id), found.at.seq));
        Ok(found.value)
    }

    /// Whether an environment holds any secret, living or deleted and not yet destroyed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn holds_versions(&self, place: &Place) -> Result<bool, Refusal> {
        Ok(self
            .count_versions_by_term(place)
            .await?
            .iter()
            .any(|(_, count)| *count > 0))
    }

    /// The heads of all streams, in one statement, each opened with the cluster's own key.
    ///
    /// # Errors
    /// The store cannot be read, or a head was not signed by this cluster.
    pub async fn list_heads(&self) -> Result<Vec<super::Head>, Refusal> {
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

    async fn known_secret(
        &self,
        place: &Place,
        path: &SecretPath,
    ) -> Result<Arc<KnownSecret>, Refusal> {
        let at = Ref::secret(place.environment.id, path);
        if let Some(entry) = self.known(at)
            && let Fact::Secret(known) = &entry.fact
        {
            // The ref is a hash of the folded path: what it leads to must be of that path.
            let same = known
                .secret
                .as_ref()
                .is_none_or(|secret| secret.path.folded() == path.folded());
            return if same {
                Ok(Arc::clone(known))
            } else {
                Err(Refusal::Tampered)
            };
        }
        let keys = &self.shared.keys;
        let loaded = self
            .load(async |connection| facts::load_secret(connection, keys, place, path).await)
            .await?;
        self.learn(at, loaded, Fact::Secret)
    }

    async fn find_version_row(&self, entry: &VersionEntry) -> Result<Option<VersionRow>, Refusal> {
        let found = self
            .read(async |connection| connection.find_version(entry.id).await)
            .await?;
        self.note_ahead(&found.at);
        Ok(found.value)
    }

    /// What the cache knows, if it may be believed; it is then relied on.
    fn known(&self, at: Ref) -> Option<Arc<Entry>> {
        if !matches!(self.source, Source::Cache) {
            return None;
        }
        let entry = self.shared.cache.find(&at)?;
        if !entry.is_linked() {
            if entry.at.seq > self.shared.history.at().seq {
                self.relied().ahead.push(entry.at);
            } else if self.shared.history.has(&entry.at) {
                entry.link();
            } else {
                self.shared.cache.drop(&at);
                return None;
            }
        }
        self.relied().refs.push((at, entry.at.seq));
        Some(entry)
    }

    /// Takes what was loaded for granted, and keeps it for others.
    fn learn<T: Clone>(
        &self,
        at: Ref,
        loaded: Result<Loaded<T>, LoadError>,
        fact: impl FnOnce(T) -> Fact,
    ) -> Result<T, Refusal> {
        let Loaded { at: stamp, value } = self.believe(at, loaded)?;
        if matches!(self.source, Source::Cache) {
            let entry = Arc::new(Entry::new(stamp, fact(value.clone())));
            self.note_ahead(&stamp);
            self.shared
                .history
                .admit(&self.shared.cache, self.point.generation, at, entry);
        }
        Ok(value)
    }

    fn believe<T>(
        &self,
        at: Ref,
        loaded: Result<Loaded<T>, LoadError>,
    ) -> Result<Loaded<T>, Refusal> {
        match loaded {
            Ok(loaded) => {
                self.relied().refs.push((at, loaded.at.seq));
                Ok(loaded)
            }
            Err(LoadError::Closed(stamp)) => {
                self.relied().refs.push((at, stamp.seq));
                self.note_ahead(&stamp);
                Err(Refusal::Tampered)
            }
            Err(LoadError::Store(error)) => {
                tracing::warn!(%error, "a look-up failed");
                Err(Refusal::Unavailable(STORE_LOST))
            }
        }
    }

    /// A fact was loaded where this node may not have followed to yet, or on another history altogether.
    fn note_ahead(&self, at: &Stamp) {
        if matches!(self.source, Source::Cache) {
            let mut relied = self.relied();
            if relied.ahead.last().map(|last| last.seq) != Some(at.seq) {
                relied.ahead.push(*at);
            }
        }
    }

    async fn load<T>(
        &self,
        load: impl AsyncFnOnce(&mut Connection) -> Result<Loaded<T>, LoadError>,
    ) -> Result<Result<Loaded<T>, LoadError>, Refusal> {
        Ok(match &self.source {
            Source::Cache => load(&mut *self.shared.reader().await?).await,
            Source::Snapshot(reader) => load(&mut *reader.lock().await).await,
            Source::Locked(writer) => load(writer.lock().await.within()).await,
        })
    }

    async fn read<T>(
        &self,
        read: impl AsyncFnOnce(
            &mut Connection,
        ) -> Result<crate::store::Seen<T>, crate::store::StoreError>,
    ) -> Result<crate::store::Seen<T>, Refusal> {
        let found = match &self.source {
            Source::Cache => read(&mut *self.shared.reader().await?).await,
            Source::Snapshot(reader) => read(&mut *reader.lock().await).await,
            Source::Locked(writer) => read(writer.lock().await.within()).await,
        };
        found.map_err(|error| {
            tracing::warn!(%error, "a look-up failed");
            Refusal::Unavailable(STORE_LOST)
        })
    }

    fn relied(&self) -> MutexGuard<'_, Seen> {
        self.relied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client is told when the store does not answer.
pub(super) const STORE_LOST: &str = "the store does not answer; try again in a moment";

async fn stamp(reader: &mut Reader) -> Result<Stamp, Refusal> {
    let world = reader
        .find_world()
        .await
        .ok()
        .flatten()
        .ok_or(Refusal::Unavailable(STORE_LOST))?;
    Ok(Stamp {
        seq: world.seq,
        mark: world.mark,
    })
}
