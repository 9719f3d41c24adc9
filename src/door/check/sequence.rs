//! The change sequence: the world, its notes from the oldest kept to the last, and the schema.
//! A mark is a MAC over the one before it, so that a note that was changed, cut out or put in breaks the chain there.
//!
//! Invariant: every note but the oldest kept is verified with the mark of the one before it.

use super::{Check, PAGE, is_full};
use crate::door::ledger::NOTES_KEPT;
use crate::door::start::StartError;
use crate::model::Ref;
use crate::store::{NoteRow, SCHEMA, Stamp};

/// The mark before the first change.
const BEGINNING: Stamp = Stamp {
    seq: 0,
    mark: [0; 32],
};

impl Check<'_> {
    /// The notes that are kept follow from one another, and the world stands where the last one says.
    pub(super) async fn change_sequence(&mut self) -> Result<(), StartError> {
        self.schema().await?;
        let Some((world, nonce)) = self.reader.find_whole_world().await? else {
            say_gone(&mut self.lines);
            return Ok(());
        };
        self.world_seq = Some(world.seq);
        if world.cluster != self.keys.cluster() {
            self.say("world: it names another cluster".to_owned());
        }
        if world.schema != SCHEMA {
            self.say(format!(
                "world: its schema is {} and not {SCHEMA}",
                world.schema
            ));
        }
        let (before, last) = self.notes(world.seq).await?;
        let last = last.as_ref();
        let stands = last.is_some_and(|last| {
            (last.seq, last.mark, last.nonce) == (world.seq, world.mark, nonce)
                && world.prev == before.mark
        });
        let one_short = last.is_some_and(|last| {
            last.seq + 1 == world.seq && world.prev == last.mark && world.mark != last.mark
        });
        if one_short {
            self.say(format!("note {}: it is gone", world.seq));
        } else if !stands {
            self.say(format!(
                "world: it does not stand at the last note, as change {}",
                world.seq
            ));
        }
        Ok(())
    }

    async fn schema(&mut self) -> Result<(), StartError> {
        let schemas = self.reader.list_whole_schemas().await?;
        if schemas != [i64::from(SCHEMA)]
            && !self.lines.iter().any(|line| line.starts_with("migration "))
        {
            self.say(format!(
                "migration: it does not say that the tables have schema {SCHEMA}"
            ));
        }
        Ok(())
    }

    /// Verifies the notes; gives the last one and the place before it.
    async fn notes(&mut self, newest: u64) -> Result<(Stamp, Option<NoteRow>), StartError> {
        let (mut before, mut last) = (BEGINNING, None::<NoteRow>);
        loop {
            let after = last.as_ref().map_or(0, |note| note.seq);
            let notes = self.reader.list_whole_notes(after, PAGE).await?;
            let full = is_full(&notes);
            for note in notes {
                if let Some(last) = &last {
                    before = Stamp {
                        seq: last.seq,
                        mark: last.mark,
                    };
                }
                self.note(before, &note, newest, last.is_none());
                last = Some(note);
            }
            if !full {
                break;
            }
        }
        Ok((before, last))
    }

    fn note(&mut self, before: Stamp, note: &NoteRow, newest: u64, oldest: bool) {
        let seq = note.seq;
        if seq > newest {
            self.say(format!("note {seq}: the world does not stand there yet"));
        }
        let pruned = oldest && seq != before.seq + 1;
        if pruned && seq > newest.saturating_sub(NOTES_KEPT).max(1) {
            self.say(format!(
                "note {}: it is gone, with all before {seq}",
                seq - 1
            ));
        } else if !pruned && seq != before.seq + 1 {
            self.say(format!("note {}: it is gone", before.seq + 1));
        }
        if !oldest && seq != before.seq + 1 {
            return;
        }
        let mark_mac = self.keys.mark_mac();
        let follows = mark_mac.verify(&before.mark, seq, &note.nonce, &note.refs, &note.mark);
        let whole = note.refs.len().is_multiple_of(Ref::BYTES);
        if !whole || !(follows || pruned) {
            self.say(format!(
                "note {seq}: it does not follow from the one before"
            ));
        }
    }
}

/// The world is gone, unless it has been named as odd.
pub(super) fn say_gone(lines: &mut Vec<String>) {
    if !lines.iter().any(|line| line.starts_with("world ")) {
        lines.push("world: its row is gone".to_owned());
    }
}
