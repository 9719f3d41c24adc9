//! One Coffer server as a process of its own: configured, initialised, started, asked, stopped.
//! Everything it keeps is below the run's directory; its log is a file there.
//!
//! Invariant: a node answers `ready` before anything is sent to it.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Uri};
use serde::Deserialize;

use crate::client::{Connection, bearer, request};
use crate::failure::{Context, Failure, Result};
use crate::process::{self, Cores, Place, Process};
use crate::tls::{Certificate, Client};

/// How often a server that starts is asked whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long a server may take to be ready.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// What a node is made of.
pub struct Plan<'a> {
    /// The built server.
    pub server: &'a Path,
    /// Its own directory, which exists.
    pub directory: PathBuf,
    /// The certificate of the run.
    pub certificate: &'a Certificate,
    /// `database.url`.
    pub database: String,
    /// Further lines of its configuration.
    pub config: String,
    /// Its name.
    pub name: &'static str,
    /// Cores of the run, and its place among them.
    pub cores: Cores,
    /// See [`Place`].
    pub place: Place,
}

/// A running server.
pub struct Node {
    process: Process,
    started: Started,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it tells what it counts.
    pub metrics: SocketAddr,
    /// The first token.
    pub root: HeaderValue,
}

/// How it was started, and can be again.
struct Started {
    address: SocketAddr,
    metrics: SocketAddr,
    server: PathBuf,
    config: PathBuf,
    directory: PathBuf,
    cores: Cores,
    place: Place,
}

/// The tree of a stream as a head tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Head {
    /// Records under it.
    pub size: u64,
}

#[derive(Deserialize)]
struct Heads {
    heads: Vec<Head>,
}

impl Node {
    /// Makes the store with its first token, and starts a server on it.
    pub async fn init(plan: Plan<'_>, client: &Client) -> Result<Self> {
        let addresses = [process::free_address()?, process::free_address()?];
        let config = plan.write_config(addresses)?;
        let token = plan.directory.join("token");
        let made = Command::new(plan.server)
            .arg("init")
            .arg("--config")
            .arg(&config)
            .arg("--token-file")
            .arg(&token)
            .output()
            .context("coffer-server init")?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(Failure(format!("coffer-server init failed: {said}")));
        }
        let token = std::fs::read_to_string(&token).context("the first token")?;
        let root = bearer(token.trim())?;
        Self::serve(plan.started(config, addresses), root, client).await
    }

    /// Starts a server of another name on a store that `first` has made.
    pub async fn join(plan: Plan<'_>, first: &Self, client: &Client) -> Result<Self> {
        let addresses = [process::free_address()?, process::free_address()?];
        let config = plan.write_config(addresses)?;
        let root = first.root.clone();
        Self::serve(plan.started(config, addresses), root, client).await
    }

    /// Stops it, and starts it on what it left; how long it took from there until it was ready.
    pub async fn restart(self, client: &Client) -> Result<(Self, Duration)> {
        let Self {
            process,
            started,
            root,
            ..
        } = self;
        process.stop()?;
        let begun = Instant::now();
        let node = Self::serve(started, root, client).await?;
        Ok((node, begun.elapsed()))
    }

    async fn serve(started: Started, root: HeaderValue, client: &Client) -> Result<Self> {
        let mut command = started.cores.command(started.place, &started.server);
        command.arg("serve").arg("--config").arg(&started.config);
        let log = started.directory.join("server.log");
        let mut node = Self {
            process: Process::start("coffer-server", &mut command, log)?,
            address: started.address,
            metrics: started.metrics,
            started,
            root,
        };
        node.wait(client).await?;
        Ok(node)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its file, if its store is one.
    pub fn sqlite_file(&self) -> PathBuf {
        self.started.directory.join("coffer.db")
    }

    /// The first token itself.
    pub fn root_token(&self) -> Result<&str> {
        let root = self.root.to_str().ok();
        root.and_then(|root| root.strip_prefix("Bearer "))
            .context("the first token")
    }

    /// The heads of all streams.
    pub async fn heads(&self, client: &Client) -> Result<Vec<Head>> {
        let mut connection = Connection::open(client, self.address).await?;
        let path = Uri::from_static("/api/v1/audit/head");
        let body = connection
            .ask(request(Method::GET, &path, &self.root, Bytes::new()))
            .await?;
        let heads: Heads = serde_json::from_slice(&body).context("the log's heads")?;
        Ok(heads.heads)
    }

    /// What it said at its start of the settings of its own sessions, which nobody else can see.
    pub fn durability(&self) -> Option<String> {
        self.process.logged("durability")
    }

    /// Stops it as an operator does, and waits for its end.
    pub fn stop(self) -> Result<()> {
        self.process.stop()
    }

    async fn wait(&mut self, client: &Client) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.process.check()?;
            let failure = match self.is_ready(client).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if begun.elapsed() > START_TIME_MAX {
                return Err(Failure(format!("coffer-server is not ready: {failure}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn is_ready(&self, client: &Client) -> Result<()> {
        let mut connection = Connection::open(client, self.address).await?;
        let path = Uri::from_static("/health/ready");
        let ready = request(Method::GET, &path, &self.root, Bytes::new());
        connection.ask(ready).await.map(drop)
    }
}

impl Plan<'_> {
    fn started(self, config: PathBuf, [address, metrics]: [SocketAddr; 2]) -> Started {
        Started {
            address,
            metrics,
            server: self.server.to_owned(),
            config,
            directory: self.directory,
            cores: self.cores,
            place: self.place,
        }
    }

    /// A whole configuration: one worker, as the bare route has.
    fn write_config(&self, [address, metrics]: [SocketAddr; 2]) -> Result<PathBuf> {
        let text = format!(
            "listen = \"{address}\"\n\
             node = \"{name}\"\n\
             state_dir = \"state\"\n\
             [database]\n\
             url = \"{database}\"\n\
             [tls]\n\
             certificate = \"{certificate}\"\n\
             key = \"{key}\"\n\
             [seal]\n\
             kind = \"file\"\n\
             file = \"../root.key\"\n\
             [log]\n\
             level = \"info\"\n\
             format = \"text\"\n\
             [metrics]\n\
             listen = \"{metrics}\"\n\
             [runtime]\n\
             workers = 1\n\
             {config}",
            name = self.name,
            database = self.database,
            config = self.config,
            certificate = self.certificate.chain.display(),
            key = self.certificate.key.display(),
        );
        let path = self.directory.join("coffer.toml");
        // It may hold the database's password.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .context("the configuration")?;
        std::io::Write::write_all(&mut file, text.as_bytes()).context("the configuration")?;
        Ok(path)
    }
}
