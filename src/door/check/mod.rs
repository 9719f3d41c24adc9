//! The whole store against its keys and its log: every row opens, and the log's last word on each row is what is stored.
//! It finds what a database writer could make the server believe: an older true row put back, or one deleted.
//!
//! Invariant: it changes nothing, and names each row that does not agree in one line, whatever the other rows hold.

mod documents;
mod heads;
mod keys;
mod sequence;
mod streams;
mod versions;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use coffer_audit_log::VerifierKey;

use heads::ToldHeads;

use super::documents::hex;
use super::facts::Places;
use super::start::{StartError, verifier};
use super::words::Subject;
use crate::crypto::{Keyring, RootKey};
use crate::model::{ClusterId, EnvironmentId, KeyRow, SealedRow, SecretId, SecretPath, VersionId};
use crate::store::{Reader, SCHEMA, Store};

/// Rows read at a time.
const PAGE: u32 = 500;

/// What the log last said of each row.
type LastWords = HashMap<(Subject, [u8; 16]), [u8; 32]>;

/// The rows that secrets and connections name as living.
type Named = HashMap<VersionId, NamedRow>;

/// A row as its owner's document names it.
struct NamedRow {
    environment: EnvironmentId,
    owner: SecretId,
    path: Arc<SecretPath>,
    row: SealedRow,
}

struct Check<'a> {
    keys: &'a Keyring,
    verifier: VerifierKey,
    reader: Reader,
    words: LastWords,
    /// The change that the world stands at, if it is there.
    world_seq: Option<u64>,
    lines: Vec<String>,
}

/// What can be seen of a store without its root key.
#[derive(Debug)]
pub struct Ground {
    /// The cluster that the world names; nothing when its row is gone, or odd.
    pub cluster: Option<ClusterId>,
    /// Another schema than this server knows, when world and tables agree on it: nothing can be checked.
    pub schema: Option<u32>,
    /// The keys of the cluster itself, wrapped, and the seal's record.
    pub keys: Vec<KeyRow>,
    /// A line for each row that shows already that it is not Coffer's.
    pub lines: Vec<String>,
}

/// Checks the whole store, as one snapshot shows it; a line for each row that does not agree. With the state directory of
/// a node, also against what that one has kept of its own log.
///
/// # Errors
/// The store cannot be read at all.
pub async fn check(
    store: &Store,
    keys: &Keyring,
    state: Option<&Path>,
) -> Result<Vec<String>, StartError> {
    let verifier = verifier(keys, keys.cluster())?;
    // Before the snapshot: beside a server that goes on, what it keeps later may not be in there.
    let mut heads = ToldHeads::none();
    let kept = state.map(|state| heads.add_kept(state, &verifier));
    let reader = store.snapshot().await?;
    let mut check = Check {
        keys,
        verifier,
        reader,
        words: HashMap::new(),
        world_seq: None,
        lines: Vec::new(),
    };
    check.lines = broken_structure(&mut check.reader).await?;
    let sound = check.lines.is_empty();
    check.lines.extend(kept.and_then(Result::err));
    match check.rows(heads).await {
        Ok(()) => {}
        // What was named already may be why.
        Err(StartError(why)) if !sound => {
            check
                .lines
                .push(format!("database: it was not read further: {why}"));
        }
        Err(error) => return Err(error),
    }
    Ok(check.lines)
}

/// Looks at a store before its root key is asked for.
///
/// # Errors
/// The store cannot be read at all.
pub async fn check_ground(store: &Store) -> Result<Ground, StartError> {
    let mut reader = store.snapshot().await?;
    let world = reader.find_whole_world().await?;
    let mut keys = reader.list_whole_keys().await?;
    keys.retain(|row| row.environment == [0; 16]);
    let tables = reader.list_whole_schemas().await?;
    let other = |schema: &u32| *schema != SCHEMA && tables == [i64::from(*schema)];
    let world = world.map(|(world, _)| world);
    Ok(Ground {
        cluster: world.as_ref().map(|world| world.cluster),
        schema: world.map(|world| world.schema).filter(other),
        keys,
        lines: odd_rows(&mut reader).await?,
    })
}

/// The keys of the cluster that this root key does not open, once the keyring was not to be had.
#[must_use]
pub fn check_keys(root: &RootKey, cluster: ClusterId, rows: &[KeyRow]) -> Vec<String> {
    keys::unopened(root, cluster, rows)
}

impl Ground {
    /// All that can be said of a store whose world is gone, or odd.
    #[must_use]
    pub fn without_world(self) -> Vec<String> {
        let mut lines = self.lines;
        sequence::say_gone(&mut lines);
        lines
    }
}

/// What would have one statement see what another does not.
async fn broken_structure(reader: &mut Reader) -> Result<Vec<String>, StartError> {
    Ok(reader.list_broken_structure().await?)
}

/// What is in the way of any typed find: a wrong length, an unknown kind, a negative number.
async fn odd_rows(reader: &mut Reader) -> Result<Vec<String>, StartError> {
    let odd = reader.list_odd_rows().await?;
    let lines = odd.into_iter().map(|row| {
        let (table, number, id) = (row.table, row.number, hex(&row.id));
        format!("{table} {number} {id}: it has a shape that Coffer never writes")
    });
    Ok(lines.collect())
}

/// Whether there may be more behind a page.
const fn is_full<T>(page: &[T]) -> bool {
    page.len() == PAGE as usize
}

impl Check<'_> {
    /// Every row of every table.
    async fn rows(&mut self, heads: ToldHeads) -> Result<(), StartError> {
        let odd = odd_rows(&mut self.reader).await?;
        self.lines.extend(odd);
        self.change_sequence().await?;
        self.streams(heads).await?;
        let places = self.places().await?;
        self.wrapped_keys(&places).await?;
        let named = self.documents(&places.opened).await?;
        self.versions(&places.opened, named).await
    }

    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Whether the log's last word on a row is another than what is stored, as the end of a line.
    fn word_against(
        &self,
        subject: Subject,
        id: [u8; 16],
        stored: [u8; 32],
    ) -> Option<&'static str> {
        match self.words.get(&(subject, id)) {
            Some(said) if *said == stored => None,
            Some(&super::words::GONE) => Some("the log says that it was taken away"),
            Some(_) => Some("it is not the one that the log last recorded"),
            None => Some("the log does not know it"),
        }
    }
}

/// The places as far as they open, and the ids of the environments there are rows of.
struct KnownPlaces {
    opened: Arc<Places>,
    environments: Vec<[u8; 16]>,
}
