//! `serve`: a node by its configuration, from the first line of the file to the last record.
//! A file seal opens before the port does; a passphrase without a file lets the server start sealed, until `unseal`.
//!
//! Invariant: a stop lets what has begun end, closes the log, and only then ends the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use coffer::config::Config;
use coffer::crypto::{Hardening, RootKey, locked_memory};
use coffer::door::Door;
use coffer::fault;
use coffer::http::tls::{CertificateFiles, Certificates};
use coffer::http::{App, NodeFacts, scrape, server};
use coffer::jobs::{self, Refresher};
use coffer::metrics::Metrics;
use coffer::model::Ttl;
use coffer::outbound::Outbound;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::node::{self, Accepted, Ground, Sealed};
use super::{ConfigFile, Failure, log, runtime, unseal};

/// From the end of the drain to the end of the jobs.
const JOBS_TIME_MAX: Duration = Duration::from_secs(5);
/// Calls on their way to a provider: until their answers are in the spool. Longer than any call takes.
const CALLS_TIME_MAX: Duration = Duration::from_secs(50);
/// The closing record of a store that may be dead.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);
/// A fenced node ends within ten seconds: what it has begun gets these.
const FENCED_TIME_MAX: Duration = Duration::from_secs(5);
/// Threads that still work on something slow.
pub const THREADS_TIME_MAX: Duration = Duration::from_secs(1);

#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Go on although the store is older than what this node has acknowledged; it is recorded.
    #[arg(long)]
    accept_rollback: bool,
    /// Go on although the clock stands before the last record; it is recorded.
    #[arg(long)]
    accept_clock: bool,
}

impl Serve {
    pub fn run(self, hardening: Hardening) -> Result<(), Failure> {
        let config = self.config.read()?;
        log::begin(config.log);
        log::warn_of(hardening);
        let accepted = Accepted {
            rollback: self.accept_rollback,
            clock: self.accept_clock,
        };
        let runtime = runtime(Some(&config))?;
        let ended = runtime.block_on(serve(config, accepted));
        runtime.shutdown_timeout(THREADS_TIME_MAX);
        ended
    }
}

async fn serve(config: Config, accepted: Accepted) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let server = tokio::select! {
        started = start(config, accepted) => started?,
        () = signals.stop() => return Ok(()),
    };
    server.run(signals).await
}

async fn start(config: Config, accepted: Accepted) -> Result<Server, Failure> {
    let files = CertificateFiles {
        certificate: config.certificate.clone(),
        key: config.key.clone(),
    };
    let certificates = Certificates::load(files).map_err(Failure::usage)?;
    let outbound = outbound(&config)?;
    let ground = Ground::open(&config).await?;
    let sealed = ground.sealed().await?.ok_or_else(node::not_founded)?;
    let metrics = Arc::clone(&ground.metrics);
    match sealed.root(&config.seal).await? {
        Some(root) => {
            let opened = open(ground, &sealed, root, &config, accepted, outbound).await?;
            Server::listen(config, certificates, metrics, Some(opened)).await
        }
        None => {
            let server = Server::listen(config.clone(), certificates, metrics, None).await?;
            tracing::info!("sealed: an operator has to run coffer-server unseal");
            let (root, operator) = unseal::wait(&sealed, &ground.state_dir.socket()).await?;
            let opened = open(ground, &sealed, root, &config, accepted, outbound).await;
            operator.tell(opened.as_ref().err()).await;
            Ok(server.unsealed(opened?))
        }
    }
}

/// What calls out, made before anything else, so that a wrong `ca_file` is told at once.
pub fn outbound(config: &Config) -> Result<Outbound, Failure> {
    Outbound::new(&config.outbound).map_err(Failure::usage)
}

/// What there is once a node is unsealed.
pub struct Opened {
    pub door: Door,
    refresher: Refresher,
    facts: NodeFacts,
}

