//! A vault of a test's own: a cluster on either database, served in this process over the real HTTP door with TLS.
//! The clock is moved by hand; jobs run only when a story starts them.
//!
//! Invariant: a story reaches Coffer over HTTPS alone, like everybody.

mod fork;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use coffer::clock::Clock;
use coffer::config;
use coffer::config::Durability;
use coffer::crypto::{Keyring, RootKey};
use coffer::door::{self, Door, Founding, Starting, StateDir};
use coffer::entropy::SystemEntropy;
use coffer::http::tls::Certificates;
use coffer::http::{App, NodeFacts, scrape, server};
use coffer::jobs::{self, Refresher};
use coffer::model::{ClusterId, Ttl};
use coffer::outbound::Outbound;
use coffer::store::{DatabaseUrl, Engine, Store};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::certificate::certificate;
use super::client::{Client, Token};
use super::eventually;
use super::records::Records;
use super::scrape::Scrape;
use super::{left, postgres};

/// One for all vaults: it is bound into everything, and chosen by nobody.
const CLUSTER: ClusterId = ClusterId::from_bytes(*b"a story's vault.");
/// How long the first token lives.
const ROOT_TTL: Ttl = Ttl::days(365);

/// Makes two tests of a story, one for each database.
macro_rules! both_engines {
    ($($(#[$doc:meta])* async fn $name:ident($vault:ident: TestVault) $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                story($crate::support::vault::TestVault::new(coffer::store::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                story($crate::support::vault::TestVault::new(coffer::store::Engine::Postgres).await).await;
            }

            async fn story($vault: $crate::support::vault::TestVault) $body
        }
    )+};
}
pub(crate) use both_engines;

/// What stays of a vault when its server stops.
struct Ground {
    folder: TempDir,
    url: DatabaseUrl,
    root_key: Vec<u8>,
    clock: Arc<Clock>,
}

/// A vault that serves. Its [`Client`]'s methods are its own.
pub struct TestVault {
    /// The token that may do everything.
    pub root: Token,
    ground: Ground,
    running: Running,
}

/// A server in this process.
struct Running {
    client: Client,
    address: SocketAddr,
    door: Door,
    refresher: Refresher,
    metrics: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    scrape: JoinHandle<()>,
    jobs: JoinSet<()>,
}

impl TestVault {
    /// A new vault, with the environment `payments/prod`.
    pub async fn new(engine: Engine) -> Self {
        let folder = left::folder();
        let url = match engine {
            Engine::Sqlite => DatabaseUrl::Sqlite(folder.path().join("coffer.db")),
            Engine::Postgres => DatabaseUrl::Postgres(postgres::migrated().await),
        };
        let root_key = RootKey::generate(&SystemEntropy);
        left::root_key(root_key.to_hex().expose());
        let ground = Ground {
            folder,
            url,
            root_key: root_key.to_hex().expose().to_vec(),
            clock: Arc::new(Clock::new()),
        };
        let root = ground.found(root_key).await;
        let running = ground.serve().await;
        let vault = Self {
            root,
            ground,
            running,
        };
        vault.place("payments/prod").await;
        vault
    }

    /// Stops the server and starts another on the same database, with the same state directory.
    pub async fn restart(self) -> Self {
        self.restarted(async |_| ()).await.0
    }

    /// As [`Self::restart`], with a check of the whole store in between: what it says.
    pub async fn check(self) -> (Self, Vec<String>) {
        let checked = async |ground: &Ground| {
            let store = ground.store().await;
            let keys = ground.keys(&store).await;
            let said = door::check(&store, &keys, None).await;
            store.close().await;
            said.expect("it can be read")
        };
        self.restarted(checked).await
    }

    /// As [`Self::restart`], with something done to the database in between.
    pub async fn restart_after(self, done: impl AsyncFnOnce(&DatabaseUrl)) -> Self {
        self.restarted(async |ground| done(&ground.url).await)
            .await
            .0
    }

