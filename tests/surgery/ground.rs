//! A cluster with a real history, made once for each database, and opened anew on each damaged state of it.
//! The state directory goes with every opening as it was when the last server closed, so that none waits for a lease.
//!
//! Invariant: every opening begins with the store as the history left it, but for the damage.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use coffer::clock::Clock;
use coffer::config::Durability;
use coffer::crypto::{Keyring, RootPlace};
use coffer::door::{self, Door, Founding, Starting, StateDir};
use coffer::entropy::SystemEntropy;
use coffer::metrics::Metrics;
use coffer::model::{ClusterId, Ttl};
use coffer::seal::{SealRecord, file};
use coffer::store::{DatabaseSettings, DatabaseUrl, Engine, Store};

use super::rows::{Column, Knife, Rows, Table};
use crate::support::{certificate, postgres};

/// The cluster of all grounds.
pub const CLUSTER: ClusterId = ClusterId::from_bytes(*b"under the knife.");
/// How far the clock goes during the history.
pub const AHEAD: Ttl = Ttl::seconds(7_200);
/// A door that is not open by then waits for another's lease, which takes six seconds.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One connection that reads: it has to be made anew for each case.
const READERS: u32 = 1;

/// See the module.
pub struct Ground {
    pub engine: Engine,
    pub clock: Arc<Clock>,
    /// What all doors of the ground count.
    pub metrics: Arc<Metrics>,
    pub authority: String,
    folder: TempDir,
    url: DatabaseUrl,
    /// Copies made so far: each is a folder of its own.
    copies: u32,
}

/// One state of the ground, in a folder of its own.
pub struct Copy {
    pub url: DatabaseUrl,
    pub folder: PathBuf,
}

/// Why no door was opened.
#[derive(Debug)]
pub enum Shut {
    /// A sentence.
    Refused(String),
    /// Another server's lease is waited for.
    Waits,
}

