//! The next state of a stream, as a value: tree, head, segment and the change that it carries.
//! It replaces the present one only when its commit is known to have happened.
//!
//! Invariant: building it changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use coffer_audit_log::{Checkpoint, Frontier, signed_note};

use super::Ledger;
use super::unsynced::{Place, Unsynced};
use crate::config::Durability;
use crate::crypto::CryptoError;
use crate::door::cache::Entry;
use crate::door::draft::Draft;
use crate::door::facts::Fact;
use crate::door::segments::Gathering;
use crate::door::shared::Shared;
use crate::model::{Ref, SegmentRow, Timestamp};
use crate::store::{Batch, NewHead, Stamp};

/// See the module.
pub(in crate::door) struct Next {
    pub(super) before: u64,
    pub(super) tree: Frontier,
    pub(super) place: Place,
    pub(super) frontier: Vec<u8>,
    pub(in crate::door) head: String,
    pub(super) last: Timestamp,
    pub(in crate::door) segment: SegmentRow,
    /// What the batch changed, with its place in the change sequence.
    pub(super) change: Option<(Stamp, Box<[Ref]>)>,
    /// What is then known, each once.
    pub(super) learned: HashMap<Ref, Fact>,
    /// Whether its commit waits for the disk.
    pub(super) durability: Durability,
    /// Drafts whose record is past its limits, by position among those given.
    pub(super) unfit: Vec<usize>,
}

impl Next {
    /// Gathers these drafts behind `tree`, validated at the change `seq`.
    pub(in crate::door) fn gather<'a>(
        shared: &Shared,
        tree: &Frontier,
        last: Timestamp,
        seq: u64,
        drafts: impl IntoIterator<Item = &'a Draft>,
    ) -> Result<Self, CryptoError> {
        let entropy = &*shared.entropy;
        let mut gathering = Gathering::new(shared.stream, tree, last, entropy);
        let mut unfit = Vec::new();
        for (at, draft) in drafts.into_iter().enumerate() {
            if let Err(error) = gathering.push(draft) {
                tracing::warn!(%error, "a record could not be written");
                unfit.push(at);
            }
        }
        let (tree_after, last) = (gathering.tree.clone(), gathering.last);
        let checkpoint = Checkpoint {
            origin: Shared::origin(shared.cluster, shared.stream),
            size: tree_after.size(),
            root: tree_after.root(),
        };
        let text = checkpoint.text();
        let signature = shared.keys.signer().sign(text.as_bytes());
        let key = &shared.verifier;
        Ok(Self {
            before: tree.size(),
            frontier: tree_after.to_bytes(),
            place: (checkpoint.size, checkpoint.root),
            tree: tree_after,
            head: signed_note(&text, key.name(), key.id(), &signature),
            last,
            segment: gathering.seal(&shared.keys, entropy, seq, &mut shared.packer())?,
            change: None,
            learned: HashMap::new(),
            durability: Durability::Durable,
            unfit,
        })
    }

    /// As the store takes it.
    pub(in crate::door) fn batch(&self, epoch: u64) -> Batch<'_> {
        Batch {
            stream: self.segment.stream,
            epoch,
            size: self.before,
            after: NewHead {
                size: self.tree.size(),
                frontier: &self.frontier,
                head: &self.head,
            },
            segment: &self.segment,
        }
    }
}

impl Ledger {
    /// Takes the next state for the present one: its commit has happened.
    pub(super) fn become_next(&mut self, next: Next) {
        let counted = &self.shared.metrics.ledger;
        let batches = if next.change.is_some() {
            &counted.changes
        } else {
            &counted.reads
        };
        batches.records.count(u64::from(next.segment.count));
        counted.head.set(next.tree.size());
        self.shared.set_signed(&next.tree);
        if self.shared.store.keeps() {
            self.shared.recent.add(next.segment);
        }
        self.tree = next.tree;
        self.head = next.head;
        self.last = next.last;
        match next.durability {
            Durability::Durable => {
                self.unsynced = Unsynced::none(next.place, self.shared.clock.monotonic());
            }
            Durability::Process => self.unsynced.add(next.place),
        }
        self.matters.clear();
        self.shared
            .last_us
            .store(next.last.micros(), std::sync::atomic::Ordering::Relaxed);
        if let Some((at, refs)) = next.change {
            self.shared.history.apply(&self.shared.cache, at, &refs);
            // Nobody but the ledger follows changes: nothing newer can have been applied in between.
            for (known, fact) in next.learned {
                self.shared.cache.put(known, Arc::new(Entry::own(at, fact)));
            }
        }
        self.shared.mark_well();
        self.keep_head_sometimes();
    }
}
