//! The keys of an unsealed cluster: having a `Keyring` is what being unsealed means.
//! It is generated once, stored as wrapped keys, and opened again with the root key, which it keeps to wrap environment keys.
//!
//! Invariant: every kind of key is present, and no two keys share a kind and a term.

use super::{
    AuditKey, AuditSigner, CryptoError, CursorMac, EnvironmentKey, LockedKey, MacKey, MarkMac,
    ReceiptMac, RootKey, SystemKey, TokenMac, mac::MacPurpose, root::KeyPlace,
};
use crate::{
    entropy::Entropy,
    model::{ClusterId, EnvironmentId, KeyKind, KeyRow, ProjectId},
};

/// The first term of every key.
const FIRST_TERM: u32 = 1;

/// The kinds of key that belong to the cluster and not to an environment.
const CLUSTER_KINDS: [KeyKind; 6] = [
    KeyKind::TokenMac,
    KeyKind::CursorMac,
    KeyKind::MarkMac,
    KeyKind::System,
    KeyKind::Audit,
    KeyKind::Signer,
];

/// All keys of a cluster that are not an environment's.
pub struct Keyring {
    root: RootKey,
    pub(super) cluster: ClusterId,
    pub(super) system: Terms<SystemKey>,
    pub(super) audit: Terms<AuditKey>,
    token_mac: MacKey<TokenMac>,
    cursor_mac: MacKey<CursorMac>,
    mark_mac: MacKey<MarkMac>,
    receipt_mac: MacKey<ReceiptMac>,
    signer: AuditSigner,
}

impl Keyring {
    /// New keys for a new cluster, and the rows to store.
    ///
    /// # Errors
    /// Only if a primitive refuses.
    pub fn generate(
        entropy: &dyn Entropy,
        root: RootKey,
        cluster: ClusterId,
    ) -> Result<(Self, Vec<KeyRow>), CryptoError> {
        let row = |kind| {
            let place = KeyPlace::of_cluster(cluster, kind, FIRST_TERM);
            generate_row(&root, entropy, place).map(|(_, row)| row)
        };
        let rows = CLUSTER_KINDS
            .into_iter()
            .map(row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok((Self::open(root, cluster, &rows)?, rows))
    }

    /// Opens the stored keys of a cluster. Rows of environments and of the seal are passed over.
    ///
    /// # Errors
    /// A key does not open, a kind is missing, a term is 0 or occurs twice, or a key that has one term has another.
    pub fn open(root: RootKey, cluster: ClusterId, rows: &[KeyRow]) -> Result<Self, CryptoError> {
        let of = |kind| -> Result<Vec<(u32, LockedKey)>, CryptoError> {
            let mine = rows.iter().filter(|row| row.kind == kind);
            mine.map(|row| {
                let place = KeyPlace::of_cluster(cluster, kind, row.term);
                Ok((row.term, root.unwrap(place, &row.wrapped)?))
            })
            .collect()
        };
        let token_mac: MacKey<TokenMac> = mac_key(of(TokenMac::KIND)?)?;
        Ok(Self {
            system: Terms::new(of(KeyKind::System)?, |key, term| SystemKey { key, term })?,
            audit: Terms::new(of(KeyKind::Audit)?, |key, term| AuditKey { key, term })?,
            receipt_mac: token_mac.derive_receipts(),
            token_mac,
            cursor_mac: mac_key(of(CursorMac::KIND)?)?,
            mark_mac: mac_key(of(MarkMac::KIND)?)?,
            signer: AuditSigner::new(&only(of(KeyKind::Signer)?)?)?,
            root,
            cluster,
        })
    }

    /// Whether a row of the cluster's own opens as what it is kept for. The seal's record is not wrapped by the root key.
    #[must_use]
    pub fn opens(&self, row: &KeyRow) -> bool {
        Self::opens_under(&self.root, self.cluster, row)
    }

    /// The same under a root key with which no keyring is to be had.
    #[must_use]
    pub fn opens_under(root: &RootKey, cluster: ClusterId, row: &KeyRow) -> bool {
        let place = KeyPlace::of_cluster(cluster, row.kind, row.term);
        row.kind == KeyKind::Seal || root.unwrap(place, &row.wrapped).is_ok()
    }

    /// The cluster these keys belong to.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
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

    /// Tells requests that are made once from one another.
    #[must_use]
    pub fn receipt_mac(&self) -> &MacKey<ReceiptMac> {
        &self.receipt_mac
    }

    /// Signs tree heads.
    #[must_use]
    pub fn signer(&self) -> &AuditSigner {
        &self.signer
    }

    /// The row of the system key's or the audit key's next term; it seals once the keyring was opened again with it.
    ///
    /// # Errors
    /// A kind that has only one term, or whose terms belong to an environment.
    pub fn generate_next(
        &self,
        entropy: &dyn Entropy,
        kind: KeyKind,
    ) -> Result<KeyRow, CryptoError> {
        let newest = match kind {
            KeyKind::System => self.system.newest().term,
            KeyKind::Audit => self.audit.newest().term,
            _ => return Err(CryptoError),
        };
        let term = newest.checked_add(1).ok_or(CryptoError)?;
        let place = KeyPlace::of_cluster(self.cluster, kind, term);
        generate_row(&self.root, entropy, place).map(|(_, row)| row)
    }

    /// A new key of this term for an environment, and the row to store.
    ///
    /// # Errors
    /// Term 0.
    pub fn generate_environment_key(
        &self,
        entropy: &dyn Entropy,
        project: ProjectId,
        environment: EnvironmentId,
        term: u32,
    ) -> Result<(EnvironmentKey, KeyRow), CryptoError> {
        let place = KeyPlace::of_environment(self.cluster, project, environment, term);
        let (key, row) = generate_row(&self.root, entropy, place)?;
        Ok((
            EnvironmentKey {
                key,
                cluster: self.cluster,
                project,
                environment,
                term,
            },
            row,
        ))
    }

    /// The environment key of a row, as the key of the environment that the caller knows to be meant.
    ///
    /// # Errors
    /// The row names another kind or environment, was wrapped for another place, or is damaged.
    pub fn open_environment_key(
        &self,
        project: ProjectId,
        environment: EnvironmentId,
        row: &KeyRow,
    ) -> Result<EnvironmentKey, CryptoError> {
        if row.kind != KeyKind::Environment || row.environment != *environment.as_bytes() {
            return Err(CryptoError);
        }
        let place = KeyPlace::of_environment(self.cluster, project, environment, row.term);
        let key = self.root.unwrap(place, &row.wrapped)?;
        Ok(EnvironmentKey {
            key,
            cluster: self.cluster,
            project,
            environment,
            term: row.term,
        })
    }
}

fn generate_row(
    root: &RootKey,
    entropy: &dyn Entropy,
    place: KeyPlace,
) -> Result<(LockedKey, KeyRow), CryptoError> {
    let key = LockedKey::generate(entropy);
    let wrapped = root.wrap(entropy, place, &key)?;
    let environment = place.environment.map_or([0; 16], |id| *id.as_bytes());
    Ok((
        key,
        KeyRow {
            kind: place.kind,
            environment,
            term: place.term,
            wrapped,
        },
    ))
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

/// The terms of one kind of key, in order; never empty.
pub(super) struct Terms<K>(Vec<(u32, K)>);

impl<K> Terms<K> {
    fn new(
        mut keys: Vec<(u32, LockedKey)>,
        of: impl Fn(LockedKey, u32) -> K,
    ) -> Result<Self, CryptoError> {
        keys.sort_by_key(|(term, _)| *term);
        let doubled = keys.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if doubled || keys.is_empty() {
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
