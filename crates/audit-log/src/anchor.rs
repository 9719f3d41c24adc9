//! Anchors: records in which one stream writes down the heads of all streams, so that none can vanish or shrink.
//! Every stream begins with one, its claim, and adds one each minute.
//!
//! Invariant: an anchor's metadata maps stream ids to `SIZE ROOT` and holds nothing else.

use std::collections::BTreeMap;

use crate::canonical::decimal;
use crate::name::StreamId;
use crate::record::{Record, Verdict};
use crate::tree::Hash;

/// The action of an anchor record.
pub const ANCHOR_ACTION: &str = "audit";
/// The resource of an anchor record.
pub const ANCHOR_RESOURCE: &str = "sys/streams";
/// The principal of an anchor record.
pub const ANCHOR_PRINCIPAL: &str = "system/streams";

/// One head that an anchor record writes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The stream whose head it is.
    pub stream: StreamId,
    /// How many records it had.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// The metadata of an anchor record: each stream's id to `"SIZE ROOT"`.
pub fn anchor_metadata<'a>(
    heads: impl IntoIterator<Item = (&'a StreamId, u64, Hash)>,
) -> BTreeMap<String, String> {
    heads
        .into_iter()
        .map(|(stream, size, root)| (stream.to_string(), format!("{size} {root}")))
        .collect()
}

/// The heads that a record anchors: `None` when it is no anchor, an error when it is one that cannot be read.
///
/// # Errors
/// [`MalformedAnchor`] when an anchor is refused, or an entry is no stream id or no `SIZE ROOT`.
pub fn anchors(record: &Record<'_>) -> Result<Option<Vec<Anchor>>, MalformedAnchor> {
    let is_anchor = record.resource == ANCHOR_RESOURCE
        && record.action == ANCHOR_ACTION
        && record.principal.as_deref() == Some(ANCHOR_PRINCIPAL);
    if !is_anchor {
        return Ok(None);
    }
    if record.verdict != Verdict::Allowed {
        return Err(MalformedAnchor);
    }
    let entries = record.metadata.iter().flat_map(|metadata| metadata.iter());
    entries
        .map(|(stream, head)| entry(stream, head).ok_or(MalformedAnchor))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// An anchor record that says something else than heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the anchor record does not map stream ids to heads")]
pub struct MalformedAnchor;

fn entry(stream: &str, head: &str) -> Option<Anchor> {
    let (size, root) = head.split_once(' ')?;
    Some(Anchor {
        stream: stream.parse().ok()?,
        size: decimal(size)?,
        root: root.parse().ok()?,
    })
}
