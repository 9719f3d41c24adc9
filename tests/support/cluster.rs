//! A cluster of built servers, as an operator founds and runs it: `init`, then `serve` beside one another on one database.
//! Points are armed and the clock is moved through files beside the database.
//!
//! Invariant: a cluster's folder and database are its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use coffer::model::Ttl;
use coffer::store::{DatabaseUrl, Engine};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tempfile::TempDir;

use super::client::Token;
use super::node::{Ended, Node, replace, text};
use super::records::Records;
use super::{certificate, left, postgres};

/// Makes two tests of a story about built servers, one for each database.
macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($engine:ident: Engine) $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                story(coffer::store::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                story(coffer::store::Engine::Postgres).await;
            }

            async fn story($engine: coffer::store::Engine) $body
        }
    )+};
}
pub(crate) use on_both;

/// Reads do not wait for the disk.
pub const PROCESS: &str = "[audit]\ndurability = \"process\"\n";

const SERVER: &str = env!("CARGO_BIN_EXE_coffer-server");

/// A founded cluster: a database, a root key, and a folder for each node.
pub struct Cluster {
    /// The token that may do everything.
    pub root: Token,
    /// Which database it is on.
    pub engine: Engine,
    /// The database, without any proxy.
    pub url: String,
    /// Further lines of `[database]`.
    pub database: String,
    folder: TempDir,
    authority: String,
}

/// What is special about one start of a node.
#[derive(Clone, Default)]
pub struct Start<'a> {
    /// Points armed from the beginning.
    pub points: &'a str,
    /// Another way to the database.
    pub url: Option<&'a str>,
    /// A state directory other than the node's own.
    pub state: Option<&'a str>,
    /// Further arguments of `serve`.
    pub args: &'a [&'a str],
    /// Further lines of its configuration.
    pub config: &'a str,
    /// Further variables.
    pub env: &'a [(&'a str, &'a str)],
}

impl Cluster {
    /// A cluster that `coffer-server init` founded for a node `a`, which is not started.
    pub async fn new(engine: Engine) -> Self {
        Self::unfounded(engine).await.founded().await
    }

    /// This cluster, founded by `init`.
    pub async fn founded(self) -> Self {
        let ended = self.init("a").await;
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        let plain = std::fs::read_to_string(self.path("a.token")).expect("a token");
        let root = std::fs::read_to_string(self.path("root.key")).expect("a root key");
        left::root_key(root.trim().as_bytes());
        Self {
            root: Token {
                text: plain.trim().to_owned(),
                id: "the first".to_owned(),
            },
            ..self
        }
    }

    /// A founded cluster on a PostgreSQL of the caller's own.
    pub async fn on(url: String) -> Self {
        let cluster = Self::unfounded(Engine::Postgres).await;
        Self { url, ..cluster }.founded().await
    }

