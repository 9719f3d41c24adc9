//! Heads that a stream once had, as anchors and this node's own memory tell: no stream may have less, or something else.
//! What changes nothing, a read or a refusal, is missed by nobody else where the end of a stream was cut off.
//!
//! Invariant: of each who tells the newest head is asked for, which has all before it in its root; but for one within what
//! was pruned, which has no root any more.

use std::collections::{BTreeMap, HashMap, VecDeque};
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// The newest head of one stream that each tells of: its size and its root.
type Heads = BTreeMap<Witness, (u64, Hash)>;

/// See the module.
pub(super) struct ToldHeads {
    by_stream: BTreeMap<String, Heads>,
    resource: Finder<'static>,
}

/// A stream that is gone through once more, and what it is still asked for.
struct Asked {
    tree: Frontier,
    /// By size.
    heads: VecDeque<(u64, Hash, Witness)>,
}

impl ToldHeads {
    /// Of nobody yet.
    pub(super) fn none() -> Self {
        Self {
            by_stream: BTreeMap::new(),
            resource: Finder::new(ANCHOR_RESOURCE),
        }
    }

    /// What the node with this state directory has kept of its own stream, if there is one.
    ///
    /// # Errors
    /// A line: it cannot be read, or is of another cluster.
    pub(super) fn add_kept(&mut self, state: &Path, verifier: &VerifierKey) -> Result<(), String> {
        let kept = StateDir::head_in(state).map_err(|error| {
            format!("state directory: the head in it cannot be read ({error}), so nothing was compared with it")
        })?;
        let Some(kept) = kept else { return Ok(()) };
        let head = open_note(&kept.head, verifier).map_err(|_| {
            "state directory: the head in it is none of this cluster, so nothing was compared with it".to_owned()
        })?;
        // What had not waited for the disk may be lost in a power cut.
        let (size, root) = match kept.synced {
            Some(synced) => (synced.size, synced.root),
            None => (head.size, head.root),
        };
        self.add(head.origin.stream.as_str(), (size, root), Witness::Node);
        Ok(())
    }

    fn add(&mut self, stream: &str, head: (u64, Hash), by: Witness) {
        if !self.by_stream.contains_key(stream) {
            self.by_stream.insert(stream.to_owned(), Heads::new());
        }
        if let Some(heads) = self.by_stream.get_mut(stream) {
            let newest = heads.entry(by).or_insert(head);
            if head.0 > newest.0 {
                *newest = head;
            }
        }
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
        let ids: HashMap<String, &Walk> = walks
            .iter()
            .map(|(id, walk)| (id.to_string(), walk))
            .collect();
        let mut asked = BTreeMap::new();
        for (stream, heads) in told.by_stream {
            let Some(walk) = ids.get(&stream) else {
                self.gone(&stream, &heads);
                continue;
            };
            let mut heads: Vec<_> = heads
                .into_iter()
                .map(|(by, (size, root))| (size, root, by))
                .collect();
            heads.sort_unstable_by_key(|(size, ..)| *size);
            let size = walk.row.size;
            let within = heads.partition_point(|(told, ..)| *told <= size);
            if let Some((more, _, by)) = heads[within..].last() {
                self.say(format!(
                    "stream {stream}: it has {size} records, and {by} tells of {more}"
                ));
            }
            if walk.whole {
                heads.truncate(within);
                let (tree, heads) = (Frontier::new(), heads.into());
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
        if let Some(by) = heads.keys().next() {
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
            while let Some((size, root, by)) = asked
                .heads
                .pop_front_if(|(size, ..)| *size <= asked.tree.size())
            {
                if size == asked.tree.size() && root != asked.tree.root() {
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
