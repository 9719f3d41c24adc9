//! `dev`: a whole server from nothing, in one directory: certificates, root key, SQLite store, first token.
//! Everything is kept, so that the next start goes on where this one ended. It is for trying out, not for secrets that matter:
//! the root key lies beside the store.
//!
//! Invariant: the port and `dev.env` are there only when the server answers, and never before.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use coffer::config::{
    Config, Database, DatabaseRoles, DatabaseUrl, Durability, Log, LogFormat, LogLevel, Outbound,
    READERS_DEFAULT, RETENTION_DEFAULT, SealSource,
};
use coffer::crypto::{Hardening, PlainToken};
use coffer::door::{Credential, Door, Request};
use coffer::http::tls::{CertificateFiles, Certificates};
use coffer::model::Ttl;
use coffer::operations::tokens::{MintFirstToken, ReadOwnToken};

use super::node::{Accepted, Ground};
use super::serve::{self, Server, Signals};
use super::{Failure, certificates, dev_env, init, log, runtime};

#[derive(Args)]
pub struct Dev {
    /// Where everything is kept [default: $XDG_DATA_HOME/coffer-dev, or ~/.local/share/coffer-dev].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8200")]
    listen: SocketAddr,
    /// Where to tell Prometheus what is counted, as 127.0.0.1:9200; a loopback address, and nowhere without.
    #[arg(long, value_name = "ADDR", value_parser = loopback)]
    metrics: Option<SocketAddr>,
    /// How long the first token lives: a number and s, m, h or d.
    #[arg(long, value_name = "DURATION", default_value = init::FIRST_TOKEN_TTL, value_parser = init::duration)]
    ttl: Ttl,
}

impl Dev {
    pub fn run(self, hardening: Hardening) -> Result<(), Failure> {
        let data = DataDir::find(self.data)?;
        data.make()?;
        let mut config = data.config(self.listen);
        config.metrics = self.metrics;
        log::begin(config.log);
        log::warn_of(hardening);
        let runtime = runtime(Some(&config))?;
        let ended = runtime.block_on(serve(&data, config, self.ttl));
        runtime.shutdown_timeout(serve::THREADS_TIME_MAX);
        ended
    }
}

async fn serve(data: &DataDir, config: Config, ttl: Ttl) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let server = tokio::select! {
        started = start(data, config, ttl) => started?,
        () = signals.stop() => return Ok(()),
    };
    server.run(signals).await
}

async fn start(data: &DataDir, config: Config, ttl: Ttl) -> Result<Server, Failure> {
    let outbound = serve::outbound(&config)?;
    let ground = Ground::open(&config).await?;
    // From here on no other server uses this directory.
    let last = dev_env::put_aside(&data.0)?;
    certificates::make(&data.0, config.listen, ground.clock.now())?;
    let files = CertificateFiles {
        certificate: config.certificate.clone(),
        key: config.key.clone(),
    };
    let certificates = Certificates::load(files).map_err(Failure::failed)?;
    let metrics = Arc::clone(&ground.metrics);
    let (sealed, first) = match ground.sealed().await? {
        Some(sealed) => (sealed, None),
        None => {
            let node = "dev".parse().expect("a name");
            let first = ground.found(&config.seal, None, node, ttl).await?;
            let sealed = ground
                .sealed()
                .await?
                .ok_or_else(super::node::not_founded)?;
            (sealed, Some(first))
        }
    };
    let root = sealed
        .root(&config.seal)
        .await?
        .ok_or_else(super::node::not_founded)?;
    let accepted = Accepted::default();
    let opened = serve::open(ground, &sealed, root, &config, accepted, outbound).await?;
    let token = match first {
        Some(first) => first,
        None => living_token(&opened.door, last, ttl).await?,
    };
    let server = Server::listen(config, certificates, metrics, Some(opened)).await?;
    let file = dev_env::write(&data.0, server.address, &token)?;
    greet(server.address, &file);
    Ok(server)
}

