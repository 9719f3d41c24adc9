//! How a node takes its place: it knows its stream again, or founds a new one, and only then opens the door.
//! A stream that somebody else writes, an older database and a clock that stands back are each refused with a sentence.
//!
//! Invariant: the new boot id is kept in the state directory before the stream is claimed with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use coffer_audit_log::{VerifierKey, open_note};
use tokio::sync::Mutex;

use super::Door;
use super::cache::Cache;
use super::claim::{Taken, claim};
use super::documents::{self, Within};
use super::history::History;
use super::joining;
use super::kept::Kept;
use super::ledger::{Ledger, matter};
use super::queue::Queue;
use super::shared::Shared;
use super::state_dir::StateDir;
use crate::clock::Clock;
use crate::config::Durability;
use crate::crypto::Keyring;
use crate::entropy::Entropy;
use crate::metrics::Metrics;
use crate::model::{BootId, Cluster, ClusterId, DocumentKind, Name, StreamId, Timestamp};
use crate::store::{Stamp, Store, StoreError};

/// How far the clock may stand behind the last record.
const CLOCK_BEHIND_US: i64 = 5 * 60 * 1_000_000;

/// Why a node does not start: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(sentence) => Self(sentence),
            StoreError::Denied(_) => Self(format!(
                "{error}: run `coffer-server migrate` with database.owner_url, which grants each role what is its own."
            )),
            error => Self(format!(
                "The database did not answer as expected ({error}); look at its log and start again."
            )),
        }
    }
}

/// What a node starts with.
pub struct Starting {
    /// The database, migrated.
    pub store: Store,
    /// The keys, opened.
    pub keys: Keyring,
    /// What time it is.
    pub clock: Arc<Clock>,
    /// Where random bytes come from.
    pub entropy: Arc<dyn Entropy>,
    /// What is counted of this server.
    pub metrics: Arc<Metrics>,
    /// Where the node keeps what the database must not be trusted with.
    pub state_dir: Arc<StateDir>,
    /// The node's name by configuration.
    pub node: Option<Name>,
    /// What the record of a read survives.
    pub durability: Durability,
    /// Go on although the database is older than what this node has acknowledged.
    pub accept_rollback: bool,
    /// Go on although the clock stands before the last record.
    pub accept_clock: bool,
}

/// Starts a node: claims or founds its stream, starts its ledger, and gives the door.
///
/// # Errors
/// One sentence; nothing is served.
pub async fn start(starting: Starting) -> Result<Door, StartError> {
    let node = node_name(&starting)?;
    let state = &starting.state_dir;
    let before = state.boot().map_err(told)?;
    let boot = BootId::new(starting.clock.now(), id_bytes(&*starting.entropy));
    let cluster = starting.keys.cluster();
    let verifier = verifier(&starting.keys, cluster)?;
    let (known, world) = read_cluster(&starting).await?;
    let entry = known.streams.iter().find(|entry| entry.node == node);
    let stream = match entry {
        Some(entry) => entry.id,
        None => StreamId::new(starting.clock.now(), id_bytes(&*starting.entropy)),
    };
    let (owned, stale, stale_clock) = match entry {
        Some(entry) => {
            state.keep_boot(boot).map_err(told)?;
            let taken = claim(&starting, &verifier, entry, before, boot).await?;
            let stale = check_kept(&starting, &verifier, Some(&taken)).await?;
            let stale_clock = check_clock(&starting, taken.last)?;
            (Some(taken), stale, stale_clock)
        }
        None => {
            let stale = check_kept(&starting, &verifier, None).await?;
            state.keep_boot(boot).map_err(told)?;
            (None, stale, false)
        }
    };
    let Starting {
        store,
        keys,
        clock,
        entropy,
        metrics,
        state_dir,
        durability,
        ..
    } = starting;
    let last = owned
        .as_ref()
        .map_or(Timestamp::from_micros(0), |taken| taken.last);
    let main = store.writer().await?;
    let settings = store.durability().await?;
    tracing::info!(
        durability = durability.as_str(),
        settings,
        "the store's connections begin with these settings"
    );
    let shared = Arc::new(Shared {
        store,
        keys,
        cluster,
        stream,
        boot,
        before,
        durability,
        clock,
        entropy,
        metrics,
        cache: Cache::new(),
        bearers: super::bearers::Bearers::new(),
        history: History::new(world),
        queue: Queue::new(),
        verifier,
        signed: std::sync::Mutex::default(),
        recent: super::recent::Recent::default(),
        last_us: AtomicI64::new(last.micros()),
        well: std::sync::Mutex::new(None),
        fenced: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        counted: super::counted::Counted::default(),
        strangers: super::strangers::Strangers::default(),
        spool: super::spool::Spool::of(&state_dir).map_err(told)?,
        scans: Arc::new(tokio::sync::Semaphore::new(super::log::SCANS_MAX)),
        known_hashes: super::log::KnownHashes::default(),
        packer: std::sync::Mutex::new(super::segments::Packer::new()),
    });
    let door = Arc::clone(&shared);
    let mut ledger = match owned {
        Some(taken) => {
            let standing = (taken.row.epoch, taken.tree, taken.row.head, taken.last);
            Ledger::new(shared, Arc::clone(&state_dir), main, standing)
        }
        None => joining::found_stream(shared, &state_dir, main, &node).await?,
    };
    match stale {
        Stale::Not => {}
        Stale::Accepted => ledger.add_matter(matter(&ledger, "rollback-accepted", [])),
        Stale::ReadsLost(acknowledged, found) => ledger.say_lost(acknowledged, found),
    }
    if durability == Durability::Process {
        ledger.add_matter(matter(&ledger, "durability-process", []));
    }
    if stale_clock {
        ledger.add_matter(matter(&ledger, "clock-accepted", []));
    }
    state_dir.keep_node(&node).map_err(told)?;
    Ok(Door {
        shared: door,
        ledger: Arc::new(Mutex::new(Some(tokio::spawn(ledger.run())))),
    })
}

