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
use crate::options::{Engine, Options};
use crate::postgres::Postgres;
use crate::process::{self, Cores, Place, Process};
use crate::setting::Setting;
use crate::table;
use crate::tls::{Certificate, Client};
use crate::world::Size;

/// How long the bare server may take to listen.
const BARE_TIME_MAX: Duration = Duration::from_secs(5);

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
        let options = options.settle()?;
        let server = match &options.server {
            Some(server) => server.clone(),
            None if needs_server => build("coffer", "coffer-server")?,
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

    /// The command line, built if it is missing or not up to date.
    pub fn cli(&self) -> Result<PathBuf> {
        match &self.options.cli {
            Some(cli) => Ok(cli.clone()),
            None => build("coffer-cli", "coffer"),
        }
    }

    /// The certificate of the run.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
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

    /// A node on a new store, and the store's own server.
    pub async fn node(&self, setting: &Setting) -> Result<(Option<Postgres>, Node)> {
        let directory = self.directory().join(setting.name);
        std::fs::create_dir(&directory).context("a server's directory")?;
        let (postgres, database) = match setting.engine {
            Engine::Sqlite => (None, "sqlite:coffer.db".to_owned()),
            Engine::Postgresql => {
                let postgres = Postgres::start(self.cores, &directory).await?;
                let url = postgres.url();
                (Some(postgres), url)
            }
        };
        let plan = Plan {
            config: setting.config.clone(),
            ..self.plan(setting.name, directory, database, Place::Server)
        };
        let node = Node::init(plan, &self.client).await?;
        Ok((postgres, node))
    }

    /// A second node, away from the first one's core.
    pub async fn second_node(&self, postgres: &Postgres, first: &Node) -> Result<Node> {
        let directory = self.directory().join("second");
        std::fs::create_dir(&directory).context("a server's directory")?;
        let plan = self.plan("second", directory, postgres.url(), Place::Load);
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
            "{} secrets, {} tokens, bodies of {body_bytes} bytes, TLS 1.3, HTTP/1.1; \
             {} rounds of {} s, shuffled; median (least–most).",
            options.secrets, options.tokens, options.rounds, options.seconds,
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

    fn plan(
        &self,
        name: &'static str,
        directory: PathBuf,
        database: String,
        place: Place,
    ) -> Plan<'_> {
        Plan {
            server: &self.server,
            directory,
            certificate: &self.certificate,
            database,
            config: String::new(),
            name,
            cores: self.cores,
            place,
        }
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

/// A program beside this one, made by cargo if it is missing or older than its sources.
fn build(package: &str, name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe().context("the bench's own program")?;
    let release = program.parent().context("the bench's own directory")?;
    let target = release.parent().context("the bench's own directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", package])
        .args(["--bin", name, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context(format!("cargo, to build {name}"))?;
    built
        .success()
        .then(|| release.join(name))
        .context(format!("{name} could not be built"))
}
