//! How a node is built of its parts: store, state directory, root key, keys, door. Every command that needs one of them
//! gets it here, in this order, and hands it on.
//!
//! Invariant: no data is touched before the key check value said that the root key is this cluster's.

use std::path::Path;
use std::sync::Arc;

use coffer::clock::Clock;
use coffer::config::{Config, DatabaseUrl, SealSource};
use coffer::crypto::{Keyring, PlainToken, RootKey, RootPlace, SecretBytes};
use coffer::door::{self, Door, Founding, StartError, Starting, StateDir};
use coffer::entropy::{Entropy, SystemEntropy};
use coffer::http::scrape::metrics;
use coffer::metrics::Metrics;
use coffer::model::{ClusterId, KeyKind, KeyRow, Name, Ttl};
use coffer::seal::{SealError, SealRecord, file, passphrase};
use coffer::store::{self, DatabaseSettings, Engine, RoleUrls, Store, StoreError};

use super::{Failure, UNAVAILABLE};

/// What every start needs before keys come into play.
pub struct Ground {
    pub store: Store,
    pub state_dir: Arc<StateDir>,
    pub clock: Arc<Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub metrics: Arc<Metrics>,
}

/// What a database writer may know as well: the cluster's id, how its root key is found, its wrapped keys.
pub struct Sealed {
    pub cluster: ClusterId,
    record: SealRecord,
    keys: Vec<KeyRow>,
}

/// Whether the two risky answers of an operator were given.
#[derive(Clone, Copy, Default)]
pub struct Accepted {
    pub rollback: bool,
    pub clock: bool,
}

impl Ground {
    /// Locks the state directory, opens the store and brings its tables to this server's schema.
    pub async fn open(config: &Config) -> Result<Self, Failure> {
        let entropy = SystemEntropy::probe().map_err(Failure::failed)?;
        let state_dir = StateDir::open(&config.state_dir).map_err(Failure::failed)?;
        let store = open_store(config).await?;
        migrate(&store).await?;
        Ok(Self {
            store,
            state_dir: Arc::new(state_dir),
            clock: Arc::new(Clock::new()),
            entropy: Arc::new(entropy),
            metrics: metrics(),
        })
    }

    /// The cluster that was founded here.
    pub async fn sealed(&self) -> Result<Option<Sealed>, Failure> {
        Sealed::find(&self.store).await
    }

    /// The store's kind, as `status` says it.
    pub const fn store_name(&self) -> &'static str {
        match self.store.engine() {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        }
    }

    /// Founds a cluster and gives its first token.
    pub async fn found(
        &self,
        seal: &SealSource,
        given: Option<SecretBytes>,
        node: Name,
        ttl: Ttl,
    ) -> Result<PlainToken, Failure> {
        let cluster = ClusterId::new(self.clock.now(), self.ten_bytes());
        let place = RootPlace::of(cluster);
        let (root, record) = match seal {
            SealSource::File(path) => file::create(&*self.entropy, place, path),
            SealSource::Passphrase(path) => {
                let phrase = passphrase_of(path.as_deref(), given)?;
                let entropy = Arc::clone(&self.entropy);
                slow(move || passphrase::create(&*entropy, place, &phrase)).await?
            }
        }
        .map_err(Failure::failed)?;
        let founding = Founding {
            store: &self.store,
            cluster,
            root,
            seal: record.to_bytes(),
            clock: &self.clock,
            entropy: &*self.entropy,
            state_dir: &self.state_dir,
            node,
            ttl,
        };
        door::found(founding).await.map_err(refused)
    }

    /// Opens the keys, takes the node's place, and gives its door.
    pub async fn start(
        self,
        sealed: &Sealed,
        root: RootKey,
        config: &Config,
        accepted: Accepted,
    ) -> Result<Door, Failure> {
        let starting = Starting {
            keys: sealed.open(root)?,
            store: self.store,
            clock: self.clock,
            entropy: self.entropy,
            metrics: self.metrics,
            state_dir: self.state_dir,
            node: config.node.clone(),
            durability: config.durability,
            accept_rollback: accepted.rollback,
            accept_clock: accepted.clock,
        };
        door::start(starting).await.map_err(refused)
    }

    /// A name for a node that was given none.
    pub fn new_node_name(&self) -> Name {
        let text: String = self.ten_bytes()[..5]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("node-{text}")
            .parse()
            .expect("letters, digits and a hyphen are a name")
    }

    fn ten_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.entropy.fill(&mut bytes);
        bytes
    }
}

impl Sealed {
    pub async fn find(store: &Store) -> Result<Option<Self>, Failure> {
        let Some(world) = store.find_world().await.map_err(told)? else {
            return Ok(None);
        };
        if world.schema != store::SCHEMA {
            return Err(other_schema(world.schema));
        }
        let mut reader = store.reader().await.map_err(told)?;
        let keys = reader.list_keys([0; 16]).await.map_err(told)?.value;
        let sealed = Self::of(world.cluster, keys).map_err(Failure::failed)?;
        Ok(Some(sealed))
    }

