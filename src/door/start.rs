//! How a node takes its place: it knows its stream again, or founds a new one, and only then opens the door.
//! A stream that somebody else writes, an older database and a clock that stands back are each refused with a sentence.
//!
//! Invariant: the new boot id is kept in the state directory before the stream is claimed with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::time::Duration;

use coffer_audit_log::{Frontier, VerifierKey, open_note};

use super::cache::Cache;
use super::documents::{self, Within};
use super::draft::{Command, Draft, DraftRecord};
use super::facts;
use super::history::{History, Relied};
use super::ledger::{Ledger, matter};
use super::queue::Queue;
use super::segments::Summary;
use super::shared::Shared;
use super::state_dir::StateDir;
use super::{Caller, Cx, Decision, Door};
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::entropy::Entropy;
use crate::model::{
    BootId, Cluster, ClusterId, DocumentKind, Name, Ref, Resource, StreamEntry, StreamId,
    StreamRow, Timestamp,
};
use crate::store::{Stamp, Store, StoreError, Writer};

/// How long another owner's stream must stand still before it is claimed.
const LEASE: Duration = Duration::from_secs(6);
/// Looks at it meanwhile.
const LOOKS: u32 = 12;
/// How far the clock may stand behind the last record.
const CLOCK_BEHIND_US: i64 = 5 * 60 * 1_000_000;
/// Tries to found a stream while other nodes do the same.
const FOUNDING_TRIES: u32 = 20;

/// Why a node does not start: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(sentence) => Self(sentence),
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
    /// Where the node keeps what the database must not be trusted with.
    pub state_dir: Arc<StateDir>,
    /// The node's name by configuration.
    pub node: Option<Name>,
    /// Go on although the database is older than what this node has acknowledged.
    pub accept_rollback: bool,
    /// Go on although the clock stands before the last record.
    pub accept_clock: bool,
}

