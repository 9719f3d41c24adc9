//! The configuration file: TOML, every key known, every mistake one sentence that names the key and no value.
//! A path that is not absolute is taken from the file's own directory.
//!
//! Invariant: a configuration that parses is complete; nothing is looked up or made good later.

mod audit;
mod database;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod metrics;
mod network;
mod outbound;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::model::{Name, Ttl};

pub use audit::{Durability, RETENTION_DEFAULT};
pub use database::{
    DATABASE_URL_VARIABLE, Database, DatabaseRoles, DatabaseUrl, DatabaseVariables,
    KEEPER_URL_VARIABLE, OWNER_URL_VARIABLE, READERS_DEFAULT,
};
pub use network::Network;
pub use outbound::{Exception, Outbound};

/// Longest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Threads that run requests, at most.
const WORKERS_MAX: usize = 256;
/// Longest key that a sentence repeats, in bytes.
const QUOTED_KEY_BYTES_MAX: usize = 64;

/// Everything a server needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The node's name; the state directory remembers one when this is absent.
    pub node: Option<Name>,
    /// The node's name, boot id, last head, spool and unseal socket.
    pub state_dir: PathBuf,
    /// The store.
    pub database: Database,
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Where the root key comes from.
    pub seal: SealSource,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// What is logged, and how.
    pub log: Log,
    /// What may be called besides public addresses over TLS.
    pub outbound: Outbound,
    /// Where it tells Prometheus what it counts; nowhere without.
    pub metrics: Option<SocketAddr>,
    /// Threads that run requests; as many as there are cores without.
    pub workers: Option<NonZeroUsize>,
    /// How long records are kept whole; for ever without.
    pub retention: Option<Ttl>,
    /// What the record of a read survives.
    pub durability: Durability,
}

/// Where the root key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealSource {
    /// A file of 64 hexadecimal digits.
    File(PathBuf),
    /// A passphrase: from this file, or without one by `unseal`.
    Passphrase(Option<PathBuf>),
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least that is logged.
    pub level: LogLevel,
    /// One line of text or of JSON for each event.
    pub format: LogFormat,
}

/// The least that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word in a filter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For programs.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Why a configuration is refused: one sentence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl Config {
    /// Reads a file, and of the database what the environment says instead.
    ///
    /// # Errors
    /// One sentence that names the key.
    pub fn read(path: &Path, variables: &DatabaseVariables) -> Result<Self, ConfigError> {
        let refused =
            |why: String| ConfigError(format!("The configuration {} {why}.", path.display()));
        let unread = |error: std::io::Error| refused(format!("cannot be read: {error}"));
        let length = std::fs::metadata(path).map_err(unread)?.len();
        if length > FILE_BYTES_MAX {
            return Err(refused("has more than 64 KiB".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let path = std::path::absolute(path).map_err(unread)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, directory, variables).map_err(refused)
    }

    /// Makes a configuration of TOML; the error is a clause.
    fn parse(text: &str, directory: &Path, variables: &DatabaseVariables) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| said(text, &error))?;
        let at = |path: &str| directory.join(path);
        let listen = file
            .listen
            .parse()
            .map_err(|_| key("listen", "takes an address and a port, as 0.0.0.0:8200"))?;
        let node = file.node.map(|node| {
            node.parse()
                .map_err(|why: &str| key("node", &format!("is refused: {why}")))
        });
        let database = file.database.database(variables, directory)?;
        let workers = file.runtime.workers;
        if workers.is_some_and(|workers| workers.get() > WORKERS_MAX) {
            return Err(key(
                "runtime.workers",
                &format!("takes at most {WORKERS_MAX}"),
            ));
        }
        if file.trusted_proxies.len() > 256 {
            return Err(key("trusted_proxies", "takes at most 256 networks"));
        }
        let network = |text: &String| {
            text.parse().map_err(|()| key("trusted_proxies", "takes addresses and networks, as 10.0.0.0/8, with no bit set beyond the prefix"))
        };
        Ok(Self {
            listen,
            node: node.transpose()?,
            state_dir: at(&file.state_dir),
            database,
            certificate: at(&file.tls.certificate),
            key: at(&file.tls.key),
            seal: file.seal.source(at)?,
            trusted_proxies: file
                .trusted_proxies
                .iter()
                .map(network)
                .collect::<Result<_, _>>()?,
            log: file.log,
            outbound: file.outbound.outbound(at)?,
            metrics: file.metrics.listen()?,
            workers,
            retention: file.audit.retention()?,
            durability: file.audit.durability,
        })
    }
}

fn key(name: &str, what: &str) -> String {
    format!("is refused: the key `{name}` {what}")
}

/// What TOML's own texts say, without the values that they quote.
fn said(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| {
        text.get(..span.start).unwrap_or(text).matches('\n').count() + 1
    });
    let quoted = |before: &str| {
        let name = error.message().strip_prefix(before)?.split('`').next()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        (name.len() <= QUOTED_KEY_BYTES_MAX && name.bytes().all(plain)).then(|| name.to_owned())
    };
    if let Some(name) = quoted("unknown field `") {
        return format!("has the unknown key `{name}` in line {line}");
    }
    if let Some(name) = quoted("missing field `") {
        return format!("lacks the key `{name}`");
    }
    if error.message().contains("duplicate key") {
        return format!("has a key twice, the second time in line {line}");
    }
    if error.message().starts_with("unknown variant") {
        let known = error
            .message()
            .split_once(", expected ")
            .map_or("another word", |(_, known)| known);
        return format!("has a word in line {line} that is not {known}");
    }
    if error.message().starts_with("invalid") && error.message().contains("expected") {
        return format!("has a value of the wrong type or range in line {line}");
    }
    format!("is not TOML: see line {line}")
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: String,
    node: Option<String>,
    state_dir: String,
    #[serde(default)]
    database: database::DatabaseSection,
    tls: TlsSection,
    seal: SealSection,
    #[serde(default)]
    trusted_proxies: Vec<String>,
    #[serde(default)]
    log: Log,
    #[serde(default)]
    outbound: outbound::OutboundSection,
    #[serde(default)]
    metrics: metrics::MetricsSection,
    #[serde(default)]
    runtime: RuntimeSection,
    #[serde(default)]
    audit: audit::AuditSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    certificate: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealSection {
    kind: SealKind,
    file: Option<String>,
    passphrase_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum SealKind {
    File,
    Passphrase,
}

impl SealSection {
    fn source(self, at: impl Fn(&str) -> PathBuf) -> Result<SealSource, String> {
        match (self.kind, self.file, self.passphrase_file) {
            (SealKind::File, Some(file), None) => Ok(SealSource::File(at(&file))),
            (SealKind::File, None, _) => Err(key("seal.file", "is missing")),
            (SealKind::File, _, Some(_)) => Err(key(
                "seal.passphrase_file",
                "does not belong to the seal `file`",
            )),
            (SealKind::Passphrase, None, file) => {
                Ok(SealSource::Passphrase(file.as_deref().map(at)))
            }
            (SealKind::Passphrase, Some(_), _) => {
                Err(key("seal.file", "does not belong to the seal `passphrase`"))
            }
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuntimeSection {
    workers: Option<NonZeroUsize>,
}
