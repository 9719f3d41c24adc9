//! The log read back: every answer that a client counted must be a record, and no record may tell of more.
//! Records come over the API as an auditor gets them; how they lie in segments, the database says once the server is gone.
//!
//! Invariant: records are counted one by one, from what the server exports, and never taken from a head's size.

use std::collections::BTreeMap;
use std::path::Path;

use http_body_util::BodyExt;
use hyper::body::{Buf, Bytes};
use hyper::{Method, Uri};
use serde::Deserialize;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, PgConnection};

use crate::client::{Connection, request};
use crate::failure::{Context, Failure, Result};
use crate::node::Node;
use crate::tls::Client;
use crate::world::PROJECT;

/// Requests answered, or records that tell of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Secrets read.
    pub reads: u64,
    /// Versions written.
    pub writes: u64,
    /// Tokens made.
    pub tokens: u64,
    /// Projects and environments made.
    pub places: u64,
    /// Steps of imports and refreshes.
    pub connects: u64,
}

/// What is looked at in a record. Text may hold escapes, so it may have to be owned.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    action: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    resource: std::borrow::Cow<'a, str>,
}

impl Count {
    /// Exports the whole log, and counts in it what the bench asked for.
    pub async fn of_log(node: &Node, client: &Client) -> Result<Self> {
        let mut connection = Connection::open(client, node.address).await?;
        let path = Uri::from_static("/api/v1/audit/export?format=jsonl");
        let asked = request(Method::GET, &path, &node.root, Bytes::new());
        let mut response = connection.answer(asked).await?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(Failure(format!("the export was answered {status}")));
        }
        let (mut count, mut rest) = (Self::default(), Vec::new());
        while let Some(frame) = response.frame().await {
            let frame = frame.context("the export broke off")?;
            let Some(mut bytes) = frame.data_ref().cloned() else {
                continue;
            };
            while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                rest.extend_from_slice(&bytes[..end]);
                bytes.advance(end + 1);
                count.add(&rest)?;
                rest.clear();
            }
            rest.extend_from_slice(&bytes);
        }
        rest.is_empty()
            .then_some(count)
            .context("the export ends inside a line")
    }

    /// How many are in one and not in the other.
    pub fn differences(&self, other: Self) -> u64 {
        self.reads.abs_diff(other.reads)
            + self.writes.abs_diff(other.writes)
            + self.tokens.abs_diff(other.tokens)
            + self.places.abs_diff(other.places)
            + self.connects.abs_diff(other.connects)
    }

    fn add(&mut self, line: &[u8]) -> Result<()> {
        let record: Record<'_> = serde_json::from_slice(line).context("a record of the export")?;
        let place = record
            .resource
            .strip_prefix(PROJECT)
            .and_then(|rest| rest.is_empty().then_some(rest).or(rest.strip_prefix('/')));
        match (&*record.action, place) {
            ("read", Some(_)) => self.reads += 1,
            ("write", Some(_)) => self.writes += 1,
            ("connect", Some(_)) => self.connects += 1,
            ("manage", Some(_)) => self.places += 1,
            ("manage", None) if record.resource.starts_with("sys/tokens") => self.tokens += 1,
            _ => {}
        }
        Ok(())
    }
}

/// How records lie in the database.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    /// Records in them.
    pub records: u64,
    /// Their bytes as stored, without the row's own.
    pub bytes: u64,
}

/// Those of more than a thousand records, or the others: no batch has so many.
const SEGMENTS_BY_SIZE: &str = "
    SELECT CAST(COALESCE(sum(count), 0) AS BIGINT),
        CAST(COALESCE(sum(length(sealed) + length(summary)), 0) AS BIGINT)
    FROM segment WHERE (count > 1000) = ($1 = 1)";

impl Segments {
    /// Of a SQLite file in use: merged ones, or those of batches.
    pub async fn of_size_sqlite(file: &Path, merged: bool) -> Result<Self> {
        let connect = SqliteConnectOptions::new().filename(file).read_only(true);
        let mut connection = connect.connect().await.context("the SQLite file")?;
        let counted = sqlx::query_as(SEGMENTS_BY_SIZE).bind(i64::from(merged));
        let counted = counted.fetch_one(&mut connection).await;
        counted.map(Self::new).context("the segments")
    }

    /// Of a PostgreSQL in use: merged ones, or those of batches.
    pub async fn of_size_postgres(url: &str, merged: bool) -> Result<Self> {
        let mut connection = PgConnection::connect(url).await.context("PostgreSQL")?;
        let counted = sqlx::query_as(SEGMENTS_BY_SIZE).bind(i64::from(merged));
        let counted = counted.fetch_one(&mut connection).await;
        counted.map(Self::new).context("the segments")
    }

    fn new((records, bytes): (i64, i64)) -> Self {
        Self {
            records: records.unsigned_abs(),
            bytes: bytes.unsigned_abs(),
        }
    }

    /// Bytes a record, on average.
    pub fn bytes_per_record(&self) -> f64 {
        self.bytes as f64 / self.records.max(1) as f64
    }
}

/// What a SQLite file that no server uses any more says of its journal.
pub async fn settings_of_sqlite(file: &Path) -> Result<String> {
    let connect = SqliteConnectOptions::new().filename(file);
    let mut connection = connect.connect().await.context("the SQLite file")?;
    let (version, journal): (String, String) =
        sqlx::query_as("SELECT sqlite_version(), journal_mode FROM pragma_journal_mode")
            .fetch_one(&mut connection)
            .await
            .context("SQLite's settings")?;
    Ok(format!("SQLite {version}: journal_mode = {journal}"))
}

/// Both counts, side by side, and whether they are one.
pub fn compare(answers: Count, records: Count) -> String {
    let pairs = BTreeMap::from([
        ("reads", (answers.reads, records.reads)),
        ("writes", (answers.writes, records.writes)),
        ("tokens", (answers.tokens, records.tokens)),
        ("places", (answers.places, records.places)),
        (
            "steps of imports and refreshes",
            (answers.connects, records.connects),
        ),
    ]);
    let told: Vec<String> = pairs
        .iter()
        .filter(|(_, (answers, records))| answers + records > 0)
        .map(|(what, (answers, records))| match answers == records {
            true => format!("{answers} {what}"),
            false => format!("{what}: {answers} answers but {records} records"),
        })
        .collect();
    let same = if answers == records {
        "records == answers"
    } else {
        "RECORDS != ANSWERS"
    };
    format!("{same}: {}", told.join(", "))
}
