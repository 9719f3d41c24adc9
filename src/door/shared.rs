//! What all parts of the door hold in common: the store, the keys, the cache, the history, the queue.
//! It is given to views and to the ledger, and to nobody outside the door.
//!
//! Invariant: only the ledger and the merger of segments write; from here one can read, and wait for the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coffer_audit_log::{self as audit_log, Checkpoint, Frontier, VerifierKey};
use tokio::sync::Semaphore;

use super::bearers::Bearers;
use super::cache::Cache;
use super::history::History;
use super::queue::Queue;
use super::recent::Recent;
use super::request::RequestId;
use super::segments::Packer;
use super::view::STORE_LOST;
use crate::clock::Clock;
use crate::config::Durability;
use crate::crypto::Keyring;
use crate::entropy::Entropy;
use crate::metrics::Metrics;
use crate::model::{BootId, ClusterId, Refusal, StreamId, StreamRow, Timestamp};
use crate::store::{Reader, Store};

/// How long a node is ready after a batch or a probe that went well.
const WELL_FOR: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) keys: Keyring,
    pub(super) cluster: ClusterId,
    pub(super) stream: StreamId,
    pub(super) boot: BootId,
    /// The last run that left this state directory.
    pub(super) before: Option<BootId>,
    /// What the record of a read survives.
    pub(super) durability: Durability,
    pub(super) clock: Arc<Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) cache: Cache,
    pub(super) bearers: Bearers,
    pub(super) history: History,
    pub(super) queue: Queue,
    /// The public key that every head is opened with.
    pub(super) verifier: VerifierKey,
    /// The tree under the last head that this node has signed and stored.
    pub(super) signed: Mutex<Frontier>,
    /// What was stored under it lately.
    pub(super) recent: Recent,
    /// The time of the last committed record, in microseconds: no decision is made before it.
    pub(super) last_us: AtomicI64,
    /// When a batch or a probe last went well, by this process's own clock.
    pub(super) well: Mutex<Option<Instant>>,
    /// Another server owns the stream: nothing is answered any more.
    pub(super) fenced: AtomicBool,
    pub(super) requests: AtomicU64,
    pub(super) counted: super::counted::Counted,
    pub(super) strangers: super::strangers::Strangers,
    /// Answers of providers that are not concluded yet.
    pub(super) spool: super::spool::Spool,
    /// How many looks at the log may still open segments.
    pub(super) scans: Arc<Semaphore>,
    /// What tiles of upper levels are made from.
    pub(super) known_hashes: super::log::KnownHashes,
    /// The ledger's alone.
    pub(super) packer: Mutex<Packer>,
}

/// A stream's head, opened.
#[derive(Clone, Debug)]
pub struct Head {
    /// The stream.
    pub stream: StreamId,
    /// The signed note, as stored.
    pub note: String,
    /// What it says.
    pub checkpoint: Checkpoint,
}

/// What an anchor record says of these heads.
pub fn anchors(heads: &[Head]) -> BTreeMap<String, String> {
    audit_log::anchor_metadata(heads.iter().map(|head| {
        let checkpoint = &head.checkpoint;
        (&checkpoint.origin.stream, checkpoint.size, checkpoint.root)
    }))
}

impl Shared {
    /// The instant for a new decision.
    pub(super) fn now(&self) -> Timestamp {
        self.clock
            .now()
            .max(Timestamp::from_micros(self.last_us.load(Ordering::Relaxed)))
    }

    /// A name for the next request.
    pub(super) fn request_id(&self) -> RequestId {
        let (boot, _) = self.boot.uuid().as_u64_pair();
        RequestId {
            boot,
            counter: self.requests.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// What compresses the next segment.
    pub(super) fn packer(&self) -> MutexGuard<'_, Packer> {
        self.packer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree under the last head that this node has signed and stored: the ledger's own, and not the store's.
    pub(super) fn signed(&self) -> Frontier {
        self.lock_signed().clone()
    }

    /// The ledger has signed and stored a head over this tree.
    pub(super) fn set_signed(&self, tree: &Frontier) {
        self.lock_signed().clone_from(tree);
    }

    fn lock_signed(&self) -> MutexGuard<'_, Frontier> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch or a probe went well just now.
    pub(super) fn mark_well(&self) {
        *self.well.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.monotonic());
    }

    /// Whether one went well lately, and nobody else owns the stream.
    pub(super) fn is_well(&self) -> bool {
        let well = *self.well.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |well| self.clock.monotonic().duration_since(well) < WELL_FOR;
        well.is_some_and(lately) && !self.fenced.load(Ordering::Acquire)
    }

    pub(super) async fn reader(&self) -> Result<Reader, Refusal> {
        self.store.reader().await.map_err(|error| {
            tracing::warn!(%error, "no connection to read with");
            Refusal::Unavailable(STORE_LOST)
        })
    }

    /// Opens a stream's head with the cluster's own key.
    pub(super) fn open_head(&self, row: StreamRow) -> Result<Head, Refusal> {
        let checkpoint =
            audit_log::open_note(&row.head, &self.verifier).map_err(|_| Refusal::Tampered)?;
        let own =
            checkpoint.origin.stream.as_str() == row.id.to_string() && checkpoint.size == row.size;
        own.then_some(Head {
            stream: row.id,
            note: row.head,
            checkpoint,
        })
        .ok_or(Refusal::Tampered)
    }

    /// The origin of a stream's heads.
    pub(super) fn origin(cluster: ClusterId, stream: StreamId) -> audit_log::Origin {
        audit_log::Origin {
            cluster: audit_log::ClusterId(*cluster.as_bytes()),
            stream: stream.to_string().parse().expect("a UUID is a stream's id"),
        }
    }
}
