//! The ranks of keys below the root: system, environment, audit (the data key is in `versions`).
//! Each rank is a type whose methods are all it may do, so a key opens only what it was made for.
//!
//! Invariant: key bytes are in locked memory and leave it only into a primitive or, wrapped, into an envelope.

use super::{
    Algorithm, Context, CryptoError, KEY_BYTES, Label, LockedKey, SecretBytes, VersionContext,
    open_envelope, seal_envelope, versions::DataKey,
};
use crate::{
    entropy::Entropy,
    model::{ClusterId, EnvironmentId, ProjectId},
};

/// 32 opened bytes as a key.
pub(super) fn locked(bytes: &SecretBytes) -> Result<LockedKey, CryptoError> {
    let bytes: &[u8; KEY_BYTES] = bytes.expose().try_into().map_err(|_| CryptoError)?;
    Ok(LockedKey::copy_of(bytes))
}

/// Seals every security document. Reached through the [`Keyring`](super::Keyring).
pub struct SystemKey {
    pub(super) key: LockedKey,
    pub(super) term: u32,
}

/// Seals audit segments and their summaries. Reached through the [`Keyring`](super::Keyring).
pub struct AuditKey {
    pub(super) key: LockedKey,
    pub(super) term: u32,
}

/// One term of one environment's key: wraps the data keys of that environment, and knows which environment it is.
pub struct EnvironmentKey {
    pub(super) key: LockedKey,
    pub(super) cluster: ClusterId,
    pub(super) project: ProjectId,
    pub(super) environment: EnvironmentId,
    pub(super) term: u32,
}

impl EnvironmentKey {
    /// This key's term.
    #[must_use]
    pub fn term(&self) -> u32 {
        self.term
    }

    /// A data key for one version, and its wrapped form to store beside it.
    ///
    /// # Errors
    /// A path longer than a context may be.
    pub fn new_data_key(
        &self,
        entropy: &dyn Entropy,
        version: &VersionContext<'_>,
    ) -> Result<(DataKey, Vec<u8>), CryptoError> {
        let key = LockedKey::generate(entropy);
        let wrapped = self.wrap(entropy, version, &key)?;
        Ok((self.data_key(key), wrapped))
    }

    /// The data key of a version, from its wrapped form.
    ///
    /// # Errors
    /// Another term, environment, secret, path or version than it was wrapped for, or damage.
    pub fn open_data_key(
        &self,
        version: &VersionContext<'_>,
        wrapped: &[u8],
    ) -> Result<DataKey, CryptoError> {
        let opened = open_envelope(&self.key, &self.data_key_context(version), wrapped)?;
        Ok(self.data_key(locked(&opened)?))
    }

    /// Moves a wrapped data key from the term `old` to this one. The payload is not touched: it does not know the term.
    ///
    /// # Errors
    /// `wrapped` is not of `old`, or `old` is a key of another environment.
    pub fn rewrap(
        &self,
        entropy: &dyn Entropy,
        old: &EnvironmentKey,
        version: &VersionContext<'_>,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if (old.cluster, old.project, old.environment)
            != (self.cluster, self.project, self.environment)
        {
            return Err(CryptoError);
        }
        let opened = open_envelope(&old.key, &old.data_key_context(version), wrapped)?;
        self.wrap(entropy, version, &locked(&opened)?)
    }

    fn wrap(
        &self,
        entropy: &dyn Entropy,
        version: &VersionContext<'_>,
        key: &LockedKey,
    ) -> Result<Vec<u8>, CryptoError> {
        let context = self.data_key_context(version);
        seal_envelope(
            &self.key,
            Algorithm::Aes256Gcm,
            &context,
            entropy,
            key.expose(),
        )
    }

    fn data_key(&self, key: LockedKey) -> DataKey {
        DataKey {
            key,
            cluster: self.cluster,
            project: self.project,
            environment: self.environment,
        }
    }

    fn data_key_context<'a>(&self, version: &VersionContext<'a>) -> Context<'a> {
        Context::new(Label::Environment, self.cluster, "data-key")
            .place(Some(self.project), Some(self.environment))
            .object(version.secret.as_bytes(), version.path)
            .version(version.version)
            .term(self.term)
    }
}
