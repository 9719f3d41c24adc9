//! Following the change sequence: notes are believed only if they continue this node's own history.
//! Each mark is a MAC over the one before it, so a chain that verifies from ours to the world's is ours.
//!
//! Invariant: nothing of a set of notes is applied unless all of it verifies.

use super::{Fenced, Ledger, Trouble, check_schema};
use crate::door::decision::Learned;
use crate::door::draft::{Draft, DraftRecord};
use crate::door::history::Relied;
use crate::fault;
use crate::model::{Action, MaybeChanges, Ref, Resource, WorldRow};
use crate::store::{NoteRow, Stamp};

/// The most notes that are followed at once; beyond them the cache is dropped.
const NOTES_MAX: u32 = 10_000;
/// The same where a test has planted a lower bound.
const FEW_NOTES_MAX: u32 = 4;

/// How many notes are asked for.
pub(super) fn notes_max() -> u32 {
    if fault::planted("few notes") {
        FEW_NOTES_MAX
    } else {
        NOTES_MAX
    }
}

impl Ledger {
    /// Reads what changed since, outside of any batch.
    pub(super) async fn catch_up(&mut self) -> Result<(), Trouble> {
        let at = self.shared.history.at();
        let Some(main) = self.main.as_mut() else {
            return Ok(());
        };
        let world = main
            .within()
            .find_world()
            .await
            .map_err(Trouble::Unstored)?;
        let (notes, _) = main
            .list_notes(&at, notes_max())
            .await
            .map_err(Trouble::Unstored)?;
        let Some(mut world) = world else {
            return Err(Trouble::Fenced(None));
        };
        // Changes may have come between the two looks: the notes, which verify themselves, say how far.
        if let Some(last) = notes.last().filter(|last| last.seq > world.seq) {
            (world.seq, world.mark) = (last.seq, last.mark);
        }
        self.follow(&world, notes)
    }

    /// Applies notes that lead from this node's place to the world's; drops everything known if they do not.
    pub(super) fn follow(&mut self, world: &WorldRow, notes: Vec<NoteRow>) -> Result<(), Trouble> {
        check_schema(world)?;
        let at = self.shared.history.at();
        let to = Stamp {
            seq: world.seq,
            mark: world.mark,
        };
        if (at.seq, at.mark) == (to.seq, to.mark) {
            return Ok(());
        }
        match self.verified(at, &to, notes) {
            Some(changes) => {
                for (at, refs) in changes {
                    let skipped = fault::planted("notes skipped");
                    let refs: &[_] = if skipped { &[] } else { &refs };
                    self.shared.history.apply(&self.shared.cache, at, refs);
                }
            }
            None => {
                tracing::warn!(
                    from = at.seq,
                    to = to.seq,
                    "the change sequence does not continue this node's history; its cache is dropped"
                );
                self.shared.history.reset(&self.shared.cache, to);
                self.shared.metrics.cache.resets_by_history.one();
                self.add_matter(matter(
                    self,
                    "history-dropped",
                    [("from", at.seq), ("to", to.seq)],
                ));
            }
        }
        Ok(())
    }

    fn verified(
        &self,
        mut at: Stamp,
        to: &Stamp,
        notes: Vec<NoteRow>,
    ) -> Option<Vec<(Stamp, Box<[Ref]>)>> {
        let mark_mac = self.shared.keys.mark_mac();
        let mut changes = Vec::with_capacity(notes.len());
        for note in notes {
            let next = note.seq == at.seq + 1
                && mark_mac.verify(&at.mark, note.seq, &note.nonce, &note.refs, &note.mark);
            if !next {
                return None;
            }
            at = Stamp {
                seq: note.seq,
                mark: note.mark,
            };
            changes.push((at, split_refs(&note.refs)?));
        }
        ((at.seq, at.mark) == (to.seq, to.mark)).then_some(changes)
    }
}

fn split_refs(bytes: &[u8]) -> Option<Box<[Ref]>> {
    let (refs, rest) = bytes.as_chunks::<{ Ref::BYTES }>();
    rest.is_empty()
        .then(|| refs.iter().map(|bytes| Ref::from_bytes(*bytes)).collect())
}

/// A record of the node's own.
pub(in crate::door) fn matter<const N: usize>(
    ledger: &Ledger,
    code: &'static str,
    facts: [(&str, u64); N],
) -> Draft {
    let shared = &ledger.shared;
    let facts = facts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect();
    Draft {
        record: Box::new(DraftRecord {
            id: shared.request_id(),
            time: shared.now(),
            principal: Some("system/ledger".into()),
            token: None,
            source: None,
            user_agent: None,
            action: Action::Audit.as_str(),
            resource: Resource::STATUS.to_string(),
            version: None,
            allowed: true,
            scope: None,
            status: 200,
            code,
            metadata: Some(facts),
            digest: None,
        }),
        relied: Relied {
            point: shared.history.point(),
            refs: Vec::new(),
            ahead: Vec::new(),
        },
        changes: MaybeChanges::default(),
        learned: Learned::default(),
    }
}

impl From<Fenced> for Trouble {
    fn from(fenced: Fenced) -> Self {
        Self::Ended(fenced)
    }
}
