//! The whole store against its keys and its log: every row opens, and the log's last word on each document is what is stored.
//! It finds what a database writer could make the server believe: an older true row put back, or one deleted.
//!
//! Invariant: it changes nothing, and names each row that does not agree in one line.

use std::collections::{BTreeMap, HashMap, HashSet};

use coffer_audit_log::{Frontier, VerifierKey, leaf_hash, open_note};
use sha2::{Digest, Sha256};

use super::decision::due_of;
use super::documents::{self, Within, hex, name_of};
use super::facts::{self, Place, Places, known_version};
use super::segments::{GONE, Opened};
use super::start::{StartError, verifier};
use crate::crypto::{CryptoError, Keyring};
use crate::model::{
    Cluster, DocumentKind, DocumentRow, EnvironmentId, Secret, State, StreamRow, Timestamp,
    VersionId, VersionRow,
};
use crate::store::{Reader, Stamp, Store};

/// Rows read at a time.
const PAGE: u32 = 500;

/// Words by the change, the segment and the place in it that spoke them.
type OrderedWords = BTreeMap<(u64, u64, usize), (DocumentKind, [u8; 16], [u8; 32])>;

/// What the log last said of each document.
type LastWords = HashMap<(DocumentKind, [u8; 16]), [u8; 32]>;

struct Check<'a> {
    keys: &'a Keyring,
    verifier: VerifierKey,
    reader: Reader,
    words: LastWords,
    lines: Vec<String>,
}

/// Checks the whole store, as one snapshot shows it; a line for each row that does not agree.
///
/// # Errors
/// The store cannot be read at all.
pub async fn check(store: &Store, keys: &Keyring) -> Result<Vec<String>, StartError> {
    let verifier = verifier(keys, keys.cluster())?;
    let reader = store.snapshot().await?;
    let mut check = Check {
        keys,
        verifier,
        reader,
        words: HashMap::new(),
        lines: Vec::new(),
    };
    check.change_sequence().await?;
    check.streams().await?;
    let places = facts::load_places(&mut check.reader, keys)
        .await
        .map_err(|_| unreadable())?
        .value;
    let named = check.documents(&places).await?;
    check.versions(&places, named).await?;
    Ok(check.lines)
}

fn unreadable() -> StartError {
    StartError(
        "The database could not be read to its end; look at its log and check again.".to_owned(),
    )
}

