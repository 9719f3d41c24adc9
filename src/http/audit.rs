//! The audit log over HTTP: its newest records, whole exports as they are read, heads, and the public key.
//! Heads are read when the request's own record is durable, so an export holds its own beginning and stops there.
//!
//! Invariant: an export that does not come to its end is cut off, and is not taken for whole.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use coffer_api::{AuditHead, AuditHeads, AuditKey};
use tokio::time::timeout;

use super::endpoint::{Answered, Asked, Endpoint};
use super::reply::{Body, CutOff, Pieces, Reply};
use super::url::wrong;
use crate::door::{Head, LogReader};
use crate::model::Refusal;
use crate::operations::audit::{BundleLog, ExportLog, ReadHeads, ReadRecords, ReadVerifierKey};

/// One record a line.
const JSONL: &str = "application/jsonl";
const BUNDLE: &str = "text/plain; charset=utf-8";
/// The most records of one answer, and how many unless it is said.
const RECORDS_MAX: u32 = 1_000;
const RECORDS_DEFAULT: u32 = 20;
const A_LIMIT: &str = "a number of records, 1 to 1000";
/// A client that takes no piece of an export for so long is left behind.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

impl Endpoint for ReadRecords {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let limit = asked.query.take_as::<u32>("limit", A_LIMIT)?.unwrap_or(RECORDS_DEFAULT);
        if !(1..=RECORDS_MAX).contains(&limit) {
            return Err(wrong("limit", A_LIMIT));
        }
        Ok(Self { limit })
    }

    async fn reply(limit: u32, answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let heads = answered.door.heads().await?;
        let records = answered.door.newest_records(&heads, limit as usize).await?;
        let mut lines = Vec::new();
        for record in records {
            lines.extend_from_slice(&record.line);
            lines.push(b'\n');
        }
        Ok(Reply::stream(JSONL, Body::full(lines.into())))
    }
}

impl Endpoint for ExportLog {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        match asked.query.take("format").as_deref() {
            None | Some("jsonl") => Ok(Self),
            Some(_) => Err(wrong("format", "jsonl")),
        }
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let heads = answered.door.heads().await?;
        let reader = answered.door.export(heads);
        Ok(Reply::stream(JSONL, streamed(reader, Vec::new())))
    }
}

impl Endpoint for BundleLog {
    fn parse(_: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self)
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let heads = answered.door.heads().await?;
        let mut begin = Vec::new();
        let reader = answered.door.export_bundle(heads, &mut begin)?;
        Ok(Reply::stream(BUNDLE, streamed(reader, begin)))
    }
}

/// A body that a task of its own fills, as fast as the client takes it.
fn streamed(reader: LogReader, begin: Vec<u8>) -> Body {
    let (pieces, body) = Body::pieces();
    tokio::spawn(async move {
        if !begin.is_empty() && !send(&pieces, Ok(begin.into())).await {
            return;
        }
        fill(reader, &pieces).await;
    });
    body
}

async fn fill(mut reader: LogReader, pieces: &Pieces) {
    loop {
        match reader.next_chunk().await {
            Ok(None) => return,
            Ok(Some(chunk)) => {
                if !send(pieces, Ok(chunk.into())).await {
                    return;
                }
            }
            Err(refusal) => {
                tracing::warn!(code = refusal.code(), "an export was cut off");
                send(pieces, Err(CutOff)).await;
                return;
            }
        }
    }
}

/// Whether the client is still there and takes what it asked for.
async fn send(pieces: &Pieces, piece: Result<Bytes, CutOff>) -> bool {
    match timeout(PIECE_TIME_MAX, pieces.send(piece)).await {
        Ok(sent) => sent.is_ok(),
        Err(_) => {
            // The body must not end as if it were whole: what it waits in is full, so the end is told when there is room.
            let _ = pieces.send(Err(CutOff)).await;
            false
        }
    }
}

impl Endpoint for ReadHeads {
    fn parse(_: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self)
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        let heads = answered.door.heads().await?;
        let shown = |head: Head| AuditHead {
            stream: head.stream.to_string(),
            size: head.checkpoint.size,
            root: STANDARD.encode(head.checkpoint.root),
            note: head.note,
        };
        Ok(answered.json(&AuditHeads { heads: heads.into_iter().map(shown).collect() }))
    }
}

impl Endpoint for ReadVerifierKey {
    fn parse(_: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self)
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&AuditKey { key: answered.door.verifier_key() }))
    }
}
