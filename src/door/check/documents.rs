//! The documents: each opens where it stands, says what its look-up columns say, and is the one that the log last recorded.
//!
//! Invariant: a document that the log speaks of and that is not stored is named here.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Check, KnownPlaces, Named, NamedRow, PAGE, is_full};
use crate::crypto::CryptoError;
use crate::door::Lease;
use crate::door::documents::{self, CLUSTER_ID, NO_SPACE, Within, due_of, hex, name_of};
use crate::door::facts::{self, Places};
use crate::door::start::StartError;
use crate::door::words::{self, GONE, Subject};
use crate::model::{
    Cluster, DocumentKind, DocumentRow, EnvironmentId, SealedRow, SecretId, SecretPath, State,
    Timestamp,
};

/// What a document says that its row repeats for look-up.
struct Columns {
    space: [u8; 16],
    name: String,
    dead: bool,
    due: Option<Timestamp>,
}

/// Which names are held, by kind and space.
type Living = HashSet<(DocumentKind, [u8; 16], String)>;

/// Rows of documents by kind and id.
type Seen = HashSet<(DocumentKind, [u8; 16])>;

impl Check<'_> {
    /// The projects and environments, as far as they open.
    pub(super) async fn places(&mut self) -> Result<KnownPlaces, StartError> {
        let keys = self.reader.list_whole_keys().await?;
        let projects = self.all_of(DocumentKind::Project).await?;
        let environments = self.all_of(DocumentKind::Environment).await?;
        let opened = facts::open_places(self.keys, &keys, &projects, &environments);
        Ok(KnownPlaces {
            opened: Arc::new(opened),
            environments: environments.iter().map(|row| row.id).collect(),
        })
    }

    async fn all_of(&mut self, kind: DocumentKind) -> Result<Vec<DocumentRow>, StartError> {
        let mut rows: Vec<DocumentRow> = Vec::new();
        loop {
            let after = rows.last().map_or_else(Vec::new, |row| row.id.to_vec());
            let page = self.reader.list_whole_documents(kind, &after, PAGE).await?;
            let full = is_full(&page);
            rows.extend(page);
            if !full {
                return Ok(rows);
            }
        }
    }

    /// Every document opens, agrees with its look-up columns, and is what the log last said; none is missing.
    pub(super) async fn documents(&mut self, places: &Places) -> Result<Named, StartError> {
        let (mut seen, mut named, mut living) = (Seen::new(), Named::new(), Living::new());
        for kind in DocumentKind::ALL {
            let mut after = Vec::new();
            loop {
                let rows = self.reader.list_whole_documents(kind, &after, PAGE).await?;
                let Some(last) = rows.last() else { break };
                after = last.id.to_vec();
                let full = is_full(&rows);
                for row in rows {
                    seen.insert((kind, row.id));
                    self.document(places, &row, &mut named);
                    self.holds_its_name_alone(&row, &mut living);
                }
                if !full {
                    break;
                }
            }
        }
        self.missing(&seen);
        Ok(named)
    }

    fn document(&mut self, places: &Places, row: &DocumentRow, named: &mut Named) {
        let subject = Subject::Document(row.kind);
        let said = self.word_against(subject, row.id, words::digest(&row.sealed));
        if let Some(why) = said {
            self.say(format!("{}: {why}", name_of(row)));
        }
        match self.opened(places, row) {
            Ok((columns, rows)) => {
                if !columns.are_of(row) {
                    self.say(format!(
                        "{}: its columns are not those of its document",
                        name_of(row)
                    ));
                }
                named.extend(rows);
            }
            // Once is enough for one row.
            Err(CryptoError) if said.is_some() => {}
            Err(CryptoError) => self.say(format!("{}: it does not open there", name_of(row))),
        }
    }

    /// Who asks by a name gets one of its holders, whichever the database finds.
    fn holds_its_name_alone(&mut self, row: &DocumentRow, living: &mut Living) {
        if row.grave.is_empty() && !living.insert((row.kind, row.space, row.name.clone())) {
            self.say(format!("{}: another one has its name", name_of(row)));
        }
    }

    fn missing(&mut self, seen: &Seen) {
        let spoken = self.words.iter().filter(|(_, digest)| **digest != GONE);
        let missing = spoken.filter_map(|((subject, id), _)| match subject {
            Subject::Document(kind) if !seen.contains(&(*kind, *id)) => Some((*kind, *id)),
            _ => None,
        });
        let lines = missing.map(|(kind, id)| {
            let (kind, id) = (kind.as_str(), hex(&id));
            format!("{kind} {id}: it is gone, and the log does not say why")
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort_unstable();
        self.lines.extend(lines);
    }

    /// A row's document, as far as its columns repeat it; and the rows that it names.
    fn opened(&self, places: &Places, row: &DocumentRow) -> Result<(Columns, Named), CryptoError> {
        let columns = match row.kind {
            DocumentKind::Secret => {
                let environment = EnvironmentId::from_bytes(row.space);
                let place = places.place_of(environment).ok_or(CryptoError)?;
                let secret = facts::open_secret(self.keys, place, row)?;
                let columns = Columns {
                    space: row.space,
                    name: secret.path.folded(),
                    dead: secret.deleted_at.is_some(),
                    due: due_of(&secret),
                };
                let kept = secret.versions.iter();
                let kept = kept.filter(|entry| entry.state != State::Destroyed);
                let rows = kept.map(SealedRow::from);
                return Ok((columns, named_by(environment, secret.owner(), rows)));
            }
            DocumentKind::Connection => {
                let environment = EnvironmentId::from_bytes(row.space);
                let place = places.place_of(environment).ok_or(CryptoError)?;
                let connection = facts::open_connection(self.keys, place, row)?;
                let columns = Columns {
                    space: row.space,
                    name: connection.path.folded(),
                    dead: false,
                    due: connection.due(),
                };
                let rows = connection.rows().cloned();
                return Ok((columns, named_by(environment, connection.owner(), rows)));
            }
            DocumentKind::Token => {
                let token = facts::open_token(self.keys, row)?;
                Columns {
                    space: token.parent.map_or(NO_SPACE, |parent| *parent.as_bytes()),
                    name: token.id.to_string(),
                    dead: token.revoked_at.is_some(),
                    due: Some(token.died_at()),
                }
            }
            DocumentKind::Receipt => {
                let receipt = facts::open_receipt(self.keys, row)?;
                Columns {
                    due: Some(receipt.until),
                    ..Columns::of_cluster(&receipt.id.to_string())
                }
            }
            DocumentKind::Principal => {
                let principal = facts::open_principal(self.keys, row)?;
                Columns::of_cluster(principal.name.as_str())
            }
            DocumentKind::Project => {
                let name = row.name.parse().map_err(|_| CryptoError)?;
                let found = places
                    .project(&name)
                    .and_then(|found| found.project.as_ref());
                let own = found.filter(|project| *project.id.as_bytes() == row.id);
                Columns::of_cluster(own.ok_or(CryptoError)?.name.as_str())
            }
            DocumentKind::Environment => {
                let place = places.place_of(EnvironmentId::from_bytes(row.id));
                let place = place.ok_or(CryptoError)?;
                Columns {
                    space: *place.project.id.as_bytes(),
                    ..Columns::of_cluster(place.environment.name.as_str())
                }
            }
            DocumentKind::Lease => {
                let lease: Lease = documents::open(self.keys, row, Within::default(), &row.name)?;
                Columns::of_cluster(&lease.name)
            }
            DocumentKind::Cluster if row.id == CLUSTER_ID => {
                documents::open::<Cluster>(self.keys, row, Within::default(), "")?;
                Columns::of_cluster("")
            }
            DocumentKind::Cluster => return Err(CryptoError),
        };
        Ok((columns, Named::new()))
    }
}

/// The rows that a document names, each with its owner.
fn named_by(
    environment: EnvironmentId,
    (owner, path): (SecretId, &SecretPath),
    rows: impl Iterator<Item = SealedRow>,
) -> Named {
    let path = Arc::new(path.clone());
    let named = rows.map(|row| {
        let path = Arc::clone(&path);
        let named = NamedRow {
            environment,
            owner,
            path,
            row,
        };
        (named.row.id, named)
    });
    named.collect()
}

impl Columns {
    /// A document of the cluster's own is never buried, and most are never due.
    fn of_cluster(name: &str) -> Self {
        Self {
            space: NO_SPACE,
            name: name.to_owned(),
            dead: false,
            due: None,
        }
    }

    fn are_of(&self, row: &DocumentRow) -> bool {
        let grave: &[u8] = if self.dead { &row.id } else { &[] };
        row.space == self.space
            && row.name == self.name
            && row.grave == grave
            && row.due == self.due
    }
}