    async fn restarted<T>(self, between: impl AsyncFnOnce(&Ground) -> T) -> (Self, T) {
        let Self {
            root,
            ground,
            running,
        } = self;
        running.stop().await;
        let found = between(&ground).await;
        let running = ground.serve().await;
        let vault = Self {
            root,
            ground,
            running,
        };
        (vault, found)
    }

    /// Moves the clock on.
    pub fn advance(&self, span: Ttl) {
        self.ground.clock.advance_us(span.micros());
    }

    /// Starts what a server does unasked.
    pub fn start_jobs(&mut self) {
        let running = &mut self.running;
        let stop = running.stop.subscribe();
        running.jobs = jobs::start(&running.door, &running.refresher, None, &stop);
    }

    /// Makes a project, if need be, and an environment, as `project/environment`.
    pub async fn place(&self, place: &str) {
        let (project, environment) = place.split_once('/').expect("project/environment");
        let made = self
            .post("/projects", json!({ "name": project }), &self.root)
            .await;
        assert!(matches!(made.status(), 201 | 409), "{}", made.text());
        let path = format!("/projects/{project}/environments");
        let made = self
            .post(&path, json!({ "name": environment }), &self.root)
            .await;
        made.is(201);
    }

    /// Writes a secret of one field, as the root.
    pub async fn set(&self, secret: &str, field: &str, value: &str) {
        let body = json!({ "fields": { field: value } });
        let path = format!("/secrets/{secret}");
        let written = self.put(&path, body, &self.root).await;
        assert!(matches!(written.status(), 200 | 201), "{}", written.text());
    }

    /// A child of the root token with these scopes, divided by spaces.
    pub async fn token(&self, scopes: &str, ttl: Ttl) -> Token {
        self.child(&self.root, scopes, ttl).await
    }

    /// A child of a token with these scopes, divided by spaces.
    pub async fn child(&self, parent: &Token, scopes: &str, ttl: Ttl) -> Token {
        let scopes: Vec<&str> = scopes.split(' ').collect();
        let body = json!({ "scopes": scopes, "ttl": ttl.as_seconds() });
        self.make_token(body, parent).await
    }

    /// The token that this body asks for.
    pub async fn make_token(&self, body: serde_json::Value, maker: &Token) -> Token {
        let made = self.post("/tokens", body, maker).await.is(201).json();
        let text = |key: &str| made[key].as_str().expect("text").to_owned();
        Token {
            text: text("token"),
            id: text("id"),
        }
    }

    /// The log so far.
    pub async fn audit(&self) -> Records {
        let export = self.get("/audit/export", &self.root).await.is(200);
        Records::of_export(&export.text())
    }

    /// The door of the server that runs.
    pub fn door(&self) -> &Door {
        &self.running.door
    }

    /// Merges the log's segments into ones of so many records; how many there are of these.
    pub async fn merge(&self, records: u64) -> usize {
        let mut merger = self.door().merger(records);
        let mut merged = 0;
        while merger.merge().await.expect("segments that can be merged") {
            merged += 1;
        }
        merged
    }

    /// A bundle of the log, verified as an auditor does.
    pub async fn verify(&self) -> coffer_audit_log::Report {
        let key = self.get("/audit/key", &self.root).await.is(200).json();
        let key = key["key"].as_str().expect("text").parse();
        let bundle = self.get("/audit/bundle", &self.root).await.is(200);
        coffer_audit_log::verify(bundle.bytes(), &key.expect("a verifier key"))
            .expect("it verifies")
    }

    /// What it counts.
    pub async fn metrics(&self) -> Scrape {
        Scrape::of(self.running.metrics).await
    }

    /// Where it tells what it counts.
    pub fn metrics_address(&self) -> SocketAddr {
        self.running.metrics
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The authority that its certificate is signed by, as a file.
    pub fn authority(&self) -> std::path::PathBuf {
        self.ground.folder.path().join("certificate.pem")
    }
}

impl Deref for TestVault {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.running.client
    }
}

