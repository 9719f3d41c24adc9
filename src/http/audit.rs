//! The audit log over HTTP: its newest records, whole exports as they are read, heads, and the public key.
//! Heads are read when the request's own record is durable, so an export holds its own beginning and stops there.
//!
//! Invariant: an export that does not come to its end is cut off, and is not taken for whole.

use coffer_api::{AuditHead, AuditHeads, AuditKey};

use super::endpoint::{Answered, Asked, Endpoint};
use super::reply::{Body, Reply};
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

impl Endpoint for ReadRecords {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let limit = asked
            .query
            .take_as::<u32>("limit", A_LIMIT)?
            .unwrap_or(RECORDS_DEFAULT);
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
fn streamed(mut reader: LogReader, begin: Vec<u8>) -> Body {
    let (pieces, body) = Body::pieces();
    tokio::spawn(async move {
        let mut chunk = begin;
        loop {
            if !chunk.is_empty() && pieces.send(chunk.into()).await.is_err() {
                return;
            }
            chunk = match reader.next_chunk().await {
                Ok(Some(next)) => next,
                // Whoever is gone by now does not see the end.
                Ok(None) => return pieces.end().await.unwrap_or_default(),
                Err(refusal) => {
                    tracing::warn!(code = refusal.code(), "an export was cut off");
                    return;
                }
            };
        }
    });
    body
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
            root: head.checkpoint.root.to_string(),
            note: head.note,
        };
        Ok(answered.json(&AuditHeads {
            heads: heads.into_iter().map(shown).collect(),
        }))
    }
}

impl Endpoint for ReadVerifierKey {
    fn parse(_: &mut Asked<'_>) -> Result<Self, Refusal> {
        Ok(Self)
    }

    async fn reply((): (), answered: &Answered<'_>) -> Result<Reply, Refusal> {
        Ok(answered.json(&AuditKey {
            key: answered.door.verifier_key(),
        }))
    }
}
