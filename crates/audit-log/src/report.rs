//! What a verified bundle proves, as the auditor is told it.
//! Nothing here comes from unsigned text.
//!
//! Invariant: only the verifier makes a report, and only of a bundle in which it found no damage.

use serde::{Serialize, Serializer};

use crate::instant::instant_text;
use crate::name::{ClusterId, StreamId};
use crate::tree::Hash;

/// What a bundle proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The cluster whose log it is.
    #[serde(serialize_with = "text")]
    pub cluster: ClusterId,
    /// Its streams, sorted by id.
    pub streams: Vec<StreamReport>,
    /// How many records there are in all.
    #[serde(serialize_with = "text")]
    pub records: u64,
    /// How many heads of streams were found written down in records, and demanded.
    #[serde(serialize_with = "text")]
    pub anchors: u64,
}

/// What a bundle proves of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// The stream.
    #[serde(serialize_with = "text")]
    pub stream: StreamId,
    /// How many records it has.
    #[serde(serialize_with = "text")]
    pub size: u64,
    /// How many of them were pruned: their hashes stand in their place, and a record of the log says so.
    #[serde(serialize_with = "text")]
    pub pruned: u64,
    /// The root over them, as signed.
    #[serde(serialize_with = "text")]
    pub root: Hash,
    /// The time of the first record that is there, microseconds since 1970; `None` in a stream without records.
    #[serde(serialize_with = "time")]
    pub first: Option<i64>,
    /// The last record's time.
    #[serde(serialize_with = "time")]
    pub last: Option<i64>,
}

fn text<S: Serializer>(value: &impl std::fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn time<S: Serializer>(time: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
    let text = time.and_then(instant_text);
    text.as_ref()
        .and_then(|text| std::str::from_utf8(text).ok())
        .serialize(to)
}
