//! Built servers, as an operator runs them: `init`, then `serve` beside one another on one database, by signal and exit code.
//! Points are armed and the clock is moved through files, and what a node prints is kept.
//!
//! Invariant: a node ends with its test, and two nodes are two processes.

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use coffer::model::Ttl;
use coffer::store::Engine;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tempfile::TempDir;

use super::client::{Client, Token};
use super::records::Records;
use super::{eventually, postgres, vault};

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

const SERVER: &str = env!("CARGO_BIN_EXE_coffer-server");

/// A founded cluster: a database, a root key, and a folder for each node.
pub struct Cluster {
    /// The token that may do everything.
    pub root: Token,
    /// Which database it is on.
    pub engine: Engine,
    /// The database, without any proxy.
    pub url: String,
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
    /// Further variables.
    pub env: &'a [(&'a str, &'a str)],
}

/// A running server. Its [`Client`]'s methods are its own.
pub struct Node {
    child: Mutex<Child>,
    /// Its process.
    pub pid: u32,
    said: Arc<Said>,
    points: PathBuf,
    client: Client,
}

/// What a process has printed on stderr.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    closed: AtomicBool,
}

/// A server that did not start, or has ended: its exit code and its last words.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; nothing when a signal ended it.
    pub code: Option<i32>,
    /// The last line on stderr.
    pub sentence: String,
}

impl Cluster {
    /// A cluster that `coffer-server init` founded for a node `a`, which is not started.
    pub async fn new(engine: Engine) -> Self {
        let cluster = Self::unfounded(engine).await;
        let ended = cluster.init("a").await;
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        let plain = std::fs::read_to_string(cluster.path("a.token")).expect("a token");
        Self {
            root: Token {
                text: plain.trim().to_owned(),
                id: "the first".to_owned(),
            },
            ..cluster
        }
    }

    /// An empty database, and nothing else.
    pub async fn unfounded(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}", folder.path().join("coffer.db").display()),
            Engine::Postgres => postgres::empty().await,
        };
        let (_, authority) = vault::certificate(folder.path());
        Self {
            root: Token {
                text: String::new(),
                id: String::new(),
            },
            engine,
            url,
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
        ran.expect("no panic").expect("coffer-server can be run")
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
        command.env("COFFER_FAILPOINTS", start.points);
        command.env("COFFER_FAILPOINTS_FILE", &points);
        command.env("COFFER_CLOCK_FILE", self.path("clock"));
        command.envs(start.env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let (pid, stderr) = (child.id(), child.stderr.take().expect("a pipe"));
        let said = Arc::new(Said::default());
        let hearing = Arc::clone(&said);
        std::thread::spawn(move || hearing.hear(stderr));
        let child = Mutex::new(child);
        let address = eventually("a node listens, or ends", || async {
            match said.find(address) {
                Some(address) => Some(Ok(address)),
                None => said.ended(&child).map(Err),
            }
        });
        let client = Client::new(address.await?.parse().expect("an address"), &self.authority);
        Ok(Node {
            child,
            pid,
            said,
            points,
            client,
        })
    }

    /// Makes a project and an environment, as `project/environment`.
    pub async fn place(&self, node: &Node, place: &str) {
        let (project, environment) = place.split_once('/').expect("project/environment");
        node.post("/projects", json!({ "name": project }), &self.root).await;
        let path = format!("/projects/{project}/environments");
        let made = node.post(&path, json!({ "name": environment }), &self.root);
        made.await.is(201);
    }

    /// Writes a secret of one field `v`, as the root.
    pub async fn set(&self, node: &Node, secret: &str, value: impl Into<Value>) {
        let body = json!({ "fields": { "v": value.into() } });
        let written = node.put(&format!("/secrets/{secret}"), body, &self.root).await;
        assert!(matches!(written.status(), 200 | 201), "{}", written.text());
    }

    /// Reads that field, as the root.
    pub async fn value(&self, node: &Node, secret: &str) -> String {
        let read = node.get(&format!("/secrets/{secret}"), &self.root).await;
        read.is(200).json()["fields"]["v"].as_str().expect("text").to_owned()
    }

    /// A secret's current version.
    pub async fn version(&self, node: &Node, secret: &str) -> u64 {
        let read = node.get(&format!("/secrets/{secret}"), &self.root).await;
        read.is(200).json()["version"].as_u64().expect("a number")
    }

    /// A child of a token with these scopes, divided by spaces.
    pub async fn child(&self, node: &Node, parent: &Token, scopes: &str) -> Token {
        let made = node.post("/tokens", ask(scopes), parent).await.is(201).json();
        let text = |key: &str| made[key].as_str().expect("text").to_owned();
        Token {
            text: text("token"),
            id: text("id"),
        }
    }

    /// What `/health/ready` answers.
    pub async fn get_ready(&self, node: &Node) -> u16 {
        node.open(reqwest::Method::GET, "/health/ready").await.status()
    }

    /// Moves the clock of all nodes to this span after the machine's.
    pub fn set_clock(&self, ahead: Ttl) {
        replace(&self.path("clock"), &ahead.micros().to_string());
    }

    /// The log as an exported bundle, verified.
    pub async fn bundle(&self, node: &Node) -> Records {
        let key = node.get("/audit/key", &self.root).await.is(200).json();
        let key = key["key"].as_str().expect("text").parse().expect("a key");
        let bundle = node.get("/audit/bundle", &self.root).await.is(200);
        let report = coffer_audit_log::verify(bundle.bytes(), &key).expect("it verifies");
        let records = Records::of_bundle(&bundle.text());
        assert_eq!(report.records, records.all().len() as u64);
        records
    }

    /// The whole store agrees with its keys and its log; on SQLite no node may be running.
    pub async fn check(&self) {
        let checked = self.run("a", &["check"]).await;
        let (out, err) = (text(&checked.stdout), text(&checked.stderr));
        assert_eq!(checked.status.code(), Some(0), "{out}{err}");
    }

    /// A connection to the PostgreSQL database, past every node.
    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("PostgreSQL answers")
    }

    /// Runs statements as somebody who may write to the database.
    pub async fn alter(&self, script: &str) {
        let mut connection = self.database().await;
        let ran = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
        ran.execute(&mut connection).await.expect("a script");
        connection.close().await.expect("it ends");
    }

    /// A number that the database answers.
    pub async fn number(&self, query: &str) -> i64 {
        let mut connection = self.database().await;
        let row = sqlx::query(AssertSqlSafe(query.to_owned()));
        let row = row.fetch_one(&mut connection).await.expect("a row");
        connection.close().await.expect("it ends");
        row.get(0)
    }

    /// A file beside the database.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, node: &str, start: &Start<'_>) -> PathBuf {
        let state = start.state.unwrap_or(node);
        let url = start.url.unwrap_or(&self.url);
        let config = self.path(&format!("{state}.toml"));
        let text = format!(
            "listen = \"127.0.0.1:0\"\nnode = \"{node}\"\nstate_dir = \"{state}.state\"\n\
             [database]\nurl = \"{url}\"\n[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n\
             [seal]\nkind = \"file\"\nfile = \"root.key\"\n[log]\nformat = \"json\"\n"
        );
        replace(&config, &text);
        config
    }
}

