//! What did not wait for the disk: under `durability = "process"` the batches of reads since the last commit that waited.
//! A PostgreSQL that comes back from a crash may have lost the last of them; that is recorded, and the node goes on.
//!
//! Invariant: the log is taken up again only at a head of its own that was acknowledged, with no change missing.

use std::time::{Duration, Instant};

use coffer_audit_log::{Frontier, Hash, open_note};

use super::{Ledger, matter};
use crate::config::Durability;
use crate::door::kept::{Synced, went_through};
use crate::fault;
use crate::model::StreamRow;
use crate::store::{StoreError, Writer};

/// The longest that batches go on without waiting for the disk, while they come.
const UNSYNCED_TIME_MAX: Duration = Duration::from_secs(1);
/// The most batches that do.
const UNSYNCED_MAX: usize = 65_536;

/// Where the log stands: its records, and their tree.
pub(super) type Place = (u64, Hash);

/// Where the log stood when the disk was last waited for, and after each batch since.
pub(super) struct Unsynced {
    synced: Place,
    since: Vec<Place>,
    at: Instant,
}

impl Unsynced {
    /// Everything is on the disk.
    pub(super) const fn none(synced: Place, now: Instant) -> Self {
        Self {
            synced,
            since: Vec::new(),
            at: now,
        }
    }

    /// A batch was stored that did not wait.
    pub(super) fn add(&mut self, place: Place) {
        self.since.push(place);
    }

    /// What the disk was waited for, if that is not all.
    pub(super) fn synced(&self) -> Option<Place> {
        (!self.since.is_empty()).then_some(self.synced)
    }

    /// Whether the next batch has to wait.
    fn is_due(&self, now: Instant) -> bool {
        let late = now.duration_since(self.at) >= UNSYNCED_TIME_MAX && !never_due();
        late || self.since.len() >= UNSYNCED_MAX
    }

    /// Whether the log stood there, now or since the disk was last waited for.
    fn knows(&self, place: &Place) -> bool {
        *place == self.synced || self.since.contains(place)
    }
}

/// A test plants a disk that nobody waits for, so that there is something to lose.
fn never_due() -> bool {
    fault::planted("disk not waited for")
}

impl Ledger {
    /// What the next batch of reads is stored with. What the node itself has to say is not lost again.
    pub(super) fn durability(&self) -> Durability {
        let now = self.shared.clock.monotonic();
        if self.matters.is_empty() && !self.unsynced.is_due(now) {
            self.shared.durability
        } else {
            Durability::Durable
        }
    }

    /// Everything that is stored is on the disk.
    pub(super) fn mark_synced(&mut self) {
        let place = (self.tree.size(), self.tree.root());
        self.unsynced = Unsynced::none(place, self.shared.clock.monotonic());
    }

    /// Waits for the disk if something is not there yet; whether it is.
    pub(super) async fn sync(&mut self) -> bool {
        if self.unsynced.synced().is_none() || never_due() {
            return true;
        }
        let Some(main) = self.main.as_mut() else {
            return false;
        };
        let synced = main.sync(self.shared.stream).await;
        let synced = synced.inspect_err(|error| tracing::warn!(%error, "the disk was not reached"));
        if synced.is_ok_and(|there| there) {
            self.mark_synced();
            return true;
        }
        false
    }

    /// What is on the disk, for the state directory, if that is not all.
    pub(super) fn synced(&self) -> Option<Synced> {
        let (size, root) = self.unsynced.synced()?;
        let change = self.shared.history.at();
        Some(Synced { size, root, change })
    }

    /// Takes the log up again where a claim found it, short of the last reads; whether that is all that can be missing.
    pub(super) async fn take_up(
        &mut self,
        row: &StreamRow,
        writer: &mut Writer,
    ) -> Result<bool, StoreError> {
        let Ok(tree) = Frontier::from_bytes(&row.frontier) else {
            return Ok(false);
        };
        let place = (tree.size(), tree.root());
        let signed = open_note(&row.head, &self.shared.verifier).is_ok_and(|head| {
            head.origin.stream.as_str() == row.id.to_string() && (head.size, head.root) == place
        });
        if !signed || row.size != tree.size() || !self.unsynced.knows(&place) {
            return Ok(false);
        }
        if !went_through(writer.within(), &self.shared.history.at()).await? {
            return Ok(false);
        }
        self.say_lost(self.tree.size(), tree.size());
        self.tree = tree;
        self.shared.recent.clear();
        self.shared.set_signed(&self.tree);
        self.head.clone_from(&row.head);
        self.shared.metrics.ledger.head.set(self.tree.size());
        self.mark_synced();
        Ok(true)
    }

    /// Records that the database has lost the last records of reads.
    pub(in crate::door) fn say_lost(&mut self, acknowledged: u64, found: u64) {
        tracing::warn!(
            acknowledged,
            found,
            "the database has lost records of reads that did not wait for the disk"
        );
        let lost = acknowledged.saturating_sub(found);
        self.shared.metrics.ledger.lost.add(lost);
        let facts = [("acknowledged", acknowledged), ("found", found)];
        self.add_matter(matter(self, "reads-lost", facts));
    }
}
