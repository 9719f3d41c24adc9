//! What a node keeps of its own log outside of the database: its last head and, where reads do not wait for the disk, where
//! the log stood when the disk was last waited for. A database that has less is an older one, or lost reads in a power cut.
//!
//! Invariant: a power cut explains no more than what did not wait for the disk, and never a missing change.

use coffer_audit_log::{Frontier, Hash};

use crate::store::{Connection, Stamp, StoreError};

/// The last word of the line that follows the head.
const SYNCED: &str = "\nsynced ";

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// The last head that was acknowledged: a signed note.
    pub(super) head: String,
    /// What of it had waited for the disk; all of it without.
    pub(super) synced: Option<Synced>,
}

/// Where everything stood when the disk was last waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Synced {
    /// Records of the node's log.
    pub(super) size: u64,
    /// Its tree.
    pub(super) root: Hash,
    /// The last change that the node knew when it kept this: every change waits for the disk, whoever makes it.
    pub(super) change: Stamp,
}

impl Kept {
    /// As a file holds it: the note, and one more line if not all of it had waited.
    pub(super) fn to_text(&self) -> String {
        let Some(synced) = &self.synced else {
            return self.head.clone();
        };
        let (size, seq) = (synced.size, synced.change.seq);
        let (root, mark) = (synced.root, Hash(synced.change.mark));
        let note = self.head.trim_end_matches('\n');
        format!("{note}{SYNCED}{size} {root} {seq} {mark}\n")
    }

    /// Nothing when the last line is not as [`Self::to_text`] writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some((note, line)) = text.split_once(SYNCED) else {
            return Some(Self {
                head: text.to_owned(),
                synced: None,
            });
        };
        let mut words = line.strip_suffix('\n')?.split(' ');
        let synced = Synced {
            size: words.next()?.parse().ok()?,
            root: words.next()?.parse().ok()?,
            change: Stamp {
                seq: words.next()?.parse().ok()?,
                mark: words.next()?.parse::<Hash>().ok()?.0,
            },
        };
        let kept = Self {
            head: format!("{note}\n"),
            synced: Some(synced),
        };
        (kept.to_text() == text).then_some(kept)
    }
}

impl Synced {
    /// Whether a log that stands there, in a world that is seen through this connection, lacks reads alone.
    pub(super) async fn is_in(
        &self,
        tree: &Frontier,
        connection: &mut Connection,
    ) -> Result<bool, StoreError> {
        let behind = tree.size() < self.size;
        if behind || (tree.size() == self.size && tree.root() != self.root) {
            return Ok(false);
        }
        went_through(connection, &self.change).await
    }
}

/// Whether the world stands at this change, or went through it.
pub(super) async fn went_through(
    connection: &mut Connection,
    change: &Stamp,
) -> Result<bool, StoreError> {
    let Some(world) = connection.find_world().await? else {
        return Ok(false);
    };
    let (_, linked) = connection.list_notes(change, 1).await?;
    Ok(world.seq >= change.seq && linked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        let head = "example.org/log\n7\nroot\n\n\u{2014} key sig\n".to_owned();
        let synced = Synced {
            size: 5,
            root: Hash([1; 32]),
            change: Stamp {
                seq: 9,
                mark: [2; 32],
            },
        };
        for synced in [None, Some(synced)] {
            let head = head.clone();
            let kept = Kept { head, synced };
            assert_eq!(Kept::parse(&kept.to_text()), Some(kept));
        }
        let whole = format!("{head}synced 5 {} 9 {}\n", Hash([1; 32]), Hash([2; 32]));
        assert!(Kept::parse(&whole).is_some_and(|kept| kept.synced.is_some()));
        for cut in head.len() + SYNCED.len()..whole.len() {
            assert_eq!(Kept::parse(&whole[..cut]), None, "{}", &whole[..cut]);
        }
        assert_eq!(Kept::parse(&format!("{whole}more\n")), None);
    }
}