/// The door of this node, and what `status` may say of it.
pub async fn open(
    ground: Ground,
    sealed: &Sealed,
    root: RootKey,
    config: &Config,
    accepted: Accepted,
    outbound: Outbound,
) -> Result<Opened, Failure> {
    let (state_dir, store) = (Arc::clone(&ground.state_dir), ground.store_name());
    let door = ground.start(sealed, root, config, accepted).await?;
    let node = state_dir
        .node()
        .ok()
        .flatten()
        .map(|node| node.to_string())
        .unwrap_or_default();
    let facts = NodeFacts {
        version: env!("CARGO_PKG_VERSION"),
        node,
        store,
        locked_memory: locked_memory().locked,
    };
    let refresher = Refresher::new(door.clone(), outbound);
    Ok(Opened {
        door,
        refresher,
        facts,
    })
}

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    /// What works once it is unsealed.
    working: Option<(Door, Refresher)>,
    certificates: Arc<Certificates>,
    /// Where it listens; a port that was 0 is a number now.
    pub address: SocketAddr,
    http: JoinHandle<()>,
    scrape: Option<JoinHandle<()>>,
    retention: Option<Ttl>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Opens the port; unsealed from its first request on where `opened` is there.
    pub async fn listen(
        config: Config,
        certificates: Arc<Certificates>,
        metrics: Arc<Metrics>,
        opened: Option<Opened>,
    ) -> Result<Self, Failure> {
        let (listener, address) = bind(config.listen).await?;
        let scraped = match config.metrics {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let mut boot = [0; 8];
        coffer::entropy::Entropy::fill(&coffer::entropy::SystemEntropy, &mut boot);
        let app = App::new(config.trusted_proxies, u64::from_be_bytes(boot), metrics);
        let working = opened.map(|opened| let_in(&app, opened));
        let (stop, stopped) = watch::channel(false);
        let http = tokio::spawn(server::serve(
            listener,
            certificates.server_config(),
            Arc::clone(&app),
            stopped,
        ));
        let scrape = scraped.map(|(listener, address)| {
            tracing::info!(%address, "metrics are told");
            tokio::spawn(scrape::serve(listener, Arc::clone(&app), stop.subscribe()))
        });
        tracing::info!(%address, "listening");
        fault::pause("listening").await;
        Ok(Self {
            app,
            working,
            certificates,
            address,
            http,
            scrape,
            retention: config.retention,
            stop,
        })
    }

    fn unsealed(self, opened: Opened) -> Self {
        let working = Some(let_in(&self.app, opened));
        Self { working, ..self }
    }

    /// Serves until it is told to stop, or another server takes its stream.
    pub async fn run(self, mut signals: Signals) -> Result<(), Failure> {
        let Some((door, refresher)) = self.working else {
            // Only a start that was interrupted has none.
            return Ok(());
        };
        let mut jobs = jobs::start(&door, &refresher, self.retention, &self.stop.subscribe());
        let fenced = loop {
            tokio::select! {
                told = signals.next() => match told {
                    Told::Stop => break None,
                    Told::Reload => reload(&self.certificates),
                },
                why = door.fenced() => break Some(why),
            }
        };
        tracing::info!(fenced = fenced.is_some(), "stopping");
        self.stop.send_replace(true);
        if let Some(why) = fenced {
            let ended = async {
                let _ = self.http.await;
                // An answer that comes in time is spooled still, for the next start with this state directory.
                refresher.drain().await;
            };
            let _ = timeout(FENCED_TIME_MAX, ended).await;
            return Err(node::fenced(why));
        }
        let _ = self.http.await;
        if let Some(scrape) = self.scrape {
            let _ = scrape.await;
        }
        if timeout(JOBS_TIME_MAX, async {
            while jobs.join_next().await.is_some() {}
        })
        .await
        .is_err()
        {
            tracing::warn!("a job did not end in time");
        }
        if timeout(CALLS_TIME_MAX, refresher.drain()).await.is_err() {
            tracing::warn!("a call to a provider was given up: its connection is in doubt");
        }
        if timeout(CLOSE_TIME_MAX, door.close()).await.is_err() {
            tracing::warn!("the closing record was not written: the store did not answer");
        }
        Ok(())
    }
}

/// Lets requests in; what works from then on.
fn let_in(app: &App, opened: Opened) -> (Door, Refresher) {
    let Opened {
        door,
        refresher,
        facts,
    } = opened;
    app.unseal(door.clone(), refresher.clone(), facts);
    (door, refresher)
}

/// Opens a port; one that was 0 is a number then.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let taken = |error| {
        Failure::failed(format!(
            "The server cannot listen on {address} ({error}): choose another address."
        ))
    };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let bound = listener.local_addr().map_err(taken)?;
    Ok((listener, bound))
}

fn reload(certificates: &Certificates) {
    match certificates.reload() {
        Ok(()) => tracing::info!("the certificate was read again"),
        Err(error) => tracing::error!("the old certificate is kept: {error}"),
    }
}

/// What an operator tells a process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub fn new() -> Result<Self, Failure> {
        let heard = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format!("Signals cannot be heard ({error}).")))
        };
        Ok(Self {
            terminate: heard(SignalKind::terminate())?,
            interrupt: heard(SignalKind::interrupt())?,
            hang_up: heard(SignalKind::hangup())?,
        })
    }

    /// The next thing that is told.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    /// Waits until it is told to stop, and hears nothing else.
    pub async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP: read the certificate again.
    Reload,
}
