//! A decision as a value: the reply, what the record says of it, and the changes, already sealed.
//! Each `put_` seals a document for its place and notes the refs it touches.
//!
//! Invariant: a document is sealed under the same kind, id and name that its row is found by.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::facts::{Fact, KnownConnection, KnownSecret, KnownVersion};
use super::sealing::{NewVersion, sealing};
use super::{Cx, Owner, Place, documents};
use crate::model::{
    Cluster, Connection, DataKeyRow, DocumentKind, DocumentRow, Environment, KeyRow, MaybeChanges,
    Principal, Project, Receipt, Ref, Refusal, Secret, Token, VersionId, VersionRow,
};

/// What an operation gives back when it does not refuse.
pub struct Decision<R> {
    pub(super) reply: R,
    pub(super) status: u16,
    pub(super) version: Option<u64>,
    pub(super) digest: Option<[u8; 32]>,
    pub(super) metadata: Option<std::collections::BTreeMap<String, String>>,
    pub(super) changes: MaybeChanges,
    /// What will be known once the changes are true.
    pub(super) learned: Learned,
}

/// Facts that a decision makes: once it is stored, they need not be loaded.
#[derive(Clone, Default)]
pub(super) struct Learned(pub(super) Vec<(Ref, Fact)>);

impl std::fmt::Debug for Learned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(at, _)| at))
            .finish()
    }
}

impl<R> Decision<R> {
    /// Answers with `reply` and status 200, changing nothing.
    pub fn new(reply: R) -> Self {
        Self {
            reply,
            status: 200,
            version: None,
            digest: None,
            metadata: None,
            changes: MaybeChanges::default(),
            learned: Learned::default(),
        }
    }

    /// Answers with another status.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Names the version that was read or made.
    #[must_use]
    pub const fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Says more in the record, in place of what the client sent.
    #[must_use]
    pub fn metadata(mut self, metadata: std::collections::BTreeMap<String, String>) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Says one thing more in the record, beside what the client sent. Its key begins with `coffer.`, a client's does not.
    #[must_use]
    pub fn say(mut self, key: &'static str, what: impl ToString) -> Self {
        self.metadata
            .get_or_insert_default()
            .insert(key.to_owned(), what.to_string());
        self
    }

    /// Answers with another reply.
    pub fn with<S>(self, reply: S) -> Decision<S> {
        self.exchange(reply).1
    }

    /// The reply, and the same decision with another one.
    pub fn exchange<S>(self, reply: S) -> (R, Decision<S>) {
        let decision = Decision {
            reply,
            status: self.status,
            version: self.version,
            digest: self.digest,
            metadata: self.metadata,
            changes: self.changes,
            learned: self.learned,
        };
        (self.reply, decision)
    }

    /// The status that it answers with.
    pub const fn answers(&self) -> u16 {
        self.status
    }

    /// Touches a ref beyond those of the rows.
    #[must_use]
    pub fn touch(mut self, touched: Ref) -> Self {
        self.changes.touched.push(touched);
        self
    }