/// Where the stream stands when the node takes it.
struct Taken {
    row: StreamRow,
    tree: Frontier,
    last: Timestamp,
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
    let (owned, stale_clock) = match entry {
        Some(entry) => {
            state.keep_boot(boot).map_err(told)?;
            let taken = claim(&starting, &verifier, entry, before, boot).await?;
            let stale = check_kept(&starting, &verifier, &taken)?;
            let stale_clock = check_clock(&starting, taken.last)?;
            (Some((taken, stale)), stale_clock)
        }
        None => {
            state.keep_boot(boot).map_err(told)?;
            (None, false)
        }
    };
    let Starting {
        store,
        keys,
        clock,
        entropy,
        state_dir,
        ..
    } = starting;
    let last = owned
        .as_ref()
        .map_or(Timestamp::from_micros(0), |(taken, _)| taken.last);
    let main = store.writer().await?;
    let shared = Arc::new(Shared {
        store,
        keys,
        cluster,
        stream,
        boot,
        clock,
        entropy,
        cache: Cache::new(),
        history: History::new(world),
        queue: Queue::new(),
        verifier,
        last_us: AtomicI64::new(last.micros()),
        well: std::sync::Mutex::new(None),
        fenced: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        counted: super::counted::Counted::default(),
    });
    let door = Door {
        shared: Arc::clone(&shared),
    };
    let ledger = match owned {
        Some((taken, stale)) => {
            let standing = (taken.row.epoch, taken.tree, taken.row.head, taken.last);
            let mut ledger = Ledger::new(shared, Arc::clone(&state_dir), main, standing);
            if stale {
                ledger.add_matter(matter(&ledger, "rollback-accepted", []));
            }
            if stale_clock {
                ledger.add_matter(matter(&ledger, "clock-accepted", []));
            }
            ledger
        }
        None => found_stream(shared, &state_dir, main, &node).await?,
    };
    state_dir.keep_node(&node).map_err(told)?;
    tokio::spawn(ledger.run());
    Ok(door)
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

/// Takes a stream: at once when its owner was this node's last run, otherwise only if it stands still.
async fn claim(
    starting: &Starting,
    verifier: &VerifierKey,
    entry: &StreamEntry,
    before: Option<BootId>,
    boot: BootId,
) -> Result<Taken, StartError> {
    let row = find_stream(starting, entry).await?;
    if Some(row.owner) != before {
        stands_still(starting, entry, &row).await?;
    }
    let mut writer = starting.store.writer().await?;
    let claimed = writer.claim(entry.id, row.epoch, boot).await?;
    writer.close().await;
    let row = claimed.ok_or_else(|| in_use(&entry.node))?;
    let broken = || {
        StartError(format!(
            "The audit stream of the node {} does not stand under its signed head: the database was altered.",
            entry.node
        ))
    };
    let head = open_note(&row.head, verifier).map_err(|_| broken())?;
    let tree = Frontier::from_bytes(&row.frontier).map_err(|_| broken())?;
    let same = head.origin.stream.as_str() == entry.id.to_string()
        && (head.size, head.root) == (tree.size(), tree.root())
        && head.size == row.size;
    if !same {
        return Err(broken());
    }
    let last = last_time(starting, &row).await?.ok_or_else(broken)?;
    Ok(Taken { row, tree, last })
}

async fn find_stream(starting: &Starting, entry: &StreamEntry) -> Result<StreamRow, StartError> {
    let rows = starting.store.reader().await?.list_streams().await?;
    rows.into_iter().find(|row| row.id == entry.id).ok_or_else(|| {
        StartError(format!("The audit stream of the node {} is gone from the database; restore it from a backup.", entry.node))
    })
}

async fn stands_still(
    starting: &Starting,
    entry: &StreamEntry,
    first: &StreamRow,
) -> Result<(), StartError> {
    for _ in 0..LOOKS {
        tokio::time::sleep(LEASE / LOOKS).await;
        let now = find_stream(starting, entry).await?;
        if (now.epoch, now.beat, now.size) != (first.epoch, first.beat, first.size) {
            return Err(in_use(&entry.node));
        }
    }
    Ok(())
}

fn in_use(node: &Name) -> StartError {
    StartError(format!(
        "Another coffer-server runs as the node {node} on this database; give each server a node name and a state directory of its own."
    ))
}

/// The time of a stream's last record.
async fn last_time(starting: &Starting, row: &StreamRow) -> Result<Option<Timestamp>, StartError> {
    let Some(index) = row.size.checked_sub(1) else {
        return Ok(Some(Timestamp::from_micros(0)));
    };
    let segments = starting
        .store
        .reader()
        .await?
        .list_segments(row.id, index, 1)
        .await?;
    let Some(segment) = segments.first() else {
        return Ok(None);
    };
    let keys = &starting.keys;
    let Ok(summary) = keys.open_summary(row.id, segment.first, segment.count, &segment.summary)
    else {
        return Ok(None);
    };
    Ok(serde_json::from_slice::<Summary>(summary.expose())
        .ok()
        .map(|summary| summary.to))
}

/// Whether the stream is older than the head this node has kept, and that was accepted.
fn check_kept(
    starting: &Starting,
    verifier: &VerifierKey,
    taken: &Taken,
) -> Result<bool, StartError> {
    let Some(note) = starting.state_dir.head().map_err(told)? else {
        return Ok(false);
    };
    // A kept head of another cluster says nothing about this one.
    let Ok(kept) = open_note(&note, verifier) else {
        return Ok(false);
    };
    let other = kept.origin.stream.as_str() != taken.row.id.to_string();
    let behind = taken.tree.size() < kept.size
        || (taken.tree.size() == kept.size && taken.tree.root() != kept.root);
    if other || !behind {
        return Ok(false);
    }
    if starting.accept_rollback {
        return Ok(true);
    }
    Err(StartError(format!(
        "Rollback suspected: the database holds {} records of this node's log, which had {} when it was last seen; restore the newer database, or start with --accept-rollback to go on, which is recorded.",
        taken.tree.size(),
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

/// Founds this node's stream: its row, its place in the cluster's document, and its first record, in one commit.
async fn found_stream(
    shared: Arc<Shared>,
    state_dir: &Arc<StateDir>,
    main: Writer,
    node: &Name,
) -> Result<Ledger, StartError> {
    let standing = (1, Frontier::new(), String::new(), Timestamp::from_micros(0));
    let mut ledger = Ledger::new(Arc::clone(&shared), Arc::clone(state_dir), main, standing);
    for _ in 0..FOUNDING_TRIES {
        let draft = founding_draft(&shared, node).await?;
        if ledger.commit_first(Command::Decided(draft)).await? {
            return Ok(ledger);
        }
    }
    Err(StartError(
        "Other servers are joining this database at the same moment; start this one again."
            .to_owned(),
    ))
}

async fn founding_draft(shared: &Arc<Shared>, node: &Name) -> Result<Draft, StartError> {
    let point = shared.history.point();
    let mut reader = shared.store.snapshot().await?;
    let loaded = facts::load_cluster(&mut reader, &shared.keys).await;
    let loaded =
        loaded.map_err(|_| StartError("The cluster's document does not open.".to_owned()))?;
    let rows = reader.list_streams().await?;
    let mut cluster = (*loaded.value).clone();
    if cluster.streams.iter().any(|entry| entry.node == *node) {
        return Err(in_use(node));
    }
    cluster.streams.push(StreamEntry {
        id: shared.stream,
        node: node.clone(),
    });
    let heads = rows
        .into_iter()
        .map(|row| shared.open_head(row))
        .collect::<Result<Vec<_>, _>>();
    let heads = heads.map_err(|_| {
        StartError("The head of another node's stream was not signed by this cluster.".to_owned())
    })?;
    let caller = Caller::System("streams");
    let cx = Cx {
        now: shared.now(),
        entropy: &*shared.entropy,
        keys: &shared.keys,
        caller: &caller,
    };
    let mut decision = Decision::new(())
        .put_cluster(&cx, &cluster)
        .map_err(|_| StartError("The cluster's document could not be sealed.".to_owned()))?;
    decision.changes.stream = Some(StreamRow {
        id: shared.stream,
        owner: shared.boot,
        epoch: 1,
        beat: 0,
        size: 0,
        frontier: Frontier::new().to_bytes(),
        head: String::new(),
    });
    let relied = Relied {
        point,
        refs: vec![(Ref::CLUSTER, loaded.at.seq)],
        ahead: vec![loaded.at],
    };
    Ok(Draft {
        record: claim_record(shared, cx.now, &heads, decision.digest),
        relied,
        changes: decision.changes,
    })
}

/// The first record of a stream: the heads of all that were there before.
pub(super) fn claim_record(
    shared: &Shared,
    now: Timestamp,
    heads: &[super::Head],
    digest: Option<[u8; 32]>,
) -> DraftRecord {
    let heads = heads.iter().map(|head| {
        let checkpoint = &head.checkpoint;
        (&checkpoint.origin.stream, checkpoint.size, checkpoint.root)
    });
    DraftRecord {
        id: shared.request_id().to_string(),
        time: now,
        principal: Some(coffer_audit_log::anchor::ANCHOR_PRINCIPAL.into()),
        token: None,
        source: None,
        user_agent: None,
        action: coffer_audit_log::anchor::ANCHOR_ACTION,
        resource: Resource::STREAMS.to_string(),
        version: None,
        allowed: true,
        scope: None,
        status: 201,
        code: "ok",
        metadata: Some(coffer_audit_log::anchor_metadata(heads)),
        digest,
    }
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
