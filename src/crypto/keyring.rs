//! The keys of an unsealed cluster: having a `Keyring` is what being unsealed means.
//! It is generated once, stored as wrapped keys, and opened again with the root key, which it keeps to wrap environment keys.
//!
//! Invariant: every kind of key is present, and no two keys share a kind and a term.

use uuid::Uuid;

use super::{
    AuditKey, AuditSigner, CryptoError, CursorMac, EnvironmentKey, LockedKey, MacKey, MarkMac,
    RootKey, SystemKey, TokenMac, keys::KeyPlace, mac::MacPurpose,
};
use crate::entropy::Entropy;

/// The first term of every key.
const FIRST_TERM: u32 = 1;

/// What a wrapped key is; its name is the object kind in its context, its number a column's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyKind {
    /// Seals security documents.
    System = 1,
    /// Seals audit segments.
    Audit = 2,
    /// Signs tree heads.
    AuditSigner = 3,
    /// Authenticates tokens.
    TokenMac = 4,
    /// Authenticates page cursors.
    CursorMac = 5,
    /// Authenticates marks of the change sequence.
    MarkMac = 6,
    /// Wraps the data keys of one environment.
    Environment = 7,
}

impl KeyKind {
    const CLUSTER_KINDS: [Self; 6] = [
        Self::System,
        Self::Audit,
        Self::AuditSigner,
        Self::TokenMac,
        Self::CursorMac,
        Self::MarkMac,
    ];

    /// The object kind in the context.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system-key",
            Self::Audit => "audit-key",
            Self::AuditSigner => "audit-signer",
            Self::TokenMac => "token-mac",
            Self::CursorMac => "cursor-mac",
            Self::MarkMac => "mark-mac",
            Self::Environment => "environment-key",
        }
    }

    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::CLUSTER_KINDS
            .into_iter()
            .chain([Self::Environment])
            .find(|kind| kind.number() == number)
    }
}

/// A key as it is stored: its place in the clear, which the envelope is bound to, and the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// What it is.
    pub kind: KeyKind,
    /// The project of an environment key.
    pub project: Option<Uuid>,
    /// The environment of an environment key.
    pub environment: Option<Uuid>,
    /// Its term, from 1.
    pub term: u32,
    /// The envelope under the root key.
    pub bytes: Vec<u8>,
}

impl WrappedKey {
    fn place(&self, cluster: Uuid) -> KeyPlace {
        KeyPlace {
            cluster,
            project: self.project,
            environment: self.environment,
            kind: self.kind,
            term: self.term,
        }
    }
}

/// All keys of a cluster that are not an environment's.
pub struct Keyring {
    root: RootKey,
    pub(super) cluster: Uuid,
    pub(super) system: Terms<SystemKey>,
    pub(super) audit: Terms<AuditKey>,
    token_mac: MacKey<TokenMac>,
    cursor_mac: MacKey<CursorMac>,
    mark_mac: MacKey<MarkMac>,
    signer: AuditSigner,
}