    /// Puts a secret's document; its name is free once it is deleted.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_secret(self, cx: &Cx<'_>, place: &Place, secret: &Secret) -> Result<Self, Refusal> {
        let row = documents::secret(cx, place, secret).map_err(sealing)?;
        Ok(self.put(row, [Ref::secret(place.environment.id, &secret.path)]))
    }

    /// Takes a secret's document away, with its environment.
    #[must_use]
    pub fn drop_secret(mut self, place: &Place, secret: &Secret) -> Self {
        self.changes
            .dead_documents
            .push((DocumentKind::Secret, *secret.id.as_bytes()));
        self.changes
            .touched
            .push(Ref::secret(place.environment.id, &secret.path));
        self
    }

    /// Puts the document of a living secret and its new current version.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_new_version(
        self,
        cx: &Cx<'_>,
        place: &Place,
        secret: Secret,
        version: NewVersion,
    ) -> Result<Self, Refusal> {
        let at = Ref::secret(place.environment.id, &secret.path);
        let mut decision = self.put_secret(cx, place, &secret)?;
        decision.changes.versions.push(version.row().clone());
        let known = KnownSecret::written(secret, version.into_known());
        decision
            .learned
            .0
            .push((at, Fact::Secret(Some(Arc::new(known)))));
        Ok(decision)
    }

    /// Puts a connection's document, whose served token is `served`.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_connection(
        self,
        cx: &Cx<'_>,
        place: &Place,
        connection: Connection,
        served: Option<Arc<KnownVersion>>,
    ) -> Result<Self, Refusal> {
        let row = documents::connection(cx, place, &connection).map_err(sealing)?;
        let at = Ref::secret(place.environment.id, &connection.path);
        let known = Fact::Connection(Arc::new(KnownConnection::written(connection, served)));
        let mut decision = self.put(row, [at]);
        decision.learned.0.push((at, known));
        Ok(decision)
    }

    /// Puts the document of whoever owns rows that were sealed anew; it is loaded again when it is asked for.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub(crate) fn put_owner(
        self,
        cx: &Cx<'_>,
        place: &Place,
        owner: &Owner,
    ) -> Result<Self, Refusal> {
        let row = match owner {
            Owner::Secret(secret) => documents::secret(cx, place, secret),
            Owner::Connection(connection) => documents::connection(cx, place, connection),
        };
        let at = Ref::secret(place.environment.id, owner.place().1);
        Ok(self.put(row.map_err(sealing)?, [at]))
    }

    /// Takes a connection's document away, and its rows.
    #[must_use]
    pub fn drop_connection(mut self, place: &Place, connection: &Connection) -> Self {
        self.changes
            .dead_documents
            .push((DocumentKind::Connection, *connection.id.as_bytes()));
        self.changes
            .touched
            .push(Ref::secret(place.environment.id, &connection.path));
        self.drop_versions(connection.rows().map(|row| row.id))
    }

    /// Puts a version's data key, wrapped otherwise.
    #[must_use]
    pub fn put_data_key(mut self, row: DataKeyRow) -> Self {
        self.changes.data_keys.push(row);
        self
    }

    /// Puts a version's row.
    #[must_use]
    pub fn put_version(mut self, row: VersionRow) -> Self {
        self.changes.versions.push(row);
        self
    }

    /// Takes versions away, and with them their data keys.
    #[must_use]
    pub fn drop_versions(mut self, ids: impl IntoIterator<Item = VersionId>) -> Self {
        self.changes.dead_versions.extend(ids);
        self
    }

    /// Puts a token's document.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_token(self, cx: &Cx<'_>, token: &Token) -> Result<Self, Refusal> {
        let row = documents::token(cx, token).map_err(sealing)?;
        let parent = token.parent.map(Ref::children);
        let at = Ref::token(token.id);
        let mut decision = self.put(row, [at, Ref::TOKENS].into_iter().chain(parent));
        let known = Fact::Token(Some(Arc::new(token.clone())));
        decision.learned.0.push((at, known));
        Ok(decision)
    }

    /// Takes a token's document away, once it is long dead.
    #[must_use]
    pub fn drop_token(mut self, token: &Token) -> Self {
        self.changes
            .dead_documents
            .push((DocumentKind::Token, *token.id.as_bytes()));
        self.changes
            .touched
            .extend([Ref::token(token.id), Ref::TOKENS]);
        self
    }

    /// Puts a principal's document.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_principal(self, cx: &Cx<'_>, principal: &Principal) -> Result<Self, Refusal> {
        let row = documents::principal(cx, principal).map_err(sealing)?;
        Ok(self.put(
            row,
            [
                Ref::principal(principal.id),
                Ref::application(&principal.name),
            ],
        ))
    }

    /// Puts a project's document.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_project(self, cx: &Cx<'_>, project: &Project) -> Result<Self, Refusal> {
        let row = documents::project(cx, project).map_err(sealing)?;
        Ok(self.put(row, [Ref::PLACES]))
    }

    /// Takes a project away.
    #[must_use]
    pub fn drop_project(mut self, project: &Project) -> Self {
        self.changes
            .dead_documents
            .push((DocumentKind::Project, *project.id.as_bytes()));
        self.changes.touched.push(Ref::PLACES);
        self
    }

    /// Puts an environment's document.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_environment(self, cx: &Cx<'_>, environment: &Environment) -> Result<Self, Refusal> {
        let row = documents::environment(cx, environment).map_err(sealing)?;
        Ok(self.put(row, [Ref::PLACES]))
    }

    /// Takes an environment away, with its keys.
    #[must_use]
    pub fn drop_environment(mut self, environment: &Environment) -> Self {
        self.changes
            .dead_documents
            .push((DocumentKind::Environment, *environment.id.as_bytes()));
        self.changes.dead_keys.push(*environment.id.as_bytes());
        self.changes.touched.push(Ref::PLACES);
        self
    }

    /// Puts an environment's wrapped key.
    #[must_use]
    pub fn put_key(mut self, row: KeyRow) -> Self {
        self.changes.keys.push(row);
        self.changes.touched.push(Ref::PLACES);
        self
    }

    /// Takes the wrapped key of one term away for good. The environment's document, put beside it, says so.
    #[must_use]
    pub fn destroy_key(mut self, environment: &Environment, term: u32) -> Self {
        let id = *environment.id.as_bytes();
        self.changes.dead_terms.push((id, term));
        self.changes.touched.push(Ref::PLACES);
        self
    }

    /// Puts the cluster's document.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_cluster(self, cx: &Cx<'_>, cluster: &Cluster) -> Result<Self, Refusal> {
        let row = documents::cluster(cx, cluster).map_err(sealing)?;
        Ok(self.put(row, [Ref::CLUSTER]))
    }

    /// Puts a lease.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_lease(self, cx: &Cx<'_>, lease: &super::Lease) -> Result<Self, Refusal> {
        let row = documents::lease(cx, lease).map_err(sealing)?;
        Ok(self.put(row, [Ref::lease(&lease.name)]))
    }

    /// Puts the receipt of a request that is made once. What the record says was written is what the request was for.
    ///
    /// # Errors
    /// Only if sealing fails.
    pub fn put_receipt(self, cx: &Cx<'_>, receipt: &Receipt) -> Result<Self, Refusal> {
        let row = documents::receipt(cx, receipt).map_err(sealing)?;
        let digest = self.digest;
        let decision = self.put(row, [Ref::receipt(receipt.id)]);
        Ok(Self { digest, ..decision })
    }

    /// Takes a receipt away, once its day is over.
    #[must_use]
    pub fn drop_receipt(mut self, receipt: &Receipt) -> Self {
        self.changes
            .dead_documents
            .push((DocumentKind::Receipt, *receipt.id.as_bytes()));
        self.changes.touched.push(Ref::receipt(receipt.id));
        self
    }

    fn put(mut self, row: DocumentRow, touched: impl IntoIterator<Item = Ref>) -> Self {
        self.digest
            .get_or_insert_with(|| Sha256::digest(&row.sealed).into());
        self.changes.documents.push(row);
        self.changes.touched.extend(touched);
        self
    }
}
