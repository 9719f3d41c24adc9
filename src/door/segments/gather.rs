//! Records as they come, gathered for one segment: hashed, compressed, sealed.
//! The words on rows go in beside the lines, and the summary is made on the way.
//!
//! Invariant: a line is pushed onto the tree exactly as it is gathered.

use coffer_audit_log::{Frontier, Outcome as Told, Record, RecordError, Verdict, leaf_hash};

use super::content::{Content, Run};
use super::packer::Packer;
use super::salts::{self, Seed};
use super::summary::Summary;
use crate::crypto::{CryptoError, Keyring};
use crate::door::draft::Draft;
use crate::door::words;
use crate::entropy::Entropy;
use crate::model::{Changes, SegmentRow, StreamId, Timestamp};

/// Lines being gathered for one segment, and the tree as it will stand behind them.
pub(in crate::door) struct Gathering {
    stream: StreamId,
    stream_text: String,
    first: u64,
    seed: Seed,
    pub(in crate::door) tree: Frontier,
    pub(in crate::door) last: Timestamp,
    count: u32,
    content: Content,
    summary: Summary,
}

impl Gathering {
    /// A segment that begins where the tree ends.
    pub(in crate::door) fn new(
        stream: StreamId,
        tree: &Frontier,
        last: Timestamp,
        entropy: &dyn Entropy,
    ) -> Self {
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        Self {
            stream,
            stream_text: stream.to_string(),
            first: tree.size(),
            seed,
            tree: tree.clone(),
            last,
            count: 0,
            content: Content {
                lines: Vec::with_capacity(16 * 1024),
                ..Content::default()
            },
            summary: Summary::new(last),
        }
    }

    /// Adds a draft's record at the tree's end.
    ///
    /// # Errors
    /// The record is past its limits; nothing was added.
    pub(in crate::door) fn push(&mut self, draft: &Draft) -> Result<(), RecordError> {
        let record = &draft.record;
        let time = record.time.max(self.last);
        let source = record.source.map(|source| source.to_string());
        let id = record.id.to_string();
        let token = record.token.map(|token| token.to_string());
        let line = Record {
            id: (&*id).into(),
            time: time.micros(),
            salt: salts::salt(&self.seed, self.tree.size()),
            stream: (&*self.stream_text).into(),
            index: self.tree.size(),
            as_of: draft.relied.point.seq,
            principal: record.principal.as_deref().map(Into::into),
            token: token.as_deref().map(Into::into),
            source: source.as_deref().map(Into::into),
            user_agent: record.user_agent.as_deref().map(Into::into),
            action: record.action.into(),
            resource: (&*record.resource).into(),
            version: record.version,
            verdict: if record.allowed {
                Verdict::Allowed
            } else {
                Verdict::Refused
            },
            scope: record.scope.as_deref().map(Into::into),
            outcome: Told {
                code: record.code.into(),
                status: record.status,
            },
            request: Some((&*id).into()),
            metadata: record.metadata.as_ref().map(std::borrow::Cow::Borrowed),
            digest: record.digest,
        };
        let lines = &mut self.content.lines;
        let start = lines.len();
        line.write(lines)?;
        self.tree.push(leaf_hash(&lines[start..]));
        salts::take_out(lines, start);
        lines.push(b'\n');
        if self.count == 0 {
            self.summary.from = time;
        }
        self.summary.add(&line);
        self.last = time;
        self.add_words(&draft.changes);
        self.count += 1;
        Ok(())
    }

    /// Seals what was gathered, validated at the change `seq`.
    ///
    /// # Errors
    /// Only if sealing or compressing fails.
    pub(in crate::door) fn seal(
        mut self,
        keys: &Keyring,
        entropy: &dyn Entropy,
        seq: u64,
        packer: &mut Packer,
    ) -> Result<SegmentRow, CryptoError> {
        let (stream, first, count, seed) = (self.stream, self.first, self.count, self.seed);
        self.content.runs.push(Run { count, seq, seed });
        let packed = packer.pack(&self.content.encode()?)?;
        let summary = self.summary.encode()?;
        Ok(SegmentRow {
            stream,
            first,
            count,
            seq,
            summary: keys.seal_summary(entropy, stream, first, count, &summary)?,
            sealed: keys.seal_segment(entropy, stream, first, count, &packed)?,
        })
    }

    fn add_words(&mut self, changes: &Changes) {
        for (subject, id, digest) in words::of(changes) {
            self.content.add_word(self.count, subject, &id, &digest);
        }
    }
}