impl Node {
    /// Arms points of the running node, from the next one that it passes.
    pub fn arm(&self, points: &str) {
        replace(&self.points, points);
    }

    /// Waits until an armed point was met.
    pub async fn met(&self, point: &str) {
        let hit = format!("failpoint {point}: ");
        let seen = || async { self.has_said(&hit).then_some(()) };
        eventually(&hit, seen).await;
    }

    /// Whether a line that it printed holds this.
    pub fn has_said(&self, part: &str) -> bool {
        self.said.find(|line| line.contains(part).then_some(())).is_some()
    }

    /// Ends it as `kill -9` does, and waits for that.
    pub async fn kill(&self) {
        self.signal("-KILL");
        self.ended().await;
    }

    /// Stops it as SIGSTOP does, and waits until it stands.
    pub async fn stop(&self) {
        self.signal("-STOP");
        self.stopped().await;
    }

    /// Waits until it stands.
    pub async fn stopped(&self) {
        let stat = format!("/proc/{}/stat", self.pid);
        eventually("a node stands", || async {
            let stat = std::fs::read_to_string(&stat).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            rest.starts_with('T').then_some(())
        })
        .await;
    }

    /// Lets it go on; a task that is held goes on as well.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Tells it to end, and waits for that.
    pub async fn end(self) -> Ended {
        self.signal("-TERM");
        self.ended().await
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Ended {
        eventually("a node ends", || async { self.said.ended(&self.child) }).await
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([signal, &self.pid.to_string()]).status();
        assert!(sent.expect("kill runs").success(), "{signal}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(|lock| lock.into_inner());
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Deref for Node {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// What asks for a token with these scopes, divided by spaces.
pub fn ask(scopes: &str) -> Value {
    let scopes: Vec<&str> = scopes.split(' ').collect();
    json!({ "scopes": scopes, "ttl": 86_400 })
}

impl Said {
    fn hear(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.contains("WARN") { eprintln!("NODE {line}"); }
            self.lines.lock().expect("no panic").push(line);
        }
        self.closed.store(true, Ordering::Release);
    }

    fn find<T>(&self, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        let lines = self.lines.lock().expect("no panic");
        lines.iter().find_map(|line| look(line))
    }

    /// How it ended, once it has and its last line was heard.
    fn ended(&self, child: &Mutex<Child>) -> Option<Ended> {
        if !self.closed.load(Ordering::Acquire) {
            return None;
        }
        let status = child.lock().expect("no panic").try_wait();
        let status = status.expect("a child")?;
        let last = self.lines.lock().expect("no panic").last().cloned();
        Some(Ended {
            code: status.code(),
            sentence: last.unwrap_or_default(),
        })
    }
}

fn address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Replaces a file by renaming, so that it is never read half written.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).expect("a file is written");
    std::fs::rename(&new, path).expect("a file is renamed");
}
