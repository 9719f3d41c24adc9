//! The audit log over HTTP: its newest records, whole exports as they are read, heads, and the public key.
//! Heads are read when the request's own record is stored, so an export holds its own beginning and stops there.
//!
//! Invariant: an export that does not come to its end is cut off, and is not taken for whole.

use std::net::IpAddr;

use coffer_api::{AuditHead, AuditHeads, AuditKey};

use super::answer::Body;
use super::endpoint::{Answered, Asked, Endpoint};
use super::reply::Reply;
use super::url::{Query, canonical_number, wrong};
use crate::door::{Head, LogQuery, LogReader, OutcomeFilter, RecordFilter, RequestId};
use crate::model::{Actions, Refusal, Timestamp, TokenId, Ttl};
use crate::operations::audit::{BundleLog, ExportLog, ReadHeads, ReadRecords, ReadVerifierKey};

/// One record a line.
const JSONL: &str = "application/jsonl";
const BUNDLE: &str = "text/plain; charset=utf-8";
/// The most records of one answer, oldest first and newest first, and how many unless it is said.
const RECORDS_MAX: u32 = 1_000;
const RECORDS_MAX_NEWEST_FIRST: u32 = 100_000;
const RECORDS_DEFAULT: u32 = 20;
const A_LIMIT: &str = "a number of records, 1 to 1000, or to 100000 with the newest first";
/// The longest text of one condition: all of them are recorded.
const CONDITION_BYTES_MAX: usize = 768;

impl Endpoint for ReadRecords {
    fn parse(asked: &mut Asked<'_>) -> Result<Self, Refusal> {
        let newest_first = match asked.query.take("order").as_deref() {
            None | Some("oldest") => false,
            Some("newest") => true,
            Some(_) => return Err(wrong("order", "newest or oldest")),
        };
        let most = if newest_first {
            RECORDS_MAX_NEWEST_FIRST
        } else {
            RECORDS_MAX
        };
        let limit = asked
            .query
            .take_as::<u32>("limit", A_LIMIT)?
            .unwrap_or(RECORDS_DEFAULT);
        if !(1..=most).contains(&limit) {
            return Err(wrong("limit", A_LIMIT));
        }
        Ok(Self {
            filter: filter(&mut asked.query, asked.door.now())?,
            limit,
            newest_first,
        })
    }

    async fn reply(
        (filter, limit, newest_first): Self::Reply,
        answered: &Answered<'_>,
    ) -> Result<Reply, Refusal> {
        let door = answered.door;
        let heads = door.heads().await?;
        if newest_first {
            let query = door.query(heads, filter, limit);
            return Ok(Reply::stream(JSONL, streamed(query, Vec::new())));
        }
        let lines = door.newest_records(heads, filter, limit).await?;
        let text: Vec<u8> = lines.into_iter().flat_map(ended).collect();
        Ok(Reply::stream(JSONL, Body::full(text.into())))
    }
}

fn ended(mut line: Vec<u8>) -> Vec<u8> {
    line.push(b'\n');
    line
}

/// The conditions among a route's parameters.
pub(super) fn filter(query: &mut Query, now: Timestamp) -> Result<RecordFilter, Refusal> {
    let when = |text: &str| when(text, now);
    Ok(RecordFilter {
        since: condition(query, "since", AN_INSTANT, when)?,
        until: condition(query, "until", AN_INSTANT, when)?,
        principal: condition(query, "principal", A_NAME, as_is)?,
        token: condition(query, "token", "the id of a token", |id| {
            id.parse::<TokenId>().ok().map(|id| id.to_string())
        })?,
        source: condition(query, "source", "an address", |address| {
            let ip = address.parse::<IpAddr>().ok()?;
            Some(ip.to_canonical().to_string()).filter(|text| text == address)
        })?,
        actions: condition(query, "action", "actions, joined by commas", actions)?,
        resource: condition(query, "resource", A_PATTERN, |text| {
            Some((text.to_owned(), text.parse().ok()?))
        })?,
        allowed: condition(query, "verdict", "allowed or refused", |word| match word {
            "allowed" => Some(true),
            "refused" => Some(false),
            _ => None,
        })?,
        outcome: condition(query, "outcome", "a status or a code", outcome)?,
        request: condition(query, "request", "the id of a request", |id| {
            id.parse::<RequestId>().ok().map(|id| id.to_string())
        })?,
    })
}

const AN_INSTANT: &str =
    "an instant of RFC 3339 in UTC, as in 2026-07-06T12:00:00Z, or how many seconds ago";
const A_NAME: &str = "the name of a principal";
const A_PATTERN: &str = "a resource as in a scope, as in payments/prod/**";

/// What a parameter asks for, if it is there.
fn condition<T>(
    query: &mut Query,
    key: &'static str,
    what: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    let Some(text) = query.take(key) else {
        return Ok(None);
    };
    let short = !text.is_empty() && text.len() <= CONDITION_BYTES_MAX;
    let read = short.then(|| read(&text)).flatten();
    read.map(Some).ok_or_else(|| wrong(key, what))
}

fn as_is(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// An instant, or how many seconds before now.
fn when(text: &str, now: Timestamp) -> Option<Timestamp> {
    let Some(seconds) = canonical_number(text).and_then(|text| text.parse().ok()) else {
        return text.parse().ok();
    };
    let micros = now.micros().saturating_sub(Ttl::seconds(seconds).micros());
    Some(Timestamp::from_micros(micros.max(0)))
}

fn actions(text: &str) -> Option<Actions> {
    let mut actions = Actions::default();
    for word in text.split(',') {
        let action = word.parse().ok()?;
        if actions.contains(action) {
            return None;
        }
        actions = actions.with(action);
    }
    Some(actions)
}

fn outcome(text: &str) -> Option<OutcomeFilter> {
    if let Some(number) = canonical_number(text) {
        let status = number.parse().ok();
        let status = status.filter(|status| (100..=999).contains(status))?;
        return Some(OutcomeFilter::Status(status));
    }
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_code = text.starts_with(|first: char| first.is_ascii_lowercase());
    (is_code && text.bytes().all(word)).then(|| OutcomeFilter::Code(text.to_owned()))
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

/// A look at the log that gives its lines bit by bit.
trait Chunks: Send + 'static {
    /// The next lines; `None` at the end.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Refusal>> + Send;
}

impl Chunks for LogReader {
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        Self::next_chunk(self).await
    }
}

impl Chunks for LogQuery {
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        Self::next_chunk(self).await
    }
}

/// A body that a task of its own fills, as fast as the client takes it.
fn streamed(mut reader: impl Chunks, begin: Vec<u8>) -> Body {
    let (pieces, body) = Body::pieces();
    tokio::spawn(async move {
        let mut chunk = begin;
        loop {
            let gone = if chunk.is_empty() {
                pieces.is_for_nobody()
            } else {
                pieces.send(chunk.into()).await.is_err()
            };
            if gone {
                return;
            }
            chunk = match reader.next_chunk().await {
                Ok(Some(next)) => next,
                // Whoever is gone by now does not see the end.
                Ok(None) => return pieces.end().await.unwrap_or_default(),
                Err(refusal) => {
                    tracing::warn!(code = refusal.code(), "a look at the log was cut off");
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
