//! A PostgreSQL of the run's own: made, started and stopped here, with its default and durable configuration.
//! Its CPU is that of the postmaster and all its children, told apart from the server's.
//!
//! Invariant: no setting of it is changed but where it listens.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::RngExt;
use sqlx::{Connection, PgConnection};

use crate::failure::{Context, Failure, Result};
use crate::process::{self, Cores, Place, Process};

/// Where Debian and its kin put the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// How long it may take to answer.
const START_TIME_MAX: Duration = Duration::from_secs(30);
const DATABASE: &str = "coffer";

/// See the module.
pub struct Postgres {
    process: Process,
    host: String,
}

/// Under which user it runs: it refuses to be root.
#[derive(Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

impl Postgres {
    /// Makes and starts one in `directory`, which must be open to be passed through.
    pub async fn start(cores: Cores, directory: &Path) -> Result<Self> {
        let programs = find_programs()?;
        let user = other_user()?;
        let home = directory.join("postgresql");
        std::fs::create_dir(&home).context("PostgreSQL's directory")?;
        let password: String = {
            let mut rng = rand::rng();
            (0..32)
                .map(|_| char::from(rng.random_range(b'a'..=b'z')))
                .collect()
        };
        let password_file = home.join("password");
        std::fs::write(&password_file, &password).context("PostgreSQL's password")?;
        std::fs::set_permissions(&password_file, Permissions::from_mode(0o600))
            .context("PostgreSQL's password")?;
        if let Some(user) = user {
            for path in [&home, &password_file] {
                chown(path, Some(user.id), Some(user.group)).context("PostgreSQL's directory")?;
            }
        }
        let run_as_user = |command: &mut Command| {
            if let Some(user) = user {
                command.uid(user.id).gid(user.group);
            }
        };
        let data = home.join("data");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb
            .arg("--pgdata")
            .arg(&data)
            .arg("--pwfile")
            .arg(&password_file)
            .args([
                "--username=coffer",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
            ])
            .stdout(Stdio::null())
            .current_dir("/");
        run_as_user(&mut initdb);
        let made = initdb.output().context("initdb")?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(Failure(format!("initdb failed: {said}")));
        }
        let address = process::free_address()?;
        let mut server = cores.command(Place::Anywhere, &programs.join("postgres"));
        server
            .arg("-D")
            .arg(&data)
            .arg("-c")
            .arg(format!("listen_addresses={}", address.ip()))
            .arg("-c")
            .arg(format!("port={}", address.port()))
            .args(["-c", "unix_socket_directories="])
            .current_dir("/");
        run_as_user(&mut server);
        let process = Process::start("PostgreSQL", &mut server, directory.join("postgresql.log"))?;
        let mut postgres = Self {
            process,
            host: format!("coffer:{password}@{address}"),
        };
        postgres.wait().await?;
        let mut connection = postgres.connect("postgres").await?;
        sqlx::query("CREATE DATABASE coffer")
            .execute(&mut connection)
            .await
            .context("PostgreSQL made no database")?;
        Ok(postgres)
    }

    /// Where the server finds its database.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// CPU time of all its processes so far.
    pub fn cpu(&self) -> Result<Duration> {
        process::cpu_of_family(self.process.id())
    }

    /// Transactions committed in Coffer's database so far. A batch of reads is one statement and so one of them.
    pub async fn commits(&self) -> Result<u64> {
        let mut connection = self.connect("postgres").await?;
        let (commits,): (i64,) =
            sqlx::query_as("SELECT xact_commit FROM pg_stat_database WHERE datname = 'coffer'")
                .fetch_one(&mut connection)
                .await
                .context("PostgreSQL's statistics")?;
        u64::try_from(commits).context("PostgreSQL's statistics")
    }

    /// What it says of its durability.
    pub async fn settings(&self) -> Result<String> {
        let mut connection = self.connect(DATABASE).await?;
        let (settings,): (String,) = sqlx::query_as(
            "SELECT concat('PostgreSQL ', current_setting('server_version'),
                ': fsync = ', current_setting('fsync'),
                ', synchronous_commit = ', current_setting('synchronous_commit'),
                ', full_page_writes = ', current_setting('full_page_writes'),
                ', wal_sync_method = ', current_setting('wal_sync_method'))",
        )
        .fetch_one(&mut connection)
        .await
        .context("PostgreSQL's settings")?;
        Ok(settings)
    }

    /// Stops it.
    pub fn stop(self) -> Result<()> {
        self.process.stop()
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://{}/{database}?sslmode=disable", self.host)
    }

    async fn connect(&self, database: &str) -> Result<PgConnection> {
        PgConnection::connect(&self.url_of(database))
            .await
            .context("PostgreSQL does not answer")
    }

    async fn wait(&mut self) -> Result<()> {
        let begun = std::time::Instant::now();
        loop {
            self.process.check()?;
            match self.connect("postgres").await {
                Ok(_) => return Ok(()),
                Err(failure) if begun.elapsed() > START_TIME_MAX => return Err(failure),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// The newest version's programs, or those in `PATH`.
fn find_programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?,)))
        .map(|(version,)| (version, Path::new(VERSIONS).join(format!("{version}/bin"))))
        .filter(|(_, programs)| programs.join("initdb").is_file())
        .max_by_key(|(version, _)| *version);
    if let Some((_, programs)) = newest {
        return Ok(programs);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context("PostgreSQL is not installed here: install it, or run with --engines sqlite")
}

/// The user to run it as, when this is root.
fn other_user() -> Result<Option<User>> {
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    Ok(Some(User {
        id: id(&["-u", "postgres"])?,
        group: id(&["-g", "postgres"])?,
    }))
}

fn id(arguments: &[&str]) -> Result<u32> {
    let told = Command::new("id").args(arguments).output().context("id")?;
    String::from_utf8_lossy(&told.stdout)
        .trim()
        .parse()
        .context("PostgreSQL refuses to run as root, and there is no user postgres")
}
