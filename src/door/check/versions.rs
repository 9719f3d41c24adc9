//! The versions: each is named by its secret's document, opens there, and is wrapped as the log last recorded.
//!
//! Invariant: a version that a document names and that is not stored is named here, and so is one that none names.

use super::{Check, Named, PAGE, is_full};
use crate::door::facts::{Place, Places, known_version};
use crate::door::start::StartError;
use crate::door::words::{self, Subject};
use crate::model::{Secret, VersionRow};

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
                let Some((environment, secret)) = named.remove(&id) else {
                    self.say(format!(
                        "version {id}: no secret's document names it as living"
                    ));
                    continue;
                };
                let wrapped = words::digest(&row.wrapped);
                let opens = places
                    .place_of(environment)
                    .is_some_and(|place| opens(place, &secret, row));
                let said = self.word_against(Subject::Version, *id.as_bytes(), wrapped);
                if !opens {
                    self.say(format!(
                        "version {id} of {}: it does not open there",
                        secret.path
                    ));
                } else if let Some(why) = said {
                    self.say(format!("version {id} of {}: {why}", secret.path));
                }
            }
            if !full {
                break;
            }
        }
        for (id, (_, secret)) in named {
            self.say(format!("version {id} of {}: it is gone", secret.path));
        }
        Ok(())
    }
}

fn opens(place: &Place, secret: &Secret, row: VersionRow) -> bool {
    let entry = secret.versions.iter().find(|entry| entry.id == row.id);
    let known = entry.and_then(|entry| known_version(place, secret, entry, row).ok());
    known.is_some_and(|known| known.open().is_ok())
}
