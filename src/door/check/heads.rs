//! Heads that a stream once had, as anchors and this node's own memory tell: no stream may have less, or something else.
//! What changes nothing, a read or a refusal, is missed by nobody else where the end of a stream was cut off.
//!
//! Invariant: every head that is told of is asked for, but one within what was pruned, which has no root any more.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use coffer_audit_log::anchor::{ANCHOR_RESOURCE, anchors};
use coffer_audit_log::{Frontier, Hash, Record, VerifierKey, open_note};
use memchr::memmem::Finder;

use super::streams::Walk;
use super::{Check, PAGE, is_full};
use crate::door::segments::{Opened, Piece};
use crate::door::start::StartError;
use crate::door::state_dir::StateDir;
use crate::model::{SegmentRow, StreamId};

/// Who tells of a head.
#[derive(Clone, Copy)]
enum Witness {
    /// An anchor in this stream.
    Stream(StreamId),
    /// The state directory.
    Node,
}

impl fmt::Display for Witness {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(id) => write!(out, "stream {id}"),
            Self::Node => out.write_str("the state directory"),
        }
    }
}

/// Heads of one stream, by size and root.
type Heads = BTreeMap<(u64, [u8; 32]), Witness>;

/// See the module.
pub(super) struct ToldHeads {
    by_stream: BTreeMap<String, Heads>,
    resource: Finder<'static>,
}

/// A stream that is gone through once more, and what it is still asked for.
struct Asked {
    tree: Frontier,
    heads: Heads,
}

impl ToldHeads {
    /// What the node with this state directory has kept of its own stream, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is of another cluster.
    pub(super) fn kept(state: Option<&Path>, verifier: &VerifierKey) -> Result<Self, StartError> {
        let mut told = Self {
            by_stream: BTreeMap::new(),
            resource: Finder::new(ANCHOR_RESOURCE),
        };
        let unread = |why: String| {
            StartError(format!(
                "The head that this node keeps in its state directory cannot be compared ({why}); name the node's own state directory."
            ))
        };
        let kept = state.map(StateDir::head_in).transpose();
        if let Some(kept) = kept.map_err(|error| unread(error.to_string()))?.flatten() {
            let head =
                open_note(&kept.head, verifier).map_err(|error| unread(error.to_string()))?;
            // What had not waited for the disk may be lost in a power cut.
            let (size, root) = match kept.synced {
                Some(synced) => (synced.size, synced.root),
                None => (head.size, head.root),
            };
            told.add(head.origin.stream.as_str(), (size, root), Witness::Node);
        }
        Ok(told)
    }

    fn add(&mut self, stream: &str, (size, root): (u64, Hash), by: Witness) {
        let of = self.by_stream.entry(stream.to_owned()).or_default();
        of.entry((size, root.0)).or_insert(by);
    }

    /// Takes the next piece of a stream.
    pub(super) fn take(&mut self, stream: StreamId, piece: &Piece<'_>) {
        let Piece::Line(_, line) = piece else { return };
        if self.resource.find(line).is_none() {
            return;
        }
        let record = Record::parse(line).ok();
        let anchored = record.and_then(|record| anchors(&record).ok()).flatten();
        for head in anchored.unwrap_or_default() {
            let at = (head.size, head.root);
            self.add(head.stream.as_str(), at, Witness::Stream(stream));
        }
    }
}

impl Check<'_> {
    /// Every stream has what was told of it. `walks` are those that are there, gone through to their ends.
    pub(super) async fn told_heads(
        &mut self,
        told: ToldHeads,
        walks: &BTreeMap<StreamId, Walk>,
    ) -> Result<(), StartError> {
        let mut asked = BTreeMap::new();
        for (stream, mut heads) in told.by_stream {
            let Some((_, walk)) = walks.iter().find(|(id, _)| id.to_string() == stream) else {
                self.gone(&stream, &heads);
                continue;
            };
            let size = walk.row.size;
            let beyond = heads.split_off(&(size + 1, [0; 32]));
            if let Some(((more, _), by)) = beyond.last_key_value() {
                self.say(format!(
                    "stream {stream}: it has {size} records, and {by} tells of {more}"
                ));
            }
            if walk.whole {
                let tree = Frontier::new();
                asked.insert(walk.row.id, Asked { tree, heads });
            }
        }
        let mut after = None;
        while asked.values().any(|asked| !asked.heads.is_empty()) {
            let segments = self.reader.list_whole_segments(after, PAGE).await?;
            let Some(last) = segments.last() else { break };
            after = Some((last.stream, last.first));
            for segment in &segments {
                if let Some(asked) = asked.get_mut(&segment.stream) {
                    self.ask(asked, segment);
                }
            }
            if !is_full(&segments) {
                break;
            }
        }
        Ok(())
    }

    /// That a stream is gone which the cluster's document lists was said already.
    fn gone(&mut self, stream: &str, heads: &Heads) {
        let begin = format!("stream {stream} ");
        if self.lines.iter().any(|line| line.starts_with(&begin)) {
            return;
        }
        if let Some(by) = heads.values().next() {
            self.say(format!("stream {stream}: it is gone, and {by} tells of it"));
        }
    }

    /// Compares the heads that this segment reaches; of a stream that is another, the first.
    fn ask(&mut self, asked: &mut Asked, segment: &SegmentRow) {
        if asked.heads.is_empty() {
            return;
        }
        // It has opened before, and its pieces lie one behind the other: this is the same snapshot.
        let Ok(opened) = Opened::open(self.keys, segment) else {
            return asked.heads.clear();
        };
        for piece in opened.pieces() {
            if !piece.grow(&mut asked.tree) {
                return asked.heads.clear();
            }
            while let Some(head) = asked.heads.first_entry()
                && head.key().0 <= asked.tree.size()
            {
                let ((size, root), by) = head.remove_entry();
                if size == asked.tree.size() && root != asked.tree.root().0 {
                    self.say(format!(
                        "stream {}: with {size} records it was another, as {by} tells",
                        segment.stream
                    ));
                    return asked.heads.clear();
                }
            }
        }
    }
}
