//! One run: its options, its directory, its certificate, and the built server.
//! What is printed goes through here, so that `--json` prints figures alone.
//!
//! Invariant: everything that a run writes lies in its directory, which is gone when the run ends.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hyper::body::Bytes;
use tempfile::TempDir;

use crate::failure::{Context, Failure, Result};
use crate::figures::Figure;
use crate::load::Shape;
use crate::node::{Node, Plan};
use crate::postgres::Postgres;
use crate::process::{self, Cores, Place, Process};
use crate::provider::Provider;
use crate::table;
use crate::tls::{Certificate, Client};
use crate::world::Size;

/// How long the bare server may take to listen.
const BARE_TIME_MAX: Duration = Duration::from_secs(5);

/// A store that Coffer runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Engine {
    /// One file.
    Sqlite,
    /// A PostgreSQL of the run's own.
    Postgresql,
}

impl Engine {
    /// In figures and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgresql => "postgresql",
        }
    }
}

/// What every measuring command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Rounds; each measures every case once, in another order.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds that a case is measured in a round.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Seconds before that, not measured.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Secrets, drawn uniformly.
    #[arg(long, default_value_t = 10_000)]
    pub secrets: usize,
    /// Tokens, drawn uniformly.
    #[arg(long, default_value_t = 1_000)]
    pub tokens: usize,
    /// Grants whose access tokens run out at once.
    #[arg(long, default_value_t = 10_000)]
    pub grants: usize,
    /// Grants that lie idle beside them: ten times as many, unless this says otherwise.
    #[arg(long)]
    pub idle_grants: Option<usize>,
    /// Records of the log that `audit` makes.
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Which stores.
    #[arg(long, value_delimiter = ',', default_values_t = [Engine::Sqlite, Engine::Postgresql], value_enum)]
    pub engines: Vec<Engine>,
    /// What the record of a read survives on the servers.
    #[arg(long, default_value = "durable", value_parser = ["durable", "process"])]
    pub durability: String,
    /// Pin nothing to a core.
    #[arg(long)]
    pub no_pin: bool,
    /// One JSON object a figure, and nothing else.
    #[arg(long)]
    pub json: bool,
    /// This coffer-server, instead of the one that cargo builds beside the bench.
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// Where the run's directory is made: on the disk that is to be measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub directory: PathBuf,
}

/// See the module.
pub struct Run {
    /// As given.
    pub options: Options,
    /// Who runs where.
    pub cores: Cores,
    /// The only trust of the load generator.
    pub client: Client,
    certificate: Certificate,
    directory: TempDir,
    /// Empty when the run needs none.
    server: PathBuf,
}

