//! The streams and their segments: each opens at its place, says in its summary what its records say, and all of them
//! together lead to the signed head. On the way the log's words on rows and on streams are gathered.
//!
//! Invariant: every segment is looked at, whichever stream it says it is of.

use std::collections::BTreeMap;

use coffer_audit_log::{Frontier, open_note};

use super::heads::ToldHeads;
use super::{Check, PAGE, is_full};
use crate::door::accounts::Accounts;
use crate::door::documents::{self, CLUSTER_ID, Within};
use crate::door::segments::{Opened, Piece};
use crate::door::start::StartError;
use crate::door::words::Spoken;
use crate::model::{Cluster, DocumentKind, SegmentRow, StreamEntry, StreamId, StreamRow};

/// Words by the change, the segment and the place in it that spoke them.
type OrderedWords = BTreeMap<(u64, StreamId, u64, usize), Spoken>;

/// What is gathered on the way through all segments.
struct Gathered {
    words: OrderedWords,
    accounts: Accounts,
    heads: ToldHeads,
    /// The changes that validated records, in no order.
    changes: Vec<u64>,
    /// Changes up to this one may have had records that were pruned.
    pruned: u64,
}

/// A stream on the way through its segments.
pub(super) struct Walk {
    pub(super) row: StreamRow,
    tree: Frontier,
    /// All of its segments so far have opened, one behind the other.
    pub(super) whole: bool,
    /// The change that validated the last record so far.
    change: u64,
}

