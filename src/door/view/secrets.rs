//! Secrets and their versions, as a view shows them.
//! A secret is found by its folded path; which spelling was written, its document says.
//!
//! Invariant: a version is opened only if its secret's document names its row and the digest of its bytes.

use std::sync::Arc;

use super::View;
use crate::door::Place;
use crate::door::facts::{self, KnownSecret, Living, known_version};
use crate::fault;
use crate::model::{
    DataKeyRow, DocumentKind, DocumentRow, Fields, Ref, Refusal, SealedRow, Secret, SecretId,
    SecretPath, State, VersionEntry, VersionId, VersionRow,
};
use crate::store::Seen;

/// Deleted secrets of one name that are looked at; older ones are found by their id.
const DELETED_MAX: u32 = 100;

impl View {
    /// The living secret at a path.
    ///
    /// # Errors
    /// The store cannot be read, or what is there does not open.
    pub async fn find_secret(
        &self,
        place: &Place,
        path: &SecretPath,
    ) -> Result<Option<Arc<KnownSecret>>, Refusal> {
        Ok(match self.find_living(place, path).await? {
            Living::Secret(secret) if secret.path == *path => Some(secret),
            _ => None,
        })
    }

    /// What lives at a path in whatever case it is written: a secret or a connection.
    ///
    /// # Errors
    /// As [`Self::find_secret`].
    pub async fn find_living(&self, place: &Place, path: &SecretPath) -> Result<Living, Refusal> {
        let at = Ref::secret(place.environment.id, path);
        if let Some(entry) = self.known(at)
            && let Some(living) = Living::of_fact(&entry.fact)
        {
            // The ref is a hash of the folded path: what it leads to must be of that path.
            let same = living.path().is_none_or(|found| found.folds_like(path));
            return if same {
                Ok(living)
            } else {
                Err(Refusal::Tampered)
            };
        }
        let keys = &self.shared.keys;
        let loaded = self
            .load(async |connection| facts::load_living(connection, keys, place, path).await)
            .await?;
        self.learn(at, loaded, Living::into_fact)
    }

    /// The fields of a version.
    ///
    /// # Errors
    /// 404 when the version is destroyed, `Tampered` when it is gone or does not open.
    pub async fn open_version(
        &self,
        place: &Place,
        secret: &KnownSecret,
        entry: &VersionEntry,
    ) -> Result<Fields, Refusal> {
        if entry.state == State::Destroyed {
            return Err(Refusal::NotFound);
        }
        if let Some(version) = secret.at_hand(entry) {
            return version.open().map_err(|_| Refusal::Tampered);
        }
        self.open_row(place, secret.owner(), &entry.into()).await
    }

    /// Deleted secrets at a path, newest last, at most a hundred of those that were made last.
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
                    .list_dead_documents_named(DocumentKind::Secret, space, &folded, DELETED_MAX)
                    .await
            })
            .await?;
        self.relied()
            .refs
            .push((Ref::secret(place.environment.id, path), found.at.seq));
        self.note_ahead(&found.at);
        let mut deleted = Vec::new();
        for row in &found.value {
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
        let space = *place.environment.id.as_bytes();
        let found = self
            .read(async |connection| {
                connection
                    .list_documents(DocumentKind::Secret, space, prefix, after, limit)
                    .await
            })
            .await?;
        self.open_listed(place, &found)
    }

    /// Deleted secrets of an environment, whatever their paths, at most `limit`.
    ///
    /// # Errors
    /// As [`Self::find_secret`].
    pub async fn list_buried_secrets(
        &self,
        place: &Place,
        limit: u32,
    ) -> Result<Vec<Secret>, Refusal> {
        let space = *place.environment.id.as_bytes();
        let found = self
            .read(async |connection| {
                connection
                    .list_dead_documents(DocumentKind::Secret, space, limit)
                    .await
            })
            .await?;
        self.open_listed(place, &found)
    }

    fn open_listed(
        &self,
        place: &Place,
        found: &Seen<Vec<DocumentRow>>,
    ) -> Result<Vec<Secret>, Refusal> {
        let (environment, seq) = (place.environment.id, found.at.seq);
        self.note_ahead(&found.at);
        self.relied().refs.push((Ref::listing(environment), seq));
        let mut secrets = Vec::with_capacity(found.value.len());
        for row in &found.value {
            let secret =
                facts::open_secret(&self.shared.keys, place, row).map_err(|_| Refusal::Tampered)?;
            let at = Ref::secret(environment, &secret.path);
            self.relied().refs.push((at, seq));
            secrets.push(secret);
        }
        Ok(secrets)
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
        after: Option<(u32, VersionId)>,
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
        fault::pause("versions listed").await;
        self.note_ahead(&found.at);
        // A connection that is removed meanwhile takes its rows with it, and its document is not found by its id then.
        self.relied().refs.push((Ref::listing(id), found.at.seq));
        Ok(found.value)
    }

    /// The first data keys of an environment that are wrapped under a term before `term`, at most `limit`.
    /// The caller relies on each one's secret by finding it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn list_data_keys_before_term(
        &self,
        place: &Place,
        term: u32,
        limit: u32,
    ) -> Result<Vec<DataKeyRow>, Refusal> {
        let id = place.environment.id;
        let found = self
            .read(async |connection| connection.list_data_keys_before_term(id, term, limit).await)
            .await?;
        fault::pause("versions listed").await;
        self.note_ahead(&found.at);
        // As above.
        self.relied().refs.push((Ref::listing(id), found.at.seq));
        Ok(found.value)
    }

    /// The secret of this id, living or dead.
    ///
    /// # Errors
    /// The store cannot be read, or it does not open.
    pub async fn find_secret_by_id(
        &self,
        place: &Place,
        id: SecretId,
    ) -> Result<Option<Secret>, Refusal> {
        let found = self
            .read(async |connection| {
                connection
                    .find_document(DocumentKind::Secret, *id.as_bytes())
                    .await
            })
            .await?;
        self.note_ahead(&found.at);
        // One of another environment is not here, whatever its id says.
        let space = *place.environment.id.as_bytes();
        let Some(row) = found.value.filter(|row| row.space == space) else {
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

    /// Whether an environment holds any secret, living or deleted and not yet destroyed, or a connection.
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

    /// Opens a row that its owner's document names.
    pub(super) async fn open_row(
        &self,
        place: &Place,
        owner: (SecretId, &SecretPath),
        named: &SealedRow,
    ) -> Result<Fields, Refusal> {
        let found = self
            .read(async |connection| connection.find_version(named.id).await)
            .await?;
        self.note_ahead(&found.at);
        let row = found.value.ok_or(Refusal::Tampered)?;
        let known = known_version(place, owner, named, row);
        known
            .and_then(|known| known.open())
            .map_err(|_| Refusal::Tampered)
    }
}