impl Run {
    /// Builds the server, if it is needed and not up to date, and makes the run's directory.
    pub fn prepare(options: Options, needs_server: bool) -> Result<Self> {
        if cfg!(debug_assertions) {
            let text = "figures of a debug build mean nothing: run with --release";
            return Err(Failure::new(text));
        }
        if options.rounds == 0 || options.connections == 0 || options.tokens == 0 {
            return Err(Failure::new(
                "rounds, connections and tokens are at least one",
            ));
        }
        let server = match &options.server {
            Some(server) => server.clone(),
            None if needs_server => build_server()?,
            None => PathBuf::new(),
        };
        let cores = Cores::choose(!options.no_pin);
        cores.take_place()?;
        refuse_memory(&options.directory)?;
        // PostgreSQL runs as another user and has to pass through.
        let directory = tempfile::Builder::new()
            .prefix("coffer-bench-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir_in(&options.directory)
            .context("the run's directory")?;
        let certificate = Certificate::make(directory.path())?;
        Ok(Self {
            client: certificate.client()?,
            options,
            cores,
            certificate,
            directory,
            server,
        })
    }

    /// How the load is put on.
    pub fn shape(&self) -> Result<Shape> {
        let seconds = |value| Duration::try_from_secs_f64(value).context("a number of seconds");
        Ok(Shape {
            connections: self.options.connections,
            warm_up: seconds(self.options.warm_up)?,
            measured: seconds(self.options.seconds)?,
        })
    }

    /// How much there is.
    pub fn size(&self) -> Size {
        Size {
            secrets: self.options.secrets,
            tokens: self.options.tokens,
        }
    }

    /// Where the run's files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The SQLite file of [`Self::node`].
    pub fn sqlite_file(&self) -> PathBuf {
        self.directory().join("sqlite").join("coffer.db")
    }

    /// The engines that are wanted, each once.
    pub fn engines(&self) -> Result<Vec<Engine>> {
        let mut engines = self.options.engines.clone();
        engines.sort_unstable();
        engines.dedup();
        (!engines.is_empty())
            .then_some(engines)
            .context("no engine was named")
    }

    /// A node on a new store, and the store's own server; it may call the provider, if there is one.
    pub async fn node(
        &self,
        engine: Engine,
        provider: Option<&Provider>,
    ) -> Result<(Option<Postgres>, Node)> {
        let (postgres, name, database) = match engine {
            Engine::Sqlite => (None, "sqlite", "sqlite:coffer.db".to_owned()),
            Engine::Postgresql => {
                let postgres = Postgres::start(self.cores, self.directory()).await?;
                let url = postgres.url();
                (Some(postgres), "first", url)
            }
        };
        let plan = Plan {
            outbound: provider.map(Provider::origin),
            ..self.plan(name, database, Place::Server)?
        };
        let node = Node::init(plan, &self.client).await?;
        Ok((postgres, node))
    }

    /// A second node, away from the first one's core.
    pub async fn second_node(&self, postgres: &Postgres, first: &Node) -> Result<Node> {
        let plan = self.plan("second", postgres.url(), Place::Load)?;
        Node::join(plan, first, &self.client).await
    }

    /// The bare route, with this path and these bytes.
    pub async fn bare(&self, path: &str, body: &Bytes) -> Result<(Process, SocketAddr)> {
        let address = process::free_address()?;
        let file = self.directory().join("bare.json");
        std::fs::write(&file, body).context("the bare route's body")?;
        let program = std::env::current_exe().context("the bench's own program")?;
        let mut command = self.cores.command(Place::Server, &program);
        command
            .args(["bare", "--listen", &address.to_string(), "--path", path])
            .arg("--certificate")
            .arg(&self.certificate.chain)
            .arg("--key")
            .arg(&self.certificate.key)
            .arg("--body")
            .arg(&file);
        let log = self.directory().join("bare.log");
        let mut process = Process::start("the bare route", &mut command, log)?;
        let begun = std::time::Instant::now();
        while let Err(failure) = self.client.connect(address).await {
            process.check()?;
            if begun.elapsed() > BARE_TIME_MAX {
                return Err(failure);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok((process, address))
    }

    /// Prints lines for people.
    pub fn say(&self, text: &str) {
        if !self.options.json {
            println!("{text}");
        }
    }

    /// Prints under which conditions the figures hold.
    pub fn say_conditions(&self, body_bytes: usize) {
        let options = &self.options;
        self.say(&format!(
            "{} connections, {} secrets, {} tokens, bodies of {body_bytes} bytes, TLS 1.3, HTTP/1.1; \
             {} rounds of {} s, shuffled; median (least–most).",
            options.connections,
            options.secrets,
            options.tokens,
            options.rounds,
            options.seconds,
        ));
        self.say(&format!("Placed: {}.\n", self.cores.describe()));
    }

    /// Prints a table for people.
    pub fn say_table(&self, head: &[&str], rows: &[Vec<String>]) {
        for line in table::lines(head, rows) {
            self.say(&line);
        }
    }

    /// Prints figures: a table, or an object a line.
    pub fn say_figures(&self, figures: &[Figure]) {
        if self.options.json {
            for figure in figures {
                println!("{}", figure.json());
            }
            return;
        }
        let rows: Vec<Vec<String>> = figures
            .iter()
            .map(|figure| {
                let value = format!("{:.2}", figure.value);
                vec![
                    figure.name.clone(),
                    value,
                    figure.unit.to_owned(),
                    figure.verdict(),
                ]
            })
            .collect();
        self.say_table(&["figure", "value", "unit", "goal"], &rows);
    }

    /// Says how it goes, apart from what is printed.
    pub fn progress(&self, text: &str) {
        eprintln!("{text}");
    }

    fn plan(&self, name: &'static str, database: String, place: Place) -> Result<Plan<'_>> {
        let directory = self.directory().join(name);
        std::fs::create_dir(&directory).context("a server's directory")?;
        Ok(Plan {
            server: &self.server,
            directory,
            certificate: &self.certificate,
            database,
            outbound: None,
            durability: &self.options.durability,
            name,
            cores: self.cores,
            place,
        })
    }
}

/// A file system in memory syncs nothing, so that nothing would be durable.
fn refuse_memory(directory: &Path) -> Result<()> {
    let told = Command::new("stat")
        .args(["--file-system", "--format=%T"])
        .arg(directory)
        .output()
        .context("stat")?;
    let kind = String::from_utf8_lossy(&told.stdout);
    if matches!(kind.trim(), "tmpfs" | "ramfs") {
        let place = directory.display();
        return Err(Failure(format!(
            "{place} is in memory and syncs nothing: name a disk with --directory"
        )));
    }
    Ok(())
}

/// The server beside this program, made by cargo if it is missing or older than its sources.
fn build_server() -> Result<PathBuf> {
    let program = std::env::current_exe().context("the bench's own program")?;
    let release = program.parent().context("the bench's own directory")?;
    let target = release.parent().context("the bench's own directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "coffer"])
        .args(["--bin", "coffer-server", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cargo, to build coffer-server")?;
    built
        .success()
        .then(|| release.join("coffer-server"))
        .context("coffer-server could not be built")
}
