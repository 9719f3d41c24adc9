//! Data keys: one for each version of a secret, sealing all its fields as one document.
//! The payload's context has no term: the data key is its version's alone, so that rewrapping the key never touches the payload.
//!
//! Invariant: a payload opens only in its environment, as its secret, path and version.

use super::{
    Algorithm, Context, CryptoError, Label, LockedKey, SecretBytes, envelope::Opener,
    open_envelope, seal_envelope,
};
use crate::{
    entropy::Entropy,
    model::{ClusterId, EnvironmentId, ProjectId, SecretId},
};

/// Which version of which secret, inside the environment that its environment key knows.
#[derive(Clone, Copy, Debug)]
pub struct VersionContext<'a> {
    /// The secret's id.
    pub secret: SecretId,
    /// Its canonical path inside the environment.
    pub path: &'a str,
    /// The version's number, from 1.
    pub version: u64,
}

/// The key of one version. Made and opened by its [`EnvironmentKey`](super::EnvironmentKey).
pub struct DataKey {
    pub(super) key: LockedKey,
    pub(super) cluster: ClusterId,
    pub(super) project: ProjectId,
    pub(super) environment: EnvironmentId,
}

impl DataKey {
    /// Seals the version's fields, encoded as one document.
    ///
    /// # Errors
    /// A path or a payload beyond the limits.
    pub fn seal(
        &self,
        entropy: &dyn Entropy,
        version: &VersionContext<'_>,
        payload: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        seal_envelope(
            &self.key,
            Algorithm::Aes256Gcm,
            &self.context(version),
            entropy,
            payload,
        )
    }

    /// Opens the version's fields.
    ///
    /// # Errors
    /// Another key or place, or damage.
    pub fn open(
        &self,
        version: &VersionContext<'_>,
        sealed: &[u8],
    ) -> Result<SecretBytes, CryptoError> {
        open_envelope(&self.key, &self.context(version), sealed)
    }

    /// Derives what opening this payload needs, so that later reads derive nothing.
    ///
    /// # Errors
    /// The payload's head does not belong to this key and place.
    pub fn prepare(
        &self,
        version: &VersionContext<'_>,
        sealed: &[u8],
    ) -> Result<Prepared, CryptoError> {
        Opener::new(&self.key, &self.context(version), sealed).map(Prepared)
    }

    fn context<'a>(&self, version: &VersionContext<'a>) -> Context<'a> {
        Context::new(Label::Data, self.cluster, "version")
            .place(Some(self.project), Some(self.environment))
            .object(version.secret.as_bytes(), version.path)
            .version(version.version)
    }
}

/// The derived key of one payload, for a cache; in locked memory while the arena has room.
pub struct Prepared(Opener);

impl Prepared {
    /// Opens the payload it was prepared for: AEAD alone.
    ///
    /// # Errors
    /// Any other payload, or damage.
    pub fn open(&self, sealed: &[u8]) -> Result<SecretBytes, CryptoError> {
        self.0.open(sealed)
    }
}
