//! The commands of `coffer-server`, one file each, and what they share: how the parts are built and handed on.
//! Order of a start: configuration, store, schema, root key, door, and only then a port.
//!
//! Invariant: every failure is one sentence on stderr and an exit code of the design, and none holds a secret.

mod certificates;
mod check;
mod database;
mod dev;
mod dev_env;
mod health;
mod init;
mod log;
mod node;
mod serve;
mod terminal;
mod unseal;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use coffer::config::{
    Config, DATABASE_URL_VARIABLE, DatabaseVariables, KEEPER_URL_VARIABLE, OWNER_URL_VARIABLE,
};
use coffer::crypto::Hardening;
use tokio::runtime::Runtime;

/// Exit code: it failed.
pub const FAILED: u8 = 1;
/// Exit code: it was asked for wrongly.
pub const USAGE: u8 = 2;
/// Exit code: sealed, fenced or not there.
pub const UNAVAILABLE: u8 = 5;
/// Exit code: something does not verify.
pub const TAMPERED: u8 = 6;

/// Why a command ends badly: one sentence.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    sentence: String,
}

impl Failure {
    fn new(code: u8, sentence: impl fmt::Display) -> Self {
        Self {
            code,
            sentence: sentence.to_string(),
        }
    }

    fn failed(sentence: impl fmt::Display) -> Self {
        Self::new(FAILED, sentence)
    }

    fn usage(sentence: impl fmt::Display) -> Self {
        Self::new(USAGE, sentence)
    }
}

impl fmt::Display for Failure {
    /// Begins with a small letter, behind the program's name, unless that is a name itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// What the server can be asked to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run a server to try things out: it makes its own certificate, keys and store, and keeps them.
    Dev(dev::Dev),
    /// Run a server by a configuration file.
    Serve(serve::Serve),
    /// Found a cluster in an empty store, and give its first token.
    Init(init::Init),
    /// Give the passphrase to a server on this machine that is sealed.
    Unseal(unseal::Unseal),
    /// Say whether the server on this machine is ready: exit code 0 or 5.
    Health(health::Health),
    /// Bring the store's tables to this server's schema.
    Migrate(check::Migrate),
    /// What Coffer asks of its database: `database roles` prints it for PostgreSQL.
    #[command(subcommand)]
    Database(database::Database),
    /// Verify the whole store against its keys and its audit log: exit code 0 or 6.
    Check(check::Check),
}

impl Command {
    /// Does what was asked.
    pub fn run(self, hardening: Hardening) -> Result<(), Failure> {
        // One provider for every TLS connection of the process, also those of the database driver.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        match self {
            Self::Dev(dev) => dev.run(hardening),
            Self::Serve(serve) => serve.run(hardening),
            Self::Init(init) => init.run(),
            Self::Unseal(unseal) => unseal.run(),
            Self::Health(health) => health.run(),
            Self::Migrate(migrate) => migrate.run(),
            Self::Database(database) => database.run(),
            Self::Check(check) => check.run(),
        }
    }
}

/// `--config FILE`.
#[derive(Args)]
pub struct ConfigFile {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "COFFER_CONFIG")]
    config: PathBuf,
}

impl ConfigFile {
    fn read(&self) -> Result<Config, Failure> {
        let variables = DatabaseVariables {
            url: variable(DATABASE_URL_VARIABLE)?,
            keeper_url: variable(KEEPER_URL_VARIABLE)?,
            owner_url: variable(OWNER_URL_VARIABLE)?,
        };
        Config::read(&self.config, &variables).map_err(Failure::usage)
    }
}

fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::usage(format!("The variable {name} is not UTF-8.")))
        }
    }
}

/// `--config FILE` or `--data DIR`.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct ConfigOrData {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory of a `dev` server, which must not be running.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl ConfigOrData {
    fn read(self) -> Result<Config, Failure> {
        match (self.config, self.data) {
            (Some(config), _) => ConfigFile { config }.read(),
            (None, data) => {
                let data = dev::DataDir::find(data)?;
                Ok(data.config(SocketAddr::from(([127, 0, 0, 1], 0))))
            }
        }
    }
}

/// How long a thread that waits for disks and scans is kept for the next such work. They take turns, so that with a second
/// or more as many would stay as were ever busy at once, each with memory of its own.
const IDLE_THREAD_KEPT: Duration = Duration::from_millis(100);

/// The runtime that a command's work runs on.
fn runtime(config: Option<&Config>) -> Result<Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.and_then(|config| config.workers) {
        builder.worker_threads(workers.get());
    }
    builder.thread_keep_alive(IDLE_THREAD_KEPT);
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| {
        Failure::failed(format!("The server's threads cannot be started ({error})."))
    })
}