/// The last server's token while it lives; a new one, as the first was, when it does not.
async fn living_token(
    door: &Door,
    last: Option<PlainToken>,
    ttl: Ttl,
) -> Result<PlainToken, Failure> {
    let failed = |what: &str, refusal: coffer::model::Refusal| {
        Failure::failed(format!(
            "The token could not be {what} ({}).",
            refusal.code()
        ))
    };
    if let Some(last) = last {
        // Asked as any bearer asks, and recorded as such.
        let shown = Credential::of_token(last.expose().as_bytes());
        let request = Request {
            credential: shown,
            id: door.request_id(),
            source: None,
            user_agent: None,
            metadata: None,
        };
        match door.run(request, ReadOwnToken).await {
            Ok(_) => return Ok(last),
            Err(coffer::model::Refusal::Unauthenticated(_)) => {}
            Err(refusal) => return Err(failed("looked up", refusal)),
        }
    }
    let minted = door.run_system("dev", MintFirstToken { ttl }).await;
    minted
        .map(|answer| answer.reply)
        .map_err(|refusal| failed("made", refusal))
}

fn greet(address: SocketAddr, file: &Path) {
    let file = file.display();
    println!(
        "Coffer is ready at https://{address}. This is a server to try things out: its root key lies beside its store.\n\
         \n\
         In another terminal:\n\
         \n    set -a; . {file}; set +a\n    coffer project create demo\n    coffer env create demo/dev\n    coffer set demo/dev/stripe api_key\n    coffer get demo/dev/stripe api_key\n\
         \n\
         Ctrl-C stops it; what you stored stays."
    );
}

/// An address that this machine alone reaches.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok();
    let loopback = address.filter(|address| address.ip().to_canonical().is_loopback());
    loopback.ok_or_else(|| "it takes a loopback address and a port, as 127.0.0.1:9200".to_owned())
}

/// The directory of a `dev` server.
pub struct DataDir(PathBuf);

impl DataDir {
    /// The one that is named, or the user's own.
    pub fn find(named: Option<PathBuf>) -> Result<Self, Failure> {
        let of = |variable| {
            std::env::var_os(variable)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let own = || of("XDG_DATA_HOME").or_else(|| Some(of("HOME")?.join(".local/share")));
        let path = match named {
            Some(path) => path,
            None => own()
                .ok_or_else(|| {
                    Failure::usage("There is no home directory: name one with --data DIR.")
                })?
                .join("coffer-dev"),
        };
        let path = std::path::absolute(&path).map_err(|error| {
            Failure::usage(format!("{} is no directory ({error}).", path.display()))
        })?;
        Ok(Self(path))
    }

    fn make(&self) -> Result<(), Failure> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        made.map_err(|error| {
            Failure::failed(format!("{} cannot be made ({error}).", self.0.display()))
        })
    }

    /// The configuration of a server that keeps everything here.
    pub fn config(&self, listen: SocketAddr) -> Config {
        let at = |name: &str| self.0.join(name);
        Config {
            listen,
            node: None,
            state_dir: at("state"),
            database: Database {
                url: DatabaseUrl::Sqlite(at("coffer.db")),
                roles: DatabaseRoles::default(),
                readers: READERS_DEFAULT,
            },
            certificate: at(certificates::CERTIFICATE),
            key: at(certificates::KEY),
            seal: SealSource::File(at("root.key")),
            trusted_proxies: Vec::new(),
            log: Log {
                level: LogLevel::Info,
                format: LogFormat::Text,
            },
            outbound: Outbound {
                loopback: true,
                ..Outbound::default()
            },
            metrics: None,
            workers: None,
            retention: Some(RETENTION_DEFAULT),
            durability: Durability::Durable,
        }
    }

    /// Where the server of this directory listens, and with which certificate.
    pub fn listening(&self) -> Result<(SocketAddr, PathBuf), Failure> {
        let address = dev_env::address(&self.0);
        let address = address.ok_or_else(|| {
            Failure::new(super::UNAVAILABLE, "No server of this directory is ready.")
        })?;
        Ok((address, self.0.join(certificates::CERTIFICATE)))
    }
}
