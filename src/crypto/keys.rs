//! The ranks of keys that wrap and seal: root, system, environment, audit (the data key is in `versions`).
//! Each rank is a type whose methods are all it may do, so a key opens only what it was made for.
//!
//! Invariant: key bytes are in locked memory and leave it only into a primitive or, wrapped, into an envelope.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Algorithm, Context, CryptoError, KEY_BYTES, Label, LockedKey, SecretBytes, VersionContext,
    open_envelope, seal_envelope, versions::DataKey,
};
use crate::{
    entropy::Entropy,
    model::{ClusterId, EnvironmentId, KeyKind, ProjectId},
};

/// The root key's term, bound into all it wraps, so that a later rotation of the root can be told apart.
const ROOT_TERM: u32 = 1;

/// The key above all others. It wraps keys and answers whether it is the right one; it never touches data.
pub struct RootKey(LockedKey);

impl RootKey {
    /// A new root key.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(LockedKey::generate(entropy))
    }

    /// The root key that a seal gave back.
    ///
    /// # Errors
    /// Another length than 32, or 32 equal bytes: a provider that returns garbage (CVE-2018-19786) is refused here.
    pub fn from_secret(bytes: &SecretBytes) -> Result<Self, CryptoError> {
        let bytes: &[u8; KEY_BYTES] = bytes.expose().try_into().map_err(|_| CryptoError)?;
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(CryptoError);
        }
        Ok(Self(LockedKey::copy_of(bytes)))
    }

    /// The key check value, which is stored in the clear: it tells a wrong root key from damaged data, and nothing else.
    #[must_use]
    pub fn check_value(&self, cluster: ClusterId) -> [u8; 32] {
        let mut value = [0; 32];
        Hkdf::<Sha256>::new(Some(cluster.as_bytes()), self.0.expose())
            .expand(b"coffer/key-check", &mut value)
            .expect("32 bytes are below HKDF's limit of 8160");
        value
    }

    /// Whether this is the root key whose check value was stored, in constant time.
    #[must_use]
    pub fn matches(&self, cluster: ClusterId, check_value: &[u8]) -> bool {
        self.check_value(cluster)
            .as_slice()
            .ct_eq(check_value)
            .into()
    }

    /// Wraps a key of this kind and term.
    pub(super) fn wrap(
        &self,
        entropy: &dyn Entropy,
        place: KeyPlace,
        key: &LockedKey,
    ) -> Result<Vec<u8>, CryptoError> {
        seal_envelope(
            &self.0,
            Algorithm::Aes256Gcm,
            &place.context()?,
            entropy,
            key.expose(),
        )
    }

    pub(super) fn unwrap(&self, place: KeyPlace, wrapped: &[u8]) -> Result<LockedKey, CryptoError> {
        locked(&open_envelope(&self.0, &place.context()?, wrapped)?)
    }

    /// Wraps the root key itself under a seal's key.
    pub(crate) fn seal_under(
        &self,
        sealing: &LockedKey,
        context: &Context<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        seal_envelope(
            sealing,
            Algorithm::Aes256Gcm,
            context,
            entropy,
            self.0.expose(),
        )
    }

    /// The root key as 64 hexadecimal digits, for a key file.
    pub(crate) fn to_hex(&self) -> SecretBytes {
        let mut text = Vec::with_capacity(2 * KEY_BYTES + 1);
        for byte in self.0.expose() {
            text.extend(
                [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]),
            );
        }
        SecretBytes::new(text)
    }
}

/// The place of a key that the root wraps. Its own term is the context's `version`; the context's `term` is the root's.
#[derive(Clone, Copy)]
pub(super) struct KeyPlace {
    cluster: ClusterId,
    project: Option<ProjectId>,
    pub(super) environment: Option<EnvironmentId>,
    pub(super) kind: KeyKind,
    pub(super) term: u32,
}

impl KeyPlace {
    pub(super) fn of_cluster(cluster: ClusterId, kind: KeyKind, term: u32) -> Self {
        Self {
            cluster,
            project: None,
            environment: None,
            kind,
            term,
        }
    }

    pub(super) fn of_environment(
        cluster: ClusterId,
        project: ProjectId,
        environment: EnvironmentId,
        term: u32,
    ) -> Self {
        let (project, environment) = (Some(project), Some(environment));
        Self {
            cluster,
            project,
            environment,
            kind: KeyKind::Environment,
            term,
        }
    }

    fn context(&self) -> Result<Context<'static>, CryptoError> {
        let kind = match self.kind {
            KeyKind::TokenMac => "token-mac",
            KeyKind::CursorMac => "cursor-mac",
            KeyKind::MarkMac => "mark-mac",
            KeyKind::System => "system-key",
            KeyKind::Audit => "audit-key",
            KeyKind::Signer => "audit-signer",
            KeyKind::Environment => "environment-key",
            KeyKind::Seal | KeyKind::Check => return Err(CryptoError),
        };
        if self.term == 0 {
            return Err(CryptoError);
        }
        Ok(Context::new(Label::Root, self.cluster, kind)
            .place(self.project, self.environment)
            .version(u64::from(self.term))
            .term(ROOT_TERM))
    }
}

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

/// 64 hexadecimal digits as 32 bytes; anything else is refused.
pub(crate) fn parse_hex_key(text: &[u8]) -> Option<SecretBytes> {
    let digits: &[u8; 2 * KEY_BYTES] = text.try_into().ok()?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES));
    for pair in digits.chunks_exact(2) {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(SecretBytes::new(std::mem::take(&mut bytes)))
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}