impl Check<'_> {
    /// Every stream that the cluster's document lists is there, and its records lead to its signed head.
    /// `heads` are those that are told of outside of the store.
    pub(super) async fn streams(&mut self, heads: ToldHeads) -> Result<(), StartError> {
        let rows = self.reader.list_whole_streams().await?;
        match self.listed_streams().await? {
            Some(listed) => self.compare_lists(&listed, &rows),
            None => self.say("cluster: there is no document of it that opens".to_owned()),
        }
        let walk = |row: StreamRow| {
            let tree = Frontier::new();
            (
                row.id,
                Walk {
                    row,
                    tree,
                    whole: true,
                    change: 0,
                },
            )
        };
        let mut walks: BTreeMap<StreamId, Walk> = rows.into_iter().map(walk).collect();
        // Each change is one commit, of one stream: its words are in order of the change, whoever spoke them.
        let mut gathered = Gathered {
            words: OrderedWords::new(),
            accounts: Accounts::default(),
            heads,
            changes: Vec::new(),
            pruned: 0,
        };
        let mut whole = true;
        let mut after = None;
        loop {
            let segments = self.reader.list_whole_segments(after, PAGE).await?;
            let Some(last) = segments.last() else { break };
            after = Some((last.stream, last.first));
            let full = is_full(&segments);
            for segment in segments {
                let walk = walks.get_mut(&segment.stream);
                whole &= walk.is_some();
                self.segment(walk, &segment, &mut gathered);
            }
            if !full {
                break;
            }
        }
        self.changes(&walks, &gathered.words);
        for walk in walks.values() {
            self.pruned(walk, &gathered.accounts);
            whole &= self.head(walk);
        }
        self.told_heads(gathered.heads, &walks).await?;
        if whole {
            self.recorded(gathered.changes, gathered.pruned);
        }
        let last_words = gathered.words.into_values();
        self.words = last_words
            .map(|(subject, id, digest)| ((subject, id), digest))
            .collect();
        Ok(())
    }

    async fn listed_streams(&mut self) -> Result<Option<Vec<StreamEntry>>, StartError> {
        let documents = self
            .reader
            .list_whole_documents(DocumentKind::Cluster, &[], PAGE)
            .await?;
        let row = documents.into_iter().find(|row| row.id == CLUSTER_ID);
        let opened =
            row.map(|row| documents::open::<Cluster>(self.keys, &row, Within::default(), ""));
        Ok(opened.and_then(Result::ok).map(|cluster| cluster.streams))
    }

    fn compare_lists(&mut self, listed: &[StreamEntry], rows: &[StreamRow]) {
        for entry in listed {
            if !rows.iter().any(|row| row.id == entry.id) {
                self.say(format!(
                    "stream {} of the node {}: it is gone",
                    entry.id, entry.node
                ));
            }
        }
        for row in rows {
            if !listed.iter().any(|entry| entry.id == row.id) {
                self.say(format!(
                    "stream {}: the cluster's document does not list it",
                    row.id
                ));
            }
        }
    }

    /// One segment, at its place in its stream or out of it.
    fn segment(&mut self, walk: Option<&mut Walk>, row: &SegmentRow, gathered: &mut Gathered) {
        let (first, stream) = (row.first, row.stream);
        let Some(walk) = walk else {
            let line = format!("segment {first} of stream {stream}: there is no such stream");
            return self.say(line);
        };
        let at = walk.tree.size();
        if walk.whole && first != at {
            walk.whole = false;
            self.say(if first > at {
                format!("segment {at} of stream {stream}: it is gone")
            } else {
                format!("segment {first} of stream {stream}: another one holds its records")
            });
        }
        if first.saturating_add(row.count.into()) > walk.row.size {
            self.say(format!(
                "segment {first} of stream {stream}: it lies beyond the stream's end"
            ));
        }
        let Ok(opened) = Opened::open(self.keys, row) else {
            walk.whole = false;
            return self.say(format!(
                "segment {first} of stream {stream}: it does not open there"
            ));
        };
        let (was_whole, mut has_gaps) = (walk.whole, false);
        for piece in opened.pieces() {
            has_gaps |= matches!(piece, Piece::Gap(_));
            gathered.accounts.take(stream, &piece);
            gathered.heads.take(stream, &piece);
            walk.whole = walk.whole && piece.grow(&mut walk.tree);
        }
        if was_whole && !walk.whole {
            self.say(format!(
                "segment {first} of stream {stream}: its records do not lie one behind the other"
            ));
        }
        if !opened.has_summary(self.keys, row) {
            self.say(format!(
                "segment {first} of stream {stream}: its summary is not of its records"
            ));
        }
        if { opened.changes() }.any(|seq| seq < std::mem::replace(&mut walk.change, seq)) {
            self.say(format!(
                "segment {first} of stream {stream}: an earlier change validated it than what lies before"
            ));
        }
        gathered.changes.extend(opened.changes());
        gathered.changes.dedup();
        if has_gaps {
            gathered.pruned = gathered.pruned.max(walk.change);
        }
        for (at, word) in opened.words().enumerate() {
            let Some(word) = word else { continue };
            gathered.words.insert(
                (word.seq, stream, first, at),
                (word.subject, word.id, word.digest),
            );
        }
    }

    /// Nothing is missing of a stream but what the log says that it pruned.
    fn pruned(&mut self, walk: &Walk, accounts: &Accounts) {
        let id = walk.row.id;
        if let Some(index) = accounts.first_unsaid(id, walk.row.size) {
            self.say(format!(
                "stream {id}: the record {index} was pruned, and no record says that it was to be"
            ));
        }
    }

    /// No change has the number of another, and the world stands at the last one or after it: else an older row could
    /// be the one that the log seems to have recorded last.
    fn changes(&mut self, walks: &BTreeMap<StreamId, Walk>, words: &OrderedWords) {
        let newest = walks.values().map(|walk| walk.change).max().unwrap_or(0);
        if let Some(seq) = self.world_seq.filter(|seq| *seq < newest) {
            self.say(format!(
                "world: it stands at change {seq}, and the log tells of change {newest}"
            ));
        }
        let mut before = None;
        for (seq, stream, ..) in words.keys() {
            if before.is_some_and(|(same, other)| same == seq && other != stream) {
                self.say(format!(
                    "stream {stream}: change {seq} is another stream's as well"
                ));
            }
            before = Some((seq, stream));
        }
    }

    /// Each change has a record, which is of the same commit, and the world stands at the last one: else it tells of
    /// changes that were never made here. That of a stream whose records are not all there, nobody can say.
    fn recorded(&mut self, mut changes: Vec<u64>, pruned: u64) {
        changes.sort_unstable();
        changes.dedup();
        let newest = changes.last().copied().unwrap_or(0);
        if let Some(seq) = self.world_seq.filter(|seq| *seq > newest) {
            self.say(format!(
                "world: it stands at change {seq}, and no record is of one after {newest}"
            ));
        }
        let unsaid = changes.windows(2).find_map(|pair| {
            let next = pair[0].max(pruned) + 1;
            (next < pair[1]).then_some(next)
        });
        if let Some(seq) = unsaid {
            self.say(format!("change {seq}: no record tells of it"));
        }
    }

    /// Whether a stream is whole, and its records lead to its signed head.
    fn head(&mut self, walk: &Walk) -> bool {
        let Walk {
            row, tree, whole, ..
        } = walk;
        let head = open_note(&row.head, &self.verifier);
        let under_head = head.is_ok_and(|head| {
            (head.size, head.root) == (tree.size(), tree.root())
                && head.origin.stream.as_str() == row.id.to_string()
        });
        let stands = row.size == tree.size() && row.frontier == tree.to_bytes();
        // A segment that is missing has been named already.
        if *whole && !(under_head && stands) {
            self.say(format!(
                "stream {}: its records do not lead to its signed head",
                row.id
            ));
        }
        *whole && under_head && stands
    }
}
