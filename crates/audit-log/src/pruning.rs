//! Prunings: records in which the log writes down what its retention leaves of a range of a stream.
//! They are the only leave to leave anything out: a gap that none of them covers is damage.
//!
//! Invariant: a pruning's metadata maps stream ids to `FIRST END KEPT` and holds nothing else.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::canonical::decimal;
use crate::gap::Gap;
use crate::name::StreamId;
use crate::record::{Record, Verdict};
use crate::tree::Hash;

/// The action of a pruning.
pub const PRUNING_ACTION: &str = "audit";
/// The resource of a pruning.
pub const PRUNING_RESOURCE: &str = "sys/retention";
/// The principal of a pruning.
pub const PRUNING_PRINCIPAL: &str = "system/retention";

/// What is left of the records of a stream from `first` to before `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// The stream.
    pub stream: StreamId,
    /// The first index of the range.
    pub first: u64,
    /// The index behind its last record.
    pub end: u64,
    /// [`kept_hash`] of the indexes of the records that are left.
    pub kept: Hash,
}

impl Pruning {
    /// The metadata of the record that says so.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let text = format!("{} {} {}", self.first, self.end, self.kept);
        [(self.stream.to_string(), text)].into()
    }
}

/// SHA-256 over the indexes of the records that are kept, each as u64 big-endian, in their order.
#[must_use]
pub fn kept_hash(indexes: impl IntoIterator<Item = u64>) -> Hash {
    let mut hash = Sha256::new();
    for index in indexes {
        hash.update(index.to_be_bytes());
    }
    Hash(hash.finalize().into())
}

/// The prunings that a record writes down: `None` when it is none, an error when it is one that cannot be read.
///
/// # Errors
/// [`MalformedPruning`] when it is refused, or an entry is no stream id or no `FIRST END KEPT`.
pub fn prunings(record: &Record<'_>) -> Result<Option<Vec<Pruning>>, MalformedPruning> {
    if !is_pruning(record) {
        return Ok(None);
    }
    if record.verdict != Verdict::Allowed {
        return Err(MalformedPruning);
    }
    let entries = record.metadata.iter().flat_map(|metadata| metadata.iter());
    entries
        .map(|(stream, range)| entry(stream, range).ok_or(MalformedPruning))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Whether a record is a pruning, which is never pruned itself.
#[must_use]
pub fn is_pruning(record: &Record<'_>) -> bool {
    record.resource == PRUNING_RESOURCE
        && record.action == PRUNING_ACTION
        && record.principal.as_deref() == Some(PRUNING_PRINCIPAL)
}

/// A pruning that says something else than ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record of a pruning does not map stream ids to ranges")]
pub struct MalformedPruning;

fn entry(stream: &str, range: &str) -> Option<Pruning> {
    let mut parts = range.split(' ');
    let pruning = Pruning {
        stream: stream.parse().ok()?,
        first: decimal(parts.next()?)?,
        end: decimal(parts.next()?)?,
        kept: parts.next()?.parse().ok()?,
    };
    (parts.next().is_none() && pruning.first < pruning.end).then_some(pruning)
}

/// What is missing of one stream, as ranges of indexes that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing(Vec<(u64, u64)>);

impl Missing {
    /// Adds the next gap.
    pub fn add(&mut self, gap: &Gap) {
        match self.0.last_mut() {
            Some((_, end)) if *end == gap.first => *end = gap.end(),
            _ => self.0.push((gap.first, gap.end())),
        }
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many records are missing.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, end)| end - first).sum()
    }

    /// The first index that is missing and that none of these prunings of the stream allows to be: a range has to be
    /// left exactly as one of them says. `size` is the stream's.
    #[must_use]
    pub fn first_unallowed(&self, prunings: &[Pruning], size: u64) -> Option<u64> {
        let mut left: Vec<(u64, u64)> = prunings
            .iter()
            .filter(|pruning| pruning.end <= size && self.is_as(pruning))
            .map(|pruning| (pruning.first, pruning.end))
            .collect();
        left.sort_unstable();
        let mut allowed = left.into_iter().peekable();
        for (first, end) in &self.0 {
            let mut at = *first;
            while at < *end {
                match allowed.peek() {
                    Some((_, until)) if *until <= at => drop(allowed.next()),
                    Some((from, until)) if *from <= at => at = *until,
                    _ => return Some(at),
                }
            }
        }
        None
    }

    /// Whether something is missing of a pruning's range, and exactly what it says is left.
    fn is_as(&self, pruning: &Pruning) -> bool {
        let begin = self.0.partition_point(|(_, end)| *end <= pruning.first);
        let gaps = &self.0[begin..];
        let count = gaps.partition_point(|(first, _)| *first < pruning.end);
        let (mut at, mut kept) = (pruning.first, Sha256::new());
        for (first, end) in &gaps[..count] {
            (at..*first).for_each(|index| kept.update(index.to_be_bytes()));
            at = *end;
        }
        if count > 0 {
            (at..pruning.end).for_each(|index| kept.update(index.to_be_bytes()));
        }
        count > 0 && Hash(kept.finalize().into()) == pruning.kept
    }
}
