//! The root key: it wraps the keys below it, answers whether it is the right one, and never touches data.
//! Seals make it, keep it and give it back; the keyring holds it while the cluster is unsealed.
//!
//! Invariant: its bytes leave this module only wrapped, or as the digits of a key file.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Algorithm, Context, CryptoError, KEY_BYTES, Label, LockedKey, SecretBytes, keys::locked,
    open_envelope, seal_envelope,
};
use crate::{
    entropy::Entropy,
    model::{ClusterId, EnvironmentId, KeyKind, ProjectId},
};

/// The root key's term, bound into all it wraps, so that a later rotation of the root can be told apart.
const ROOT_TERM: u32 = 1;

/// Which cluster a root key is for: all that a seal has to know of it.
#[derive(Clone, Copy, Debug)]
pub struct RootPlace(ClusterId);

impl RootPlace {
    /// The place of this cluster's root key.
    #[must_use]
    pub const fn of(cluster: ClusterId) -> Self {
        Self(cluster)
    }

    /// No term: what seals a root key has one key. The object id names the cluster and how the sealing key is made.
    fn context<'a>(&'a self, work: &'a str) -> Context<'a> {
        Context::new(Label::Seal, self.0, "root-key").object(self.0.as_bytes(), work)
    }
}

/// The key above all others.
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

    /// The root key of a key file: 64 lower-case hexadecimal digits, nothing else.
    ///
    /// # Errors
    /// Other text, or a key that [`Self::from_secret`] refuses.
    pub fn from_hex(text: &[u8]) -> Result<Self, CryptoError> {
        let digits: &[u8; 2 * KEY_BYTES] = text.try_into().map_err(|_| CryptoError)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES));
        for pair in digits.chunks_exact(2) {
            bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
        }
        Self::from_secret(&SecretBytes::new(std::mem::take(&mut bytes)))
    }

    /// The root key as [`Self::from_hex`] reads it, for a key file.
    #[must_use]
    pub fn to_hex(&self) -> SecretBytes {
        let mut text = Vec::with_capacity(2 * KEY_BYTES);
        for byte in self.0.expose() {
            text.extend([byte >> 4, byte & 15].map(|four| b"0123456789abcdef"[usize::from(four)]));
        }
        SecretBytes::new(text)
    }

    /// The key check value, which is stored in the clear: it tells a wrong root key from damaged data, and nothing else.
    #[must_use]
    pub fn check_value(&self, place: RootPlace) -> [u8; 32] {
        let mut value = [0; 32];
        Hkdf::<Sha256>::new(Some(place.0.as_bytes()), self.0.expose())
            .expand(b"coffer/key-check", &mut value)
            .expect("32 bytes are below HKDF's limit of 8160");
        value
    }

    /// Whether this is the root key whose check value was stored, in constant time.
    #[must_use]
    pub fn matches(&self, place: RootPlace, check_value: &[u8]) -> bool {
        self.check_value(place).as_slice().ct_eq(check_value).into()
    }

    /// Wraps the root key itself under a seal's key; `work` says how that key is made and is bound in.
    ///
    /// # Errors
    /// `work` is longer than a context may be.
    pub fn wrap_under(
        &self,
        sealing: &LockedKey,
        place: RootPlace,
        work: &str,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, CryptoError> {
        let context = place.context(work);
        seal_envelope(
            sealing,
            Algorithm::Aes256Gcm,
            &context,
            entropy,
            self.0.expose(),
        )
    }

    /// The root key that [`Self::wrap_under`] wrapped.
    ///
    /// # Errors
    /// Another key, cluster or work, or damage.
    pub fn unwrap_under(
        sealing: &LockedKey,
        place: RootPlace,
        work: &str,
        wrapped: &[u8],
    ) -> Result<Self, CryptoError> {
        Self::from_secret(&open_envelope(sealing, &place.context(work), wrapped)?)
    }

    /// Wraps a key of the rank below.
    pub(super) fn wrap(
        &self,
        entropy: &dyn Entropy,
        place: KeyPlace,
        key: &LockedKey,
    ) -> Result<Vec<u8>, CryptoError> {
        let context = place.context()?;
        seal_envelope(
            &self.0,
            Algorithm::Aes256Gcm,
            &context,
            entropy,
            key.expose(),
        )
    }

    pub(super) fn unwrap(&self, place: KeyPlace, wrapped: &[u8]) -> Result<LockedKey, CryptoError> {
        locked(&open_envelope(&self.0, &place.context()?, wrapped)?)
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
            KeyKind::Seal => return Err(CryptoError),
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

fn digit(character: u8) -> Result<u8, CryptoError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        _ => Err(CryptoError),
    }
}
