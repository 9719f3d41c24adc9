//! A node that has no stream yet: its row, its place in the cluster's document and its first record, in one commit.
//! The first record is a claim: it writes down the heads of all streams that were there before.
//!
//! Invariant: two nodes that join at once, or under one name, do so one after the other or not at all.

use std::sync::Arc;

use coffer_audit_log::Frontier;

use super::claim::in_use;
use super::draft::{Command, Draft, DraftRecord};
use super::facts;
use super::history::Relied;
use super::ledger::Ledger;
use super::shared::{Shared, anchors};
use super::start::StartError;
use super::state_dir::StateDir;
use super::{Caller, Cx, Decision};
use crate::model::{Name, Ref, Resource, StreamEntry, StreamRow, Timestamp};
use crate::store::Writer;

/// Tries to found a stream while other nodes do the same.
const FOUNDING_TRIES: u32 = 20;

/// Founds this node's stream: its row, its place in the cluster's document, and its first record, in one commit.
pub(super) async fn found_stream(
    shared: Arc<Shared>,
    state_dir: &Arc<StateDir>,
    main: Writer,
    node: &Name,
) -> Result<Ledger, StartError> {
    let standing = (1, Frontier::new(), String::new(), Timestamp::from_micros(0));
    let mut ledger = Ledger::new(Arc::clone(&shared), Arc::clone(state_dir), main, standing);
    for _ in 0..FOUNDING_TRIES {
        let draft = founding_draft(&shared, node).await?;
        if ledger
            .commit_first(Command::Decided(Box::new(draft)))
            .await?
        {
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
    decision.changes.stream = Some(Box::new(StreamRow {
        id: shared.stream,
        owner: shared.boot,
        epoch: 1,
        beat: 0,
        size: 0,
        frontier: Frontier::new().to_bytes(),
        head: String::new(),
    }));
    let relied = Relied {
        point,
        refs: vec![(Ref::CLUSTER, loaded.at.seq)],
        ahead: vec![loaded.at],
    };
    Ok(Draft {
        record: claim_record(shared, cx.now, &heads, decision.digest),
        relied,
        changes: decision.changes,
        learned: decision.learned,
    })
}

/// The first record of a stream: the heads of all that were there before.
fn claim_record(
    shared: &Shared,
    now: Timestamp,
    heads: &[super::Head],
    digest: Option<[u8; 32]>,
) -> Box<DraftRecord> {
    Box::new(DraftRecord {
        id: shared.request_id(),
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
        metadata: Some(anchors(heads)),
        digest,
    })
}
