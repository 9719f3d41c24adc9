//! Built servers as processes of their own: founded by `init`, run by `serve`, killed and stopped as a machine would.
//! Several nodes share a PostgreSQL; one alone has a SQLite file. The log of a node and its failpoints are in a file.
//!
//! Invariant: a node is killed when its value is dropped, also by a test that panics.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use coffer::model::Ttl;
use coffer::store::Engine;
use tempfile::TempDir;

use super::client::{Client, Token};
use super::files::{certificate, write_private};
use super::{eventually, postgres};

/// The built server.
const SERVER: &str = env!("CARGO_BIN_EXE_coffer-server");

/// A cluster that was founded by `coffer-server init`, and the ground that its nodes stand on.
pub struct Cluster {
    /// The first token.
    pub root: Token,
    /// The URL of its database.
    pub database: String,
    folder: TempDir,
    authority: String,
}

/// How a node is started.
#[derive(Default)]
pub struct Setup {
    /// Its database, when a proxy stands before it.
    pub database: Option<String>,
    /// `COFFER_FAILPOINTS`
    pub failpoints: String,
    /// More arguments of `serve`.
    pub arguments: Vec<&'static str>,
}

/// A running `coffer-server serve`. Its [`Client`]'s methods are its own.
pub struct Node {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    client: Client,
    log: PathBuf,
}

impl Cluster {
    /// Founds a cluster on a database of its own.
    pub async fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = match engine {
            Engine::Sqlite => format!("sqlite://{}", folder.path().join("coffer.db").display()),
            Engine::Postgres => postgres::empty().await,
        };
        let (_, authority) = certificate(folder.path());
        let mut cluster = Self {
            root: Token {
                text: String::new(),
                id: "the first".to_owned(),
            },
            database,
            folder,
            authority,
        };
        let token = cluster.folder.path().join("token");
        let config = cluster.configure("a", &cluster.database);
        let founded = cluster
            .command("init", &config)
            .arg("--token-file")
            .arg(&token)
            .output();
        let founded = founded.expect("the built server runs");
        assert!(founded.status.success(), "{}", said(&founded));
        let text = fs::read_to_string(&token).expect("the first token");
        cluster.root.text = text.trim_end().to_owned();
        cluster
    }

    /// Starts a node and waits until it is ready.
    pub async fn node(&self, name: &str) -> Node {
        self.node_with(name, Setup::default()).await
    }

    /// Starts a node and waits until it is ready.
    pub async fn node_with(&self, name: &str, setup: Setup) -> Node {
        let mut starting = self.start(name, &setup);
        let address = eventually("the node listens", || {
            let ended = starting.child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "{}", read(&starting.log));
            let listening = listening(&starting.log);
            async move { listening }
        })
        .await;
        Node {
            address,
            client: Client::new(address, &self.authority),
            child: starting.child,
            log: starting.log,
        }
    }

    /// Starts a node that shall not come up, and gives what it said when it ended.
    pub async fn refused(&self, name: &str, setup: Setup) -> (ExitStatus, String) {
        let mut starting = self.start(name, &setup);
        let status = eventually("the node ends", || {
            let ended = starting.child.try_wait().expect("it can be asked");
            async move { ended }
        })
        .await;
        (status, read(&starting.log))
    }

    /// Moves the clock of all nodes on, to so long after the machine's.
    pub fn set_clock(&self, ahead: Ttl) {
        let (clock, new) = (self.clock(), self.folder.path().join("clock.new"));
        fs::write(&new, ahead.micros().to_string()).expect("it is written");
        fs::rename(&new, &clock).expect("it is renamed");
    }

    /// Runs a command of the server on this cluster, such as `check`.
    pub fn run(&self, command: &str) -> Output {
        let config = self.configure("a", &self.database);
        let output = self.command(command, &config).output();
        output.expect("the built server runs")
    }

    fn start(&self, name: &str, setup: &Setup) -> Starting {
        let database = setup.database.as_deref().unwrap_or(&self.database);
        let config = self.configure(name, database);
        let log = self.folder.path().join(format!("{name}.log"));
        let file = File::create(&log).expect("a log");
        let child = self
            .command("serve", &config)
            .args(&setup.arguments)
            .env("COFFER_FAILPOINTS", &setup.failpoints)
            .stderr(file)
            .spawn();
        Starting {
            child: child.expect("the built server runs"),
            log,
        }
    }

    fn configure(&self, name: &str, database: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.toml"));
        // A state directory is a node's own; key, certificate and seal are the cluster's.
        let text = format!(
            "listen = \"127.0.0.1:0\"\nnode = \"{name}\"\nstate_dir = \"{name}\"\n\
             [database]\nurl = \"{database}\"\nreaders = 4\n\
             [tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n\
             [seal]\nkind = \"file\"\nfile = \"root.key\"\n"
        );
        write_private(&path, &text);
        path
    }

    fn command(&self, command: &str, config: &Path) -> Command {
        let mut server = Command::new(SERVER);
        server
            .arg(command)
            .arg("--config")
            .arg(config)
            .env("COFFER_CLOCK_FILE", self.clock())
            .env("COFFER_ACCEPT_FSYNC_OFF", "1")
            .env_remove("COFFER_DATABASE_URL")
            .env_remove("COFFER_FAILPOINTS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        server
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}

/// A process that may become a node.
struct Starting {
    child: Child,
    log: PathBuf,
}

impl Node {
    /// The process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as `kill -9` does, and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Tells it to stop, and waits for its end.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the node ends", || {
            let ended = self.child.try_wait().expect("it can be asked");
            async move { ended }
        })
        .await
    }

    /// Stands still (SIGSTOP) until [`Self::go_on`].
    pub fn stand_still(&self) {
        self.signal("STOP");
    }

    /// Goes on after [`Self::stand_still`].
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// What it has written into its log, its failpoints included.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Whether a failpoint was met; a test fails that never meets the one it has armed.
    pub fn has_met(&self, point: &str) -> bool {
        self.log().contains(&format!("failpoint {point}: "))
    }

    fn signal(&self, signal: &str) {
        let process = self.process().to_string();
        let sent = Command::new("kill").args(["-s", signal, &process]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no {signal}");
    }
}

impl Deref for Node {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended long ago; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command that has ended said.
pub fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// The address in a log's line that says where a server listens.
fn listening(log: &Path) -> Option<SocketAddr> {
    let text = read(log);
    let events = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut events = events.filter(|event: &serde_json::Value| event["message"] == "listening");
    events.next()?["address"].as_str()?.parse().ok()
}

fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}