    /// A cluster with these keys of its own.
    pub fn of(cluster: ClusterId, keys: Vec<KeyRow>) -> Result<Self, SealError> {
        let record = keys.iter().find(|row| row.kind == KeyKind::Seal);
        let record = record.ok_or(SealError::Damaged)?;
        Ok(Self {
            cluster,
            record: SealRecord::parse(&record.wrapped)?,
            keys,
        })
    }

    /// The root key, if the configuration says where it is; nothing when an operator has to give the passphrase.
    pub async fn root(&self, seal: &SealSource) -> Result<Option<RootKey>, Failure> {
        let place = RootPlace::of(self.cluster);
        match seal {
            SealSource::File(path) => file::open(&self.record, place, path)
                .map(Some)
                .map_err(unsealed),
            SealSource::Passphrase(Some(path)) => {
                let phrase = file::read_passphrase(path).map_err(Failure::failed)?;
                self.root_by_passphrase(phrase)
                    .await?
                    .map(Some)
                    .map_err(unsealed)
            }
            SealSource::Passphrase(None) => {
                // Said at once, and not only to the operator who comes to unseal.
                if self.record.name() == "passphrase" {
                    Ok(None)
                } else {
                    Err(Failure::failed(SealError::OtherSeal {
                        stored: self.record.name(),
                        configured: "passphrase",
                    }))
                }
            }
        }
    }

    /// The root key by its passphrase; the inner error is the operator's to hear.
    pub async fn root_by_passphrase(
        &self,
        phrase: SecretBytes,
    ) -> Result<Result<RootKey, SealError>, Failure> {
        let (record, place) = (self.record.clone(), RootPlace::of(self.cluster));
        slow(move || passphrase::open(&record, place, &phrase)).await
    }

    /// A line for each key that this root key does not open, or that is gone.
    pub fn unopened(&self, root: &RootKey) -> Vec<String> {
        door::check_keys(root, self.cluster, &self.keys)
    }

    /// The keys of the cluster.
    pub fn open(&self, root: RootKey) -> Result<Keyring, Failure> {
        Keyring::open(root, self.cluster, &self.keys).map_err(|_| {
            Failure::new(super::TAMPERED, "The stored keys do not open with this root key: they were changed; restore a backup.")
        })
    }
}

/// Opens the store and nothing else.
pub async fn open_store(config: &Config) -> Result<Store, Failure> {
    let url = match &config.database.url {
        DatabaseUrl::Sqlite(path) => store::DatabaseUrl::Sqlite(path.clone()),
        DatabaseUrl::Postgres(url) => store::DatabaseUrl::Postgres(url.clone()),
    };
    let roles = RoleUrls {
        keeper: config.database.roles.keeper.clone(),
        owner: config.database.roles.owner.clone(),
    };
    let readers = config.database.readers.get();
    let settings = DatabaseSettings {
        url,
        roles,
        readers,
        accept_fsync_off: accepts_fsync_off(),
    };
    Store::open(&settings).await.map_err(told)
}

/// Brings the tables to this server's schema, and looks whether each role may do what it is for and no more.
pub async fn migrate(store: &Store) -> Result<(), Failure> {
    store.migrate().await.map_err(told)?;
    store.check_roles().await.map_err(told)?;
    if !store.keeps() {
        tracing::warn!(
            "the role of database.url may not replace segments, and there is no database.keeper_url: they stay small"
        );
    }
    Ok(())
}

/// Tests run PostgreSQL without syncing; a release build never accepts that.
fn accepts_fsync_off() -> bool {
    cfg!(debug_assertions) && std::env::var_os("COFFER_ACCEPT_FSYNC_OFF").is_some()
}

/// A passphrase from a file, or as it was given at a terminal.
fn passphrase_of(file: Option<&Path>, given: Option<SecretBytes>) -> Result<SecretBytes, Failure> {
    match (file, given) {
        (Some(path), _) => file::read_passphrase(path).map_err(Failure::failed),
        (None, Some(given)) => Ok(given),
        (None, None) => Err(Failure::usage(
            "The seal needs a passphrase: set seal.passphrase_file, or run this on a terminal.",
        )),
    }
}

/// Runs what takes long and much memory on a thread of its own.
async fn slow<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::failed("This is a mistake in Coffer: the key was not worked out."))
}

fn told(error: StoreError) -> Failure {
    refused(StartError::from(error))
}

fn refused(StartError(sentence): StartError) -> Failure {
    Failure::failed(sentence)
}

/// Why there is no root key. One that the store's own record contradicts is a verification that failed.
fn unsealed(error: SealError) -> Failure {
    match error {
        SealError::WrongKey => Failure::new(super::TAMPERED, error),
        error => Failure::failed(error),
    }
}

/// The store is of another server's time.
pub fn other_schema(schema: u32) -> Failure {
    let known = store::SCHEMA;
    Failure::failed(format!(
        "The store has schema {schema}, and this server knows {known}: run coffer-server migrate of the newer one."
    ))
}

/// No cluster was founded in this store.
pub fn not_founded() -> Failure {
    Failure::failed("This store holds no cluster yet: run coffer-server init first.")
}

/// The node can make nothing true any more; why.
pub fn fenced(why: &str) -> Failure {
    Failure::new(UNAVAILABLE, format!("This server has stopped: {why}."))
}