impl Keyring {
    /// New keys for a new cluster, and their wrapped forms to store.
    ///
    /// # Errors
    /// Only if a primitive refuses.
    pub fn generate(
        entropy: &dyn Entropy,
        root: RootKey,
        cluster: Uuid,
    ) -> Result<(Self, Vec<WrappedKey>), CryptoError> {
        let wrapped = KeyKind::CLUSTER_KINDS
            .into_iter()
            .map(|kind| {
                wrap_new(&root, entropy, cluster, kind, None, FIRST_TERM)
                    .map(|(_, wrapped)| wrapped)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok((Self::open(root, cluster, &wrapped)?, wrapped))
    }

    /// Opens the stored keys of a cluster. Environment keys among them are passed over.
    ///
    /// # Errors
    /// A key does not open, a kind is missing, a term is 0 or occurs twice, or a second term of a key that has only one.
    pub fn open(root: RootKey, cluster: Uuid, wrapped: &[WrappedKey]) -> Result<Self, CryptoError> {
        let of = |kind| -> Result<Vec<(u32, LockedKey)>, CryptoError> {
            let mine = wrapped.iter().filter(|wrapped| wrapped.kind == kind);
            mine.map(|wrapped| {
                Ok((
                    wrapped.term,
                    root.unwrap(wrapped.place(cluster), &wrapped.bytes)?,
                ))
            })
            .collect()
        };
        Ok(Self {
            system: Terms::new(of(KeyKind::System)?, |key, term| SystemKey { key, term })?,
            audit: Terms::new(of(KeyKind::Audit)?, |key, term| AuditKey { key, term })?,
            token_mac: mac_key(of(TokenMac::KIND)?)?,
            cursor_mac: mac_key(of(CursorMac::KIND)?)?,
            mark_mac: mac_key(of(MarkMac::KIND)?)?,
            signer: AuditSigner::new(&only(of(KeyKind::AuditSigner)?)?)?,
            root,
            cluster,
        })
    }

    /// The cluster these keys belong to.
    #[must_use]
    pub fn cluster(&self) -> Uuid {
        self.cluster
    }

    /// Authenticates tokens.
    #[must_use]
    pub fn token_mac(&self) -> &MacKey<TokenMac> {
        &self.token_mac
    }

    /// Authenticates page cursors.
    #[must_use]
    pub fn cursor_mac(&self) -> &MacKey<CursorMac> {
        &self.cursor_mac
    }

    /// Authenticates marks of the change sequence.
    #[must_use]
    pub fn mark_mac(&self) -> &MacKey<MarkMac> {
        &self.mark_mac
    }

    /// Signs tree heads.
    #[must_use]
    pub fn signer(&self) -> &AuditSigner {
        &self.signer
    }

    /// A new environment key of this term, and its wrapped form to store.
    ///
    /// # Errors
    /// Term 0.
    pub fn generate_environment_key(
        &self,
        entropy: &dyn Entropy,
        project: Uuid,
        environment: Uuid,
        term: u32,
    ) -> Result<(EnvironmentKey, WrappedKey), CryptoError> {
        if term == 0 {
            return Err(CryptoError);
        }
        let place = Some((project, environment));
        let (key, wrapped) = wrap_new(
            &self.root,
            entropy,
            self.cluster,
            KeyKind::Environment,
            place,
            term,
        )?;
        Ok((
            EnvironmentKey {
                key,
                cluster: self.cluster,
                project,
                environment,
                term,
            },
            wrapped,
        ))
    }

    /// The environment key of a stored wrapped key.
    ///
    /// # Errors
    /// Not an environment key, another place than it was wrapped for, or damage.
    pub fn open_environment_key(
        &self,
        wrapped: &WrappedKey,
    ) -> Result<EnvironmentKey, CryptoError> {
        let (KeyKind::Environment, Some(project), Some(environment)) =
            (wrapped.kind, wrapped.project, wrapped.environment)
        else {
            return Err(CryptoError);
        };
        if wrapped.term == 0 {
            return Err(CryptoError);
        }
        let key = self
            .root
            .unwrap(wrapped.place(self.cluster), &wrapped.bytes)?;
        Ok(EnvironmentKey {
            key,
            cluster: self.cluster,
            project,
            environment,
            term: wrapped.term,
        })
    }
}

fn wrap_new(
    root: &RootKey,
    entropy: &dyn Entropy,
    cluster: Uuid,
    kind: KeyKind,
    place: Option<(Uuid, Uuid)>,
    term: u32,
) -> Result<(LockedKey, WrappedKey), CryptoError> {
    let (project, environment) = place.unzip();
    let key = LockedKey::generate(entropy);
    let mut wrapped = WrappedKey {
        kind,
        project,
        environment,
        term,
        bytes: Vec::new(),
    };
    wrapped.bytes = root.wrap(entropy, wrapped.place(cluster), &key)?;
    Ok((key, wrapped))
}

fn mac_key<P: MacPurpose>(keys: Vec<(u32, LockedKey)>) -> Result<MacKey<P>, CryptoError> {
    only(keys).map(MacKey::new)
}

/// The one key of a kind that has one term. A second waits for the release that rotates it; guessing would end sessions.
fn only(mut keys: Vec<(u32, LockedKey)>) -> Result<LockedKey, CryptoError> {
    match (keys.pop(), keys.is_empty()) {
        (Some((FIRST_TERM, key)), true) => Ok(key),
        _ => Err(CryptoError),
    }
}

/// The terms of one kind of key, by term; never empty.
pub(super) struct Terms<K>(Vec<(u32, K)>);

impl<K> Terms<K> {
    fn new(
        mut keys: Vec<(u32, LockedKey)>,
        of: impl Fn(LockedKey, u32) -> K,
    ) -> Result<Self, CryptoError> {
        keys.sort_by_key(|(term, _)| *term);
        let doubled = keys.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if doubled || keys.first().is_none_or(|(term, _)| *term == 0) {
            return Err(CryptoError);
        }
        Ok(Self(
            keys.into_iter()
                .map(|(term, key)| (term, of(key, term)))
                .collect(),
        ))
    }

    pub(super) fn newest(&self) -> &K {
        &self.0.last().expect("Terms::new refuses an empty list").1
    }

    pub(super) fn of(&self, term: u32) -> Result<&K, CryptoError> {
        let at = self
            .0
            .binary_search_by_key(&term, |(term, _)| *term)
            .map_err(|_| CryptoError)?;
        Ok(&self.0[at].1)
    }
}
