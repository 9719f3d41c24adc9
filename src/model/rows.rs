//! What the store keeps, as plain data: the shape of each table's rows.
//! Which columns are sealed, bound or harmless is said in `docs/columns.md`.
//!
//! Invariant: a row is never believed before it is opened.

use super::{BootId, ClusterId, EnvironmentId, SecretId, StreamId, Timestamp, VersionId};

/// What a sealed document is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum DocumentKind {
    /// The cluster's own.
    Cluster = 1,
    /// A project.
    Project = 2,
    /// An environment; its space is its project.
    Environment = 3,
    /// A secret; its space is its environment, its name the folded path.
    Secret = 4,
    /// A user or an application.
    Principal = 5,
    /// A token; its space is its parent.
    Token = 6,
    /// A lease of the scheduler.
    Lease = 7,
    /// A connection; its space is its environment, its name the folded path.
    Connection = 8,
    /// What is kept of a request that is made once.
    Receipt = 9,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Cluster,
        Self::Project,
        Self::Environment,
        Self::Secret,
        Self::Principal,
        Self::Token,
        Self::Lease,
        Self::Connection,
        Self::Receipt,
    ];

    /// The word in sealing contexts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Project => "project",
            Self::Environment => "environment",
            Self::Secret => "secret",
            Self::Principal => "principal",
            Self::Token => "token",
            Self::Lease => "lease",
            Self::Connection => "connection",
            Self::Receipt => "receipt",
        }
    }

    /// The kind stored as this number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i64 == number)
    }
}

/// A row of `document`: everything that decides anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentRow {
    /// What it is of.
    pub kind: DocumentKind,
    /// Its id, sixteen bytes.
    pub id: [u8; 16],
    /// Whose namespace its name is in; zero for the cluster's.
    pub space: [u8; 16],
    /// The name it is looked up by.
    pub name: String,
    /// Empty while it lives; its id once deleted, which frees the name.
    pub grave: Vec<u8>,
    /// When the scheduler or the sweeper should look at it.
    pub due: Option<Timestamp>,
    /// The document, sealed.
    pub sealed: Vec<u8>,
}

/// A row of `version`: one version's values and its wrapped data key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionRow {
    /// Its id, time-ordered.
    pub id: VersionId,
    /// The environment whose key wraps its data key.
    pub environment: EnvironmentId,
    /// The secret or the connection it belongs to.
    pub secret: SecretId,
    /// The term of that key.
    pub term: u32,
    /// The data key, wrapped.
    pub wrapped: Vec<u8>,
    /// The fields, sealed.
    pub sealed: Vec<u8>,
}

/// A version's data key alone, as it is wrapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataKeyRow {
    /// The version's id.
    pub id: VersionId,
    /// The secret or the connection that the version belongs to.
    pub secret: SecretId,
    /// The term of the key that wraps it.
    pub term: u32,
    /// The data key, wrapped.
    pub wrapped: Vec<u8>,
}

/// What a wrapped key is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum KeyKind {
    /// Not a key: the seal's own record, with the root key's check value, and a passphrase's parameters.
    Seal = 1,
    /// Makes tokens into MACs.
    TokenMac = 2,
    /// Makes cursors unforgeable.
    CursorMac = 3,
    /// Chains the change sequence.
    MarkMac = 4,
    /// Seals documents.
    System = 5,
    /// Seals audit segments.
    Audit = 6,
    /// Signs tree heads.
    Signer = 7,
    /// Wraps an environment's data keys.
    Environment = 8,
}

impl KeyKind {
    /// The word that operators read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::TokenMac => "token-mac",
            Self::CursorMac => "cursor-mac",
            Self::MarkMac => "mark-mac",
            Self::System => "system",
            Self::Audit => "audit",
            Self::Signer => "signer",
            Self::Environment => "environment",
        }
    }

    /// The kind stored as this number.
    pub fn from_number(number: i64) -> Option<Self> {
        use KeyKind::{Audit, CursorMac, Environment, MarkMac, Seal, Signer, System, TokenMac};
        [
            Seal,
            TokenMac,
            CursorMac,
            MarkMac,
            System,
            Audit,
            Signer,
            Environment,
        ]
        .into_iter()
        .find(|kind| *kind as i64 == number)
    }
}

/// A row of `wrapped_key`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRow {
    /// What it is for.
    pub kind: KeyKind,
    /// The environment's id, for its keys; zero otherwise.
    pub environment: [u8; 16],
    /// Its term, from 1.
    pub term: u32,
    /// The wrapped bytes.
    pub wrapped: Vec<u8>,
}

/// The row of `world`: where the change sequence stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorldRow {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// The last change.
    pub seq: u64,
    /// Its mark.
    pub mark: [u8; 32],
    /// The mark before it.
    pub prev: [u8; 32],
    /// The schema's number.
    pub schema: u32,
}

/// A row of `stream`: a node's log and who writes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamRow {
    /// Its id.
    pub id: StreamId,
    /// The run of the server that writes it.
    pub owner: BootId,
    /// The fencing epoch.
    pub epoch: u64,
    /// Counts while its owner lives.
    pub beat: u64,
    /// Records in it.
    pub size: u64,
    /// The tree's right edge.
    pub frontier: Vec<u8>,
    /// The signed head.
    pub head: String,
}

/// A row of `segment`: one batch's records, or several batches' merged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentRow {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The index of its first record.
    pub first: u64,
    /// How many records it holds.
    pub count: u32,
    /// The change sequence that validated it, or the last of it.
    pub seq: u64,
    /// Time range, principals, environments, actions, outcomes, sealed.
    pub summary: Vec<u8>,
    /// The records, compressed and sealed.
    pub sealed: Vec<u8>,
}

impl SegmentRow {
    /// The index behind its last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.count.into())
    }
}

/// A stored segment as it was seen, told from every other by where its sealed records begin: with a salt of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SeenSegment {
    /// The index of its first record.
    pub first: u64,
    /// How many records it holds.
    pub count: u32,
    /// The first bytes of what is sealed.
    pub head: Vec<u8>,
}

impl SeenSegment {
    /// How many bytes are looked at: format, cipher, term and salt.
    pub const HEAD_BYTES: usize = 38;

    /// What there is to be seen of a row.
    #[must_use]
    pub fn of(row: &SegmentRow) -> Self {
        let head = row.sealed.iter().take(Self::HEAD_BYTES);
        Self {
            first: row.first,
            count: row.count,
            head: head.copied().collect(),
        }
    }
}

/// A row of `segment` without its records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SummaryRow {
    /// The index of its first record.
    pub first: u64,
    /// How many records it holds.
    pub count: u32,
    /// The summary.
    pub sealed: Vec<u8>,
}
