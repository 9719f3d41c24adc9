//! Secrets: read, written, listed, told, deleted, restored, destroyed.
//! The document decides which versions there are; the values are opened only for who may read them.
//!
//! Invariant: a new version is sealed and its document put in the same decision; neither is ever there alone.

mod expected;
mod history;
mod list;
mod read;
mod remove;
mod write;

pub use expected::{Etag, Expected};
pub use history::{DeletedSecret, History, ReadHistory, VersionFacts};
pub use list::{ListSecrets, ListedSecret, Position, Prefix, SecretsPage};
pub use read::{FoundSecret, ReadReply, ReadSecret, Which};
pub use remove::{DeleteSecret, DestroySecret, Destroyed, UndeleteSecret};
pub use write::{Mode, WriteSecret};

use std::sync::Arc;

use crate::door::{Cx, Decision, KnownSecret, Living, NewVersion, Place, View, seal_version};
use crate::model::{
    Fields, Refusal, Secret, SecretId, SecretName, SecretPath, State, Timestamp, VersionId,
};

/// What a write made: never the value. Also the reply to `undelete`, `rotate` and the scheduler's rotation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Whether it made the secret.
    pub created: bool,
    /// `project/environment/path`.
    pub path: String,
    /// The newest version.
    pub version: u64,
    /// That version's state.
    pub state: State,
    /// When that version was written.
    pub created_at: Timestamp,
    /// Names secret and version.
    pub etag: Etag,
}

impl Written {
    pub(super) fn of(
        created: bool,
        name: &SecretName,
        secret: &Secret,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        // A secret is made with its first version, and the newest is never forgotten.
        let newest = secret.versions.last().ok_or(Refusal::Tampered)?;
        Ok(Self {
            created,
            path: name.to_string(),
            version: newest.number,
            state: Secret::state_of(newest, now),
            created_at: newest.created_at,
            etag: Etag::of(secret.id, newest.number),
        })
    }

    /// 201 when it made the secret, else 200.
    pub(super) const fn status(&self) -> u16 {
        if self.created { 201 } else { 200 }
    }
}

/// The living secret at a path, if there is one.
///
/// # Errors
/// 409 when the path is a connection's, or taken in another case.
pub(super) async fn find_living(
    view: &View,
    place: &Place,
    path: &SecretPath,
) -> Result<Option<Arc<KnownSecret>>, Refusal> {
    match view.find_living(place, path).await? {
        Living::Nothing => Ok(None),
        Living::Secret(secret) if secret.path == *path => Ok(Some(secret)),
        Living::Secret(_) => Err(Refusal::Conflict(
            "case-clash",
            "a secret whose path differs only in case is there already: use its spelling or another path".to_owned(),
        )),
        Living::Connection(_) => Err(Refusal::Conflict(
            "name-taken",
            "a connection has this name: remove it first, or use another path".to_owned(),
        )),
    }
}

/// A secret that was not there, without a version yet.
pub(super) fn new_secret(cx: &Cx<'_>, path: &SecretPath) -> Secret {
    Secret::new(SecretId::new(cx.now, cx.id_bytes()), path.clone(), cx.now)
}

/// The fields that readers get now; none when every version is destroyed.
pub(super) async fn open_current(
    view: &View,
    place: &Place,
    secret: &KnownSecret,
) -> Result<Fields, Refusal> {
    match secret.current() {
        Some(current) => view.open_version(place, secret, current).await,
        None => Ok(Fields::default()),
    }
}

/// A secret with one more version, sealed and not yet put.
pub(super) struct NextVersion {
    pub(super) secret: Secret,
    version: NewVersion,
    dropped: Vec<VersionId>,
}

impl NextVersion {
    /// Seals `fields` as the secret's new current version; the old one stays `previous` until `valid_until`, or retires.
    pub(super) fn seal(
        cx: &Cx<'_>,
        place: &Place,
        mut secret: Secret,
        fields: &Fields,
        valid_until: Option<Timestamp>,
    ) -> Result<Self, Refusal> {
        fields.check_limits().map_err(Refusal::TooLarge)?;
        let (version, entry) = seal_version(cx, place, &secret, fields)?;
        let names = fields.iter().map(|(name, _)| name.clone()).collect();
        let dropped = secret.push_version(cx.now, entry, names, valid_until);
        Ok(Self {
            secret,
            version,
            dropped,
        })
    }

    /// Answers with `reply`, and puts the document and the version.
    pub(super) fn put<R>(
        self,
        cx: &Cx<'_>,
        place: &Place,
        reply: R,
    ) -> Result<Decision<R>, Refusal> {
        let number = self
            .secret
            .versions
            .last()
            .map_or(1, |version| version.number);
        let decision = Decision::new(reply).version(number);
        let decision = decision.put_new_version(cx, place, self.secret, self.version)?;
        Ok(decision.drop_versions(self.dropped))
    }
}