fn node_name(starting: &Starting) -> Result<Name, StartError> {
    let kept = starting.state_dir.node().map_err(told)?;
    match (&starting.node, kept) {
        (Some(named), Some(kept)) if *named != kept => Err(StartError(format!(
            "The state directory belongs to the node {kept}, but the configuration says node = \"{named}\"; give each node a state directory of its own."
        ))),
        (Some(named), _) => Ok(named.clone()),
        (None, Some(kept)) => Ok(kept),
        (None, None) => {
            let bytes = id_bytes(&*starting.entropy);
            let text: String = bytes[..5]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            Ok(format!("node-{text}")
                .parse()
                .expect("letters, digits and a hyphen are a name"))
        }
    }
}

/// The public key that this cluster's heads are verified with.
pub(super) fn verifier(keys: &Keyring, cluster: ClusterId) -> Result<VerifierKey, StartError> {
    let name = coffer_audit_log::ClusterId(*cluster.as_bytes()).key_name();
    VerifierKey::new(&name, &keys.signer().public_key())
        .map_err(|error| StartError(format!("The audit key is not usable ({error}).")))
}

async fn read_cluster(starting: &Starting) -> Result<(Cluster, Stamp), StartError> {
    let mut reader = starting.store.snapshot().await?;
    let found = reader
        .find_document(DocumentKind::Cluster, documents::CLUSTER_ID)
        .await?;
    let row = found.value.ok_or_else(|| {
        StartError("The database holds no cluster document; restore it from a backup.".to_owned())
    })?;
    let cluster = documents::open(&starting.keys, &row, Within::default(), "")
        .map_err(|_| StartError("The cluster's document does not open: the database was altered or belongs to another root key.".to_owned()))?;
    Ok((cluster, found.at))
}

/// How the stream stands to the head that this node has kept.
enum Stale {
    /// It holds at least that.
    Not,
    /// It is older, or not there any more, and that was accepted.
    Accepted,
    /// It lacks reads that did not wait for the disk, and nothing else: so many records were there, so many are.
    ReadsLost(u64, u64),
}

/// Compares the stream with the head that this node has kept. What may be missing is what the run that kept it had not
/// waited for, whatever the configuration says now.
async fn check_kept(
    starting: &Starting,
    verifier: &VerifierKey,
    taken: Option<&Taken>,
) -> Result<Stale, StartError> {
    let Some(Kept { head, synced }) = starting.state_dir.head().map_err(told)? else {
        return Ok(Stale::Not);
    };
    // A kept head of another cluster says nothing about this one.
    let Ok(kept) = open_note(&head, verifier) else {
        return Ok(Stale::Not);
    };
    // A stream that this node wrote and that is not its own in this database: it is from before the node joined.
    let same = taken.filter(|taken| kept.origin.stream.as_str() == taken.row.id.to_string());
    let behind = same.is_none_or(|taken| {
        taken.tree.size() < kept.size
            || (taken.tree.size() == kept.size && taken.tree.root() != kept.root)
    });
    if !behind {
        return Ok(Stale::Not);
    }
    if let (Some(synced), Some(taken)) = (synced, same)
        && taken.tree.size() < kept.size
        && synced
            .is_in(&taken.tree, &mut *starting.store.reader().await?)
            .await?
    {
        return Ok(Stale::ReadsLost(kept.size, taken.tree.size()));
    }
    if starting.accept_rollback {
        return Ok(Stale::Accepted);
    }
    Err(StartError(format!(
        "Rollback suspected: the database holds {} records of this node's log, which had {} when it was last seen; restore the newer database, or start with --accept-rollback to go on, which is recorded.",
        same.map_or(0, |taken| taken.tree.size()),
        kept.size
    )))
}

/// Whether the clock stands before the last record, and that was accepted.
fn check_clock(starting: &Starting, last: Timestamp) -> Result<bool, StartError> {
    let behind = last.micros().saturating_sub(starting.clock.now().micros());
    if behind <= CLOCK_BEHIND_US {
        return Ok(false);
    }
    if starting.accept_clock {
        return Ok(true);
    }
    Err(StartError(format!(
        "The clock stands {} seconds before the last record of the log; set it right, or start with --accept-clock to go on, which is recorded.",
        behind / 1_000_000
    )))
}

pub(super) fn id_bytes(entropy: &dyn Entropy) -> [u8; 10] {
    let mut bytes = [0; 10];
    entropy.fill(&mut bytes);
    bytes
}

fn told(error: std::io::Error) -> StartError {
    StartError(format!(
        "The state directory cannot be used ({error}); check its owner and mode."
    ))
}
