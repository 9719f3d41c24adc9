//! What is missing of the streams because it was pruned, and what their records say of that.
//! A record that says so comes later than the records that it speaks of, often in another stream.
//!
//! Invariant: nothing is accounted for but by a record that was taken.

use std::collections::BTreeMap;

use coffer_audit_log::pruning::PRUNING_RESOURCE;
use coffer_audit_log::{Missing, Pruning, Record, prunings};
use memchr::memmem::Finder;

use super::segments::Piece;
use crate::model::StreamId;

/// See the module.
pub(super) struct Accounts {
    missing: BTreeMap<StreamId, Missing>,
    said: BTreeMap<String, Vec<Pruning>>,
    resource: Finder<'static>,
}

impl Default for Accounts {
    /// Of nothing yet.
    fn default() -> Self {
        Self {
            missing: BTreeMap::new(),
            said: BTreeMap::new(),
            resource: Finder::new(PRUNING_RESOURCE),
        }
    }
}

impl Accounts {
    /// Takes the next piece of a stream.
    pub(super) fn take(&mut self, stream: StreamId, piece: &Piece<'_>) {
        match piece {
            Piece::Gap(gap) => self.missing.entry(stream).or_default().add(gap),
            Piece::Line(_, line) if self.resource.find(line).is_some() => self.listen(line),
            Piece::Line(..) => {}
        }
    }

    fn listen(&mut self, line: &[u8]) {
        let record = Record::parse(line).ok();
        let said = record.and_then(|record| prunings(&record).ok());
        for pruning in said.flatten().unwrap_or_default() {
            let of = self.said.entry(pruning.stream.to_string());
            of.or_default().push(pruning);
        }
    }

    /// The first record of a stream of this size that is missing, and of which no record says that it was to be.
    pub(super) fn first_unsaid(&self, stream: StreamId, size: u64) -> Option<u64> {
        let missing = self.missing.get(&stream)?;
        let said = self.said.get(&stream.to_string());
        missing.first_unallowed(said.map_or(&[][..], Vec::as_slice), size)
    }
}