impl Ground {
    /// An empty, migrated database, and a folder in memory where the machine has one.
    pub async fn new(engine: Engine) -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.expect("a folder");
        let url = match engine {
            Engine::Sqlite => DatabaseUrl::Sqlite(folder.path().join("coffer.db")),
            Engine::Postgres => DatabaseUrl::Postgres(postgres::migrated().await),
        };
        let (_, authority) = certificate::certificate(folder.path());
        Self {
            engine,
            clock: Arc::new(Clock::new()),
            metrics: Arc::default(),
            authority,
            folder,
            url,
            copies: 0,
        }
    }

    /// A file of the ground.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Founds the cluster for the node `one`, and gives its first token.
    pub async fn found(&self) -> String {
        let store = self.store(&self.url).await;
        store.migrate().await.expect("a schema");
        let place = RootPlace::of(CLUSTER);
        let made = file::create(&SystemEntropy, place, &self.path("root.key"));
        let (root, seal) = made.expect("a root key");
        let state_dir = StateDir::open(&self.path("one.state")).expect("a state directory");
        let founding = Founding {
            store: &store,
            cluster: CLUSTER,
            root,
            seal: seal.to_bytes(),
            clock: &self.clock,
            entropy: &SystemEntropy,
            state_dir: &state_dir,
            node: "one".parse().expect("a name"),
            ttl: Ttl::days(365),
        };
        let token = door::found(founding).await.expect("a cluster");
        store.close().await;
        token.expose().to_owned()
    }

    /// A door of this node on the ground itself.
    pub async fn open(&self, node: &str) -> Door {
        let state = self.path(&format!("{node}.state"));
        let store = self.store(&self.url).await;
        match self.start(store, &state, node).await {
            Ok(door) => door,
            Err(Shut::Refused(why)) => panic!("{node} does not start: {why}"),
            Err(Shut::Waits) => panic!("{node} waits"),
        }
    }

    /// A copy of the ground's state; on PostgreSQL it is the one database, and only one copy is used at a time.
    pub fn copy(&mut self) -> Copy {
        self.copies += 1;
        let folder = self.path(&format!("copy-{}", self.copies));
        let state = folder.join("one.state");
        std::fs::create_dir_all(&state).expect("a folder");
        for name in ["node", "boot", "head"] {
            std::fs::copy(self.path("one.state").join(name), state.join(name))
                .expect("a state file");
        }
        let url = match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let copy = folder.join("coffer.db");
                std::fs::copy(path, &copy).expect("the database is one file");
                DatabaseUrl::Sqlite(copy)
            }
            DatabaseUrl::Postgres(url) => DatabaseUrl::Postgres(url.clone()),
        };
        Copy { url, folder }
    }

    /// Opens a door on a copy as `coffer-server serve` does.
    pub async fn open_copy(
        &self,
        store: Store,
        copy: &Copy,
        patience: Duration,
    ) -> Result<Door, Shut> {
        let state = copy.folder.join("one.state");
        let start = self.start(store, &state, "one");
        tokio::time::timeout(patience, start)
            .await
            .unwrap_or(Err(Shut::Waits))
    }

    async fn start(&self, store: Store, state: &Path, node: &str) -> Result<Door, Shut> {
        store.migrate().await.map_err(said)?;
        let keys = self.keys(&store).await?;
        let state_dir = StateDir::open(state).expect("the state directory is free");
        let starting = Starting {
            store,
            keys,
            clock: Arc::clone(&self.clock),
            entropy: Arc::new(SystemEntropy),
            metrics: Arc::clone(&self.metrics),
            state_dir: Arc::new(state_dir),
            node: Some(node.parse().expect("a name")),
            durability: Durability::Durable,
            accept_rollback: false,
            accept_clock: false,
        };
        door::start(starting).await.map_err(said)
    }

    /// The keys, found as the built server finds them.
    async fn keys(&self, store: &Store) -> Result<Keyring, Shut> {
        let world = store.find_world().await.map_err(said)?;
        let cluster = world.ok_or_else(|| said("There is no cluster."))?.cluster;
        let mut reader = store.reader().await.map_err(said)?;
        let rows = reader.list_keys([0; 16]).await.map_err(said)?.value;
        let record = rows
            .iter()
            .find(|row| row.kind == coffer::model::KeyKind::Seal);
        let record = record.ok_or_else(|| said("There is no seal."))?;
        let record = SealRecord::parse(&record.wrapped).map_err(said)?;
        let root = file::open(&record, RootPlace::of(cluster), &self.path("root.key"));
        Keyring::open(root.map_err(said)?, cluster, &rows)
            .map_err(|_| said("The keys do not open."))
    }

    /// What `coffer-server check` prints for the node `one`, with its one sentence when there is no root key to be had.
    pub async fn check(&self, store: &Store) -> Vec<String> {
        self.check_beside(store, Some(&self.path("one.state")))
            .await
    }

    /// The same with another state directory, or without.
    pub async fn check_beside(&self, store: &Store, state: Option<&Path>) -> Vec<String> {
        let ground = door::check_ground(store)
            .await
            .expect("the store can be read");
        assert_eq!(ground.schema, None, "an honest store of another schema");
        let Some(cluster) = ground.cluster else {
            return ground.without_world();
        };
        let mut lines = ground.lines;
        let seal = ground
            .keys
            .iter()
            .find(|row| row.kind == coffer::model::KeyKind::Seal);
        let Some(record) = seal.and_then(|row| SealRecord::parse(&row.wrapped).ok()) else {
            lines.push("wrapped key seal 1: it is no seal's record".to_owned());
            return lines;
        };
        let root = match file::open(&record, RootPlace::of(cluster), &self.path("root.key")) {
            Ok(root) => root,
            Err(error) => return vec![error.to_string()],
        };
        lines.extend(door::check_keys(&root, cluster, &ground.keys));
        match Keyring::open(root, cluster, &ground.keys) {
            Ok(keys) => match door::check(store, &keys, state).await {
                Ok(lines) => lines,
                Err(why) => vec![why.0],
            },
            Err(_) => lines,
        }
    }

    pub async fn store(&self, url: &DatabaseUrl) -> Store {
        let settings = DatabaseSettings {
            readers: READERS,
            ..postgres::settings(url.clone())
        };
        for _ in 0..500 {
            if let Ok(store) = Store::open(&settings).await {
                return store;
            }
            // The parts of a door that was closed let go of the file when their tasks have ended.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the store does not open");
    }

    /// Every table of the live schema, and all rows as they are now.
    pub async fn look(&self) -> (Vec<Table>, Rows) {
        let mut knife = Knife::at(&self.url).await;
        let tables = knife.tables().await;
        let rows = knife.rows(&tables).await;
        knife.close().await;
        (tables, rows)
    }

    /// Keeps what [`Self::restore`] goes back to. On SQLite each copy is thrown away instead.
    pub async fn keep(&self, tables: &[Table]) {
        if self.engine == Engine::Postgres {
            let mut knife = Knife::at(&self.url).await;
            knife.run("CREATE SCHEMA kept").await.expect("a schema");
            for Table { name, .. } in tables {
                let keep = format!("CREATE TABLE kept.{name} AS TABLE public.{name}");
                knife.run(&keep).await.expect("a copy");
            }
            knife.close().await;
        }
    }

    /// Undoes a damage, and all that was done since; on SQLite the copy is all there is to undo.
    pub async fn restore(&self, knife: Option<&mut Knife>, tables: &[Table], copy: Copy) {
        std::fs::remove_dir_all(&copy.folder).expect("the copy goes");
        if let Some(knife) = knife {
            let mut script = "BEGIN;".to_owned();
            for table in tables {
                script += &restoring(table);
            }
            knife
                .run(&(script + "COMMIT"))
                .await
                .expect("it is put back");
        }
    }

    /// The same with a connection of its own.
    pub async fn undo(&self, tables: &[Table], copy: Copy) {
        match self.engine {
            Engine::Sqlite => self.restore(None, tables, copy).await,
            Engine::Postgres => {
                let mut knife = Knife::at(&self.url).await;
                self.restore(Some(&mut knife), tables, copy).await;
                knife.close().await;
            }
        }
    }
}

/// What differs from the rows that were kept goes, and they come back: the fewest rows, since dead ones cost PostgreSQL.
fn restoring(table: &Table) -> String {
    let name = &table.name;
    let keys = table.columns.iter().filter(|column| column.key);
    let same = keys.map(|Column { name, .. }| format!("now.{name} = other.{name}"));
    let same = same.collect::<Vec<_>>().join(" AND ");
    format!(
        "DELETE FROM {name} now USING (TABLE {name} EXCEPT TABLE kept.{name}) other WHERE {same};
         INSERT INTO {name} (TABLE kept.{name} EXCEPT TABLE {name});"
    )
}

fn said(error: impl ToString) -> Shut {
    Shut::Refused(error.to_string())
}