    /// An empty database, and nothing else.
    pub async fn unfounded(engine: Engine) -> Self {
        let folder = left::folder();
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}", folder.path().join("coffer.db").display()),
            Engine::Postgres => postgres::empty().await,
        };
        let (_, authority) = certificate::certificate(folder.path());
        Self {
            root: Token {
                text: String::new(),
                id: String::new(),
            },
            engine,
            url,
            database: String::new(),
            folder,
            authority,
        }
    }

    /// A cluster with one node, and the environment `payments/prod`.
    pub async fn with_one(engine: Engine) -> (Self, Node) {
        let cluster = Self::new(engine).await;
        let a = cluster.start("a").await;
        cluster.place(&a, "payments/prod").await;
        (cluster, a)
    }

    /// A cluster on PostgreSQL with two nodes, which are two processes.
    pub async fn with_two() -> (Self, Node, Node) {
        let (cluster, a) = Self::with_one(Engine::Postgres).await;
        let b = cluster.start("b").await;
        assert_ne!(a.pid, b.pid);
        assert_ne!(a.pid, std::process::id());
        (cluster, a, b)
    }

    /// Runs `init` for a node.
    pub async fn init(&self, node: &str) -> Output {
        let token = self.path(&format!("{node}.token"));
        let token = token.to_str().expect("UTF-8").to_owned();
        self.run(node, &["init", "--token-file", &token]).await
    }

    /// Runs a command with a node's configuration, to its end.
    pub async fn run(&self, node: &str, command: &[&str]) -> Output {
        let config = self.configure(node, &Start::default());
        let mut run = Command::new(SERVER);
        run.arg(command[0]).arg("--config").arg(config);
        run.args(&command[1..]).env("COFFER_ACCEPT_FSYNC_OFF", "1");
        let ran = tokio::task::spawn_blocking(move || run.output()).await;
        let ran = ran.expect("no panic").expect("coffer-server can be run");
        left::said(&[&ran.stdout[..], &ran.stderr[..]].concat());
        ran
    }

    /// Starts a node that serves.
    pub async fn start(&self, node: &str) -> Node {
        self.start_with(node, Start::default()).await
    }

    /// Starts a node that serves, in a special way.
    pub async fn start_with(&self, node: &str, start: Start<'_>) -> Node {
        match self.try_start(node, start).await {
            Ok(node) => node,
            Err(ended) => panic!("{node} did not start: {ended:?}"),
        }
    }

    /// Starts a node, or hears why not.
    pub async fn try_start(&self, node: &str, start: Start<'_>) -> Result<Node, Ended> {
        let config = self.configure(node, &start);
        let points = self.path(&format!("{}.points", start.state.unwrap_or(node)));
        // Whatever becomes of this process, the kernel ends the server with it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", SERVER, "serve", "--config"]);
        command.arg(config).args(start.args);
        command.env("COFFER_ACCEPT_FSYNC_OFF", "1");
        let armed = [start.points, left::door()].join(",");
        command.env("COFFER_FAILPOINTS", armed);
        command.env("COFFER_FAILPOINTS_FILE", &points);
        command.env("COFFER_CLOCK_FILE", self.path("clock"));
        command.envs(start.env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Node::spawn(command, points, &self.authority).await
    }

    /// Makes a project and an environment, as `project/environment`.
    pub async fn place(&self, node: &Node, place: &str) {
        let (project, environment) = place.split_once('/').expect("project/environment");
        let made = node.post("/projects", json!({ "name": project }), &self.root);
        let made = made.await;
        assert!(matches!(made.status(), 201 | 409), "{}", made.text());
        let path = format!("/projects/{project}/environments");
        let made = node.post(&path, json!({ "name": environment }), &self.root);
        made.await.is(201);
    }

    /// Writes a secret of one field `v`, as the root.
    pub async fn set(&self, node: &Node, secret: &str, value: impl Into<Value>) {
        let body = json!({ "fields": { "v": value.into() } });
        let written = node
            .put(&format!("/secrets/{secret}"), body, &self.root)
            .await;
        assert!(matches!(written.status(), 200 | 201), "{}", written.text());
    }

    /// Reads that field, as the root.
    pub async fn value(&self, node: &Node, secret: &str) -> String {
        let read = node.get(&format!("/secrets/{secret}"), &self.root).await;
        read.is(200).json()["fields"]["v"]
            .as_str()
            .expect("text")
            .to_owned()
    }

    /// A secret's current version.
    pub async fn version(&self, node: &Node, secret: &str) -> u64 {
        let read = node.get(&format!("/secrets/{secret}"), &self.root).await;
        read.is(200).json()["version"].as_u64().expect("a number")
    }

    /// A child of a token with these scopes, divided by spaces.
    pub async fn child(&self, node: &Node, parent: &Token, scopes: &str) -> Token {
        let made = node
            .post("/tokens", ask(scopes), parent)
            .await
            .is(201)
            .json();
        let text = |key: &str| made[key].as_str().expect("text").to_owned();
        Token {
            text: text("token"),
            id: text("id"),
        }
    }

    /// What `/health/ready` answers.
    pub async fn get_ready(&self, node: &Node) -> u16 {
        node.open(reqwest::Method::GET, "/health/ready")
            .await
            .status()
    }

    /// Moves the clock of all nodes to this span after the machine's.
    pub fn set_clock(&self, ahead: Ttl) {
        replace(&self.path("clock"), &ahead.micros().to_string());
    }

    /// The log as an exported bundle, verified.
    pub async fn bundle(&self, node: &Node) -> Records {
        self.try_bundle(node).await.expect("the store answers")
    }

    /// The same, unless the store does not answer.
    pub async fn try_bundle(&self, node: &Node) -> Option<Records> {
        let asked = async |path| {
            let answer = node.get(path, &self.root).sent().await.ok()?;
            (answer.status() != 503).then(|| answer.is(200))
        };
        let key = asked("/audit/key").await?.json();
        let key = key["key"].as_str().expect("text").parse().expect("a key");
        let bundle = asked("/audit/bundle").await?;
        let report = coffer_audit_log::verify(bundle.bytes(), &key).expect("it verifies");
        let records = Records::of_bundle(&bundle.text());
        assert_eq!(report.records, records.all().len() as u64);
        Some(records)
    }

    /// The whole store agrees with its keys and its log; on SQLite no node may be running.
    pub async fn check(&self) {
        let checked = self.run("a", &["check"]).await;
        let (out, err) = (text(&checked.stdout), text(&checked.stderr));
        assert_eq!(checked.status.code(), Some(0), "{out}{err}");
    }

    /// A connection to the PostgreSQL database, past every node.
    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.url)
            .await
            .expect("PostgreSQL answers")
    }

    /// Runs statements as somebody who may write to the database.
    pub async fn alter(&self, script: &str) {
        let mut connection = self.database().await;
        let ran = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
        ran.execute(&mut connection).await.expect("a script");
        connection.close().await.expect("it ends");
    }

    /// The database, for who writes to it past every node.
    pub fn database_url(&self) -> DatabaseUrl {
        match self.url.strip_prefix("sqlite://") {
            Some(path) => DatabaseUrl::Sqlite(path.into()),
            None => DatabaseUrl::Postgres(self.url.clone()),
        }
    }

    /// A number that the database answers.
    pub async fn number(&self, query: &str) -> i64 {
        let mut connection = self.database().await;
        let row = sqlx::query(AssertSqlSafe(query.to_owned()));
        let row = row.fetch_one(&mut connection).await.expect("a row");
        connection.close().await.expect("it ends");
        row.get(0)
    }

    /// The authority that its nodes' certificate is signed by, in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Copies a node's state directory to another name; the node does not run.
    pub fn keep_state(&self, node: &str, name: &str) {
        let [from, to] = [node, name].map(|name| self.path(&format!("{name}.state")));
        if to.exists() {
            std::fs::remove_dir_all(&to).expect("an older copy goes");
        }
        copy_folder(&from, &to);
    }

    /// Puts a copy back into a node's place.
    pub fn put_state_back(&self, node: &str, name: &str) {
        self.keep_state(name, node);
    }

    /// A file beside the database.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, node: &str, start: &Start<'_>) -> PathBuf {
        let state = start.state.unwrap_or(node);
        let url = start.url.unwrap_or(&self.url);
        let further = &self.database;
        let config = self.path(&format!("{state}.toml"));
        let text = format!(
            "listen = \"127.0.0.1:0\"\nnode = \"{node}\"\nstate_dir = \"{state}.state\"\n\
             [database]\nurl = \"{url}\"\n{further}[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n\
             [seal]\nkind = \"file\"\nfile = \"root.key\"\n[log]\nformat = \"json\"\nlevel = \"{level}\"\n\
             [outbound]\nallow = [\"127.0.0.0/8\"]\n[metrics]\nlisten = \"127.0.0.1:0\"\n{more}",
            level = left::level(),
            more = start.config
        );
        replace(&config, &text);
        config
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    let mode = std::fs::metadata(from).expect("it is there").permissions();
    std::fs::set_permissions(to, mode).expect("it is ours");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("a file");
        }
    }
}

/// What asks for a token with these scopes, divided by spaces.
pub fn ask(scopes: &str) -> Value {
    let scopes: Vec<&str> = scopes.split(' ').collect();
    json!({ "scopes": scopes, "ttl": 86_400 })
}
