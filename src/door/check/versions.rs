//! The versions: each is named by its owner's document, opens there, and is wrapped as the log last recorded.
//!
//! Invariant: a version that a document names and that is not stored is named here, and so is one that none names.

use super::{Check, Named, NamedRow, PAGE, is_full};
use crate::door::facts::{Place, Places, known_version};
use crate::door::start::StartError;
use crate::door::words::{self, Subject};
use crate::model::VersionRow;

impl Check<'_> {
    /// Every version that a document names is there and opens; no other is there.
    pub(super) async fn versions(
        &mut self,
        places: &Places,
        mut named: Named,
    ) -> Result<(), StartError> {
        let mut after = Vec::new();
        loop {
            let rows = self.reader.list_whole_versions(&after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id.as_bytes().to_vec();
            let full = is_full(&rows);
            for row in rows {
                let id = row.id;
                let Some(named) = named.remove(&id) else {
                    self.say(format!("version {id}: no document names it as living"));
                    continue;
                };
                let wrapped = words::digest(&row.wrapped);
                let opens = places
                    .place_of(named.environment)
                    .is_some_and(|place| opens(place, &named, row));
                let said = self.word_against(Subject::Version, *id.as_bytes(), wrapped);
                if !opens {
                    self.say(format!(
                        "version {id} of {}: it does not open there",
                        named.path
                    ));
                } else if let Some(why) = said {
                    self.say(format!("version {id} of {}: {why}", named.path));
                }
            }
            if !full {
                break;
            }
        }
        for (id, named) in named {
            self.say(format!("version {id} of {}: it is gone", named.path));
        }
        Ok(())
    }
}

fn opens(place: &Place, named: &NamedRow, row: VersionRow) -> bool {
    let known = known_version(place, (named.owner, &named.path), &named.row, row);
    known.is_ok_and(|known| known.open().is_ok())
}