impl Ground {
    async fn store(&self) -> Store {
        let settings = postgres::settings(self.url.clone());
        // The parts of a door that was closed let go of the file when their tasks have ended.
        let open = async || Store::open(&settings).await.ok();
        let store = eventually("the store opens", open).await;
        store.migrate().await.expect("the store migrates");
        store
    }

    fn state_dir(&self) -> Arc<StateDir> {
        let state = StateDir::open(&self.folder.path().join("state"));
        Arc::new(state.expect("the state directory is free"))
    }

    /// Founds the cluster and gives its first token.
    async fn found(&self, root: RootKey) -> Token {
        let (store, state_dir) = (self.store().await, self.state_dir());
        let plain = door::found(Founding {
            store: &store,
            cluster: CLUSTER,
            root,
            seal: b"kept by the test".to_vec(),
            clock: &self.clock,
            entropy: &SystemEntropy,
            state_dir: &state_dir,
            node: "story".parse().expect("a name"),
            ttl: ROOT_TTL,
        });
        let plain = plain.await.expect("a cluster is founded");
        store.close().await;
        Token {
            text: plain.expose().to_owned(),
            id: "the first".to_owned(),
        }
    }

    async fn keys(&self, store: &Store) -> Keyring {
        let rows = store.reader().await.expect("the store reads");
        let rows = { rows }.list_all_keys().await.expect("there are keys");
        let root = RootKey::from_hex(&self.root_key).expect("the root key");
        Keyring::open(root, CLUSTER, &rows.value).expect("the keys open")
    }

    async fn serve(&self) -> Running {
        let store = self.store().await;
        let engine = store.engine();
        let keys = self.keys(&store).await;
        let metrics = scrape::metrics();
        let starting = Starting {
            store,
            keys,
            clock: Arc::clone(&self.clock),
            entropy: Arc::new(SystemEntropy),
            metrics: Arc::clone(&metrics),
            state_dir: self.state_dir(),
            node: Some("story".parse().expect("a name")),
            durability: Durability::Durable,
            accept_rollback: false,
            accept_clock: false,
        };
        let door = door::start(starting).await.expect("the node starts");
        let app = App::new(Vec::new(), 0, metrics);
        let facts = NodeFacts {
            version: env!("CARGO_PKG_VERSION"),
            node: "story".to_owned(),
            store: match engine {
                Engine::Sqlite => "sqlite",
                Engine::Postgres => "postgres",
            },
            locked_memory: true,
        };
        let refresher = Refresher::new(door.clone(), outbound());
        app.unseal(door.clone(), refresher.clone(), facts);
        let (files, authority) = certificate(self.folder.path());
        let certificates = Certificates::load(files).expect("a certificate and its key");
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = watch::channel(false);
        let tls = certificates.server_config();
        let scraped = TcpListener::bind("127.0.0.1:0").await;
        let scraped = scraped.expect("a port is free");
        let metrics = scraped.local_addr().expect("it is bound");
        let scrape = scrape::serve(scraped, Arc::clone(&app), stopped.clone());
        let scrape = tokio::spawn(scrape);
        let server = tokio::spawn(server::serve(listener, tls, app, stopped));
        Running {
            client: Client::new(address, &authority),
            address,
            door,
            refresher,
            metrics,
            stop,
            server,
            scrape,
            jobs: JoinSet::new(),
        }
    }
}

impl Running {
    async fn stop(mut self) {
        self.stop.send_replace(true);
        drop(self.client);
        self.server.await.expect("the server ends");
        self.scrape.await.expect("the scraped one ends");
        while let Some(ended) = self.jobs.join_next().await {
            ended.expect("a job ends");
        }
        self.refresher.drain().await;
        self.door.close().await;
    }
}

/// What calls out, to this machine alone, as `dev` does.
pub fn outbound() -> Outbound {
    let rules = config::Outbound {
        loopback: true,
        ..config::Outbound::default()
    };
    Outbound::new(&rules).expect("no file is named")
}