impl Check<'_> {
    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// The world's mark is the last note's, and the notes that are kept follow from one another.
    async fn change_sequence(&mut self) -> Result<(), StartError> {
        let Some(world) = self.reader.find_world().await? else {
            return Err(unreadable());
        };
        if world.cluster != self.keys.cluster() {
            self.say("world: it names another cluster".to_owned());
        }
        let before = Stamp {
            seq: world.seq.saturating_sub(1),
            mark: world.prev,
        };
        let (notes, _) = self.reader.list_notes(&before, PAGE).await?;
        let mark_mac = self.keys.mark_mac();
        let true_note = notes.iter().any(|note| {
            note.seq == world.seq
                && note.mark == world.mark
                && mark_mac.verify(&before.mark, note.seq, &note.nonce, &note.refs, &note.mark)
        });
        if !true_note {
            self.say(format!(
                "world: its mark at change {} was not made by this cluster",
                world.seq
            ));
        }
        Ok(())
    }

    /// Every stream that the cluster's document lists is there, and its records lead to its signed head.
    async fn streams(&mut self) -> Result<(), StartError> {
        let found = self
            .reader
            .find_document(DocumentKind::Cluster, documents::CLUSTER_ID)
            .await?;
        let row = found.value.ok_or_else(unreadable)?;
        let listed: Cluster = match documents::open(self.keys, &row, Within::default(), "") {
            Ok(cluster) => cluster,
            Err(CryptoError) => {
                self.say("cluster: its document does not open".to_owned());
                return Ok(());
            }
        };
        let rows = self.reader.list_streams().await?;
        for entry in &listed.streams {
            if !rows.iter().any(|row| row.id == entry.id) {
                self.say(format!(
                    "stream {} of the node {}: it is gone",
                    entry.id, entry.node
                ));
            }
        }
        // Each change is one commit, of one stream: its words are in order of the change, whoever spoke them.
        let mut words = OrderedWords::new();
        for row in rows {
            if !listed.streams.iter().any(|entry| entry.id == row.id) {
                self.say(format!(
                    "stream {}: the cluster's document does not list it",
                    row.id
                ));
            }
            self.stream(&row, &mut words).await?;
        }
        for (_, (kind, id, digest)) in words {
            self.words.insert((kind, id), digest);
        }
        Ok(())
    }

    async fn stream(
        &mut self,
        row: &StreamRow,
        words: &mut OrderedWords,
    ) -> Result<(), StartError> {
        let mut tree = Frontier::new();
        while tree.size() < row.size {
            let segments = self.reader.list_segments(row.id, tree.size(), PAGE).await?;
            let before = tree.size();
            for segment in segments {
                let Some(opened) = Opened::open(self.keys, &segment)
                    .ok()
                    .filter(|_| segment.first == tree.size())
                else {
                    self.say(format!(
                        "segment {} of stream {}: it does not open there",
                        segment.first, row.id
                    ));
                    return Ok(());
                };
                for line in opened.lines() {
                    tree.push(leaf_hash(line));
                }
                for (at, word) in opened.words().enumerate() {
                    let Some(word) = word else { continue };
                    words.insert(
                        (segment.seq, segment.first, at),
                        (word.kind, word.id, word.digest),
                    );
                }
            }
            if tree.size() == before {
                self.say(format!("segment {before} of stream {}: it is gone", row.id));
                return Ok(());
            }
        }
        let head = open_note(&row.head, &self.verifier);
        let under_head = head.is_ok_and(|head| {
            (head.size, head.root) == (tree.size(), tree.root())
                && head.origin.stream.as_str() == row.id.to_string()
        });
        if !under_head || row.frontier != tree.to_bytes() {
            self.say(format!(
                "stream {}: its records do not lead to its signed head",
                row.id
            ));
        }
        Ok(())
    }

    /// Every document opens, agrees with its look-up columns, and is what the log last said; none is missing.
    async fn documents(
        &mut self,
        places: &Places,
    ) -> Result<HashMap<VersionId, (EnvironmentId, Secret)>, StartError> {
        let mut seen = HashSet::new();
        let mut versions = HashMap::new();
        for kind in DocumentKind::ALL {
            let mut after = [0; 16];
            if kind == DocumentKind::Cluster {
                let found = self
                    .reader
                    .find_document(kind, documents::CLUSTER_ID)
                    .await?
                    .value;
                seen.extend(found.as_ref().map(|row| (kind, row.id)));
                self.compare(found.as_slice());
                continue;
            }
            loop {
                let rows = self
                    .reader
                    .list_documents_of_kind(kind, after, PAGE)
                    .await?
                    .value;
                let Some(last) = rows.last() else { break };
                after = last.id;
                seen.extend(rows.iter().map(|row| (kind, row.id)));
                self.compare(&rows);
                for row in &rows {
                    match self.opened(places, row) {
                        Ok(Some((environment, secret))) => {
                            let kept = secret
                                .versions
                                .iter()
                                .filter(|entry| entry.state != State::Destroyed);
                            versions.extend(
                                kept.map(|entry| (entry.id, (environment, secret.clone()))),
                            );
                        }
                        Ok(None) => {}
                        Err(CryptoError) => {
                            self.say(format!("{}: it does not open there", name_of(row)))
                        }
                    }
                }
            }
        }
        let missing: Vec<_> = self
            .words
            .iter()
            .filter(|(key, digest)| **digest != GONE && !seen.contains(*key))
            .map(|((kind, id), _)| {
                format!(
                    "{} {}: it is gone, and the log does not say why",
                    kind.as_str(),
                    hex(id)
                )
            })
            .collect();
        self.lines.extend(missing);
        Ok(versions)
    }

    fn compare(&mut self, rows: &[DocumentRow]) {
        for row in rows {
            let stored: [u8; 32] = Sha256::digest(&row.sealed).into();
            match self.words.get(&(row.kind, row.id)).copied() {
                Some(said) if said == stored => {}
                Some(GONE) => self.say(format!(
                    "{}: the log says that it was taken away",
                    name_of(row)
                )),
                Some(_) => self.say(format!(
                    "{}: it is not the one that the log last recorded",
                    name_of(row)
                )),
                None => self.say(format!("{}: the log does not know it", name_of(row))),
            }
        }
    }

    /// Whether a row opens where it stands, and its columns say what its document says; a secret is given back.
    fn opened(
        &self,
        places: &Places,
        row: &DocumentRow,
    ) -> Result<Option<(EnvironmentId, Secret)>, CryptoError> {
        let due = |due: Option<Timestamp>| {
            if row.due == due {
                Ok(None)
            } else {
                Err(CryptoError)
            }
        };
        match row.kind {
            DocumentKind::Secret => {
                let environment = EnvironmentId::from_bytes(row.space);
                let place = places.place_of(environment).ok_or(CryptoError)?;
                let secret = facts::open_secret(self.keys, place, row)?;
                due(due_of(&secret))?;
                Ok(Some((environment, secret)))
            }
            DocumentKind::Token => {
                let token = facts::open_token(self.keys, row)?;
                let same = row.grave.is_empty() == token.revoked_at.is_none()
                    && row.space
                        == token
                            .parent
                            .map_or(documents::NO_SPACE, |parent| *parent.as_bytes())
                    && row.name == token.id.to_string();
                if same {
                    due(Some(token.died_at()))
                } else {
                    Err(CryptoError)
                }
            }
            DocumentKind::Principal => {
                facts::open_principal(self.keys, row).and_then(|_| plain(row))
            }
            DocumentKind::Project => {
                match row.name.parse().ok().and_then(|name| places.project(&name)) {
                    Some(project)
                        if project
                            .project
                            .as_ref()
                            .is_some_and(|p| *p.id.as_bytes() == row.id) =>
                    {
                        plain(row)
                    }
                    _ => Err(CryptoError),
                }
            }
            DocumentKind::Environment => {
                let place = places
                    .place_of(EnvironmentId::from_bytes(row.id))
                    .ok_or(CryptoError)?;
                let same = row.space == *place.project.id.as_bytes()
                    && row.grave.is_empty()
                    && row.due.is_none();
                if same { Ok(None) } else { Err(CryptoError) }
            }
            DocumentKind::Lease => {
                documents::open::<super::Lease>(self.keys, row, Within::default(), &row.name)
                    .and_then(|_| plain(row))
            }
            DocumentKind::Cluster => Ok(None),
        }
    }

    /// Every version that a document names is there and opens; no other is there.
    async fn versions(
        &mut self,
        places: &Places,
        mut named: HashMap<VersionId, (EnvironmentId, Secret)>,
    ) -> Result<(), StartError> {
        let mut after = [0; 16];
        loop {
            let rows = self.reader.list_versions(after, PAGE).await?.value;
            let Some(last) = rows.last() else { break };
            after = *last.id.as_bytes();
            for row in rows {
                let id = row.id;
                match named.remove(&id) {
                    None => self.say(format!(
                        "version {id}: no secret's document names it as living"
                    )),
                    Some((environment, secret)) => {
                        let opens = places
                            .place_of(environment)
                            .is_some_and(|place| opens(place, &secret, row));
                        if !opens {
                            self.say(format!(
                                "version {id} of {}: it does not open there",
                                secret.path
                            ));
                        }
                    }
                }
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

/// A document of the cluster's own is never buried and never due.
fn plain(row: &DocumentRow) -> Result<Option<(EnvironmentId, Secret)>, CryptoError> {
    let same = row.space == documents::NO_SPACE && row.grave.is_empty() && row.due.is_none();
    if same { Ok(None) } else { Err(CryptoError) }
}
