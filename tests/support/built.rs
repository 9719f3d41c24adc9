//! The built server as an operator runs it: founded by `init`, served by `serve`, in a process and a folder of its own.
//! What it writes to standard error at the level `trace` stays in a file, where tests look for what must not be in it.
//!
//! Invariant: a process ends with its value here, and with the test binary when that is killed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use coffer::store::Engine;
use tempfile::TempDir;

use super::client::{Client, Token};
use super::scrape::Scrape;
use super::{eventually, left, memory, postgres};

/// What opens the seal of every such server.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// The built command line, in an environment without anything.
pub fn command_line() -> Command {
    let server = Path::new(env!("CARGO_BIN_EXE_coffer-server"));
    let coffer = server.with_file_name("coffer");
    assert!(
        coffer.is_file(),
        "{} is missing: run cargo build --workspace, or the tests of the whole workspace.",
        coffer.display()
    );
    let mut command = Command::new(coffer);
    command.env_clear();
    command
}

/// How a server finds its root key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// From a file with the passphrase, before its port opens.
    ByFile,
    /// By an operator: until then it is sealed.
    ByHand,
}

/// A folder in which a cluster is founded.
pub struct Place {
    folder: TempDir,
    authority: String,
    database: String,
    /// The token that may do everything.
    pub root: Token,
}

/// A server that runs in a [`Place`].
pub struct Built {
    child: Child,
    folder: PathBuf,
    client: Client,
    metrics: SocketAddr,
}

impl Place {
    /// Founds a cluster with the passphrase seal.
    pub async fn found(engine: Engine) -> Self {
        let folder = left::folder();
        left::secret("a passphrase", PASSPHRASE.as_bytes());
        let at = |name: &str| folder.path().join(name);
        let names = vec!["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        std::fs::write(at("certificate.pem"), made.cert.pem()).expect("it is written");
        write_private(&at("key.pem"), &made.signing_key.serialize_pem());
        write_private(&at("passphrase"), PASSPHRASE);
        let database = match engine {
            Engine::Sqlite => format!("sqlite://{}", at("coffer.db").display()),
            Engine::Postgres => postgres::empty().await,
        };
        let mut place = Self {
            authority: made.cert.pem(),
            root: Token {
                text: String::new(),
                id: "the first".to_owned(),
            },
            folder,
            database,
        };
        let config = place.configure("one", Opened::ByFile);
        let token = place.path("token");
        let token_file = token.to_str().expect("a path is text");
        let mut init = place.command(&config, "init");
        let said = init.args(["--token-file", token_file]).output();
        let said = said.expect("the server's program can be run");
        assert!(said.status.success(), "{said:?}");
        let text = std::fs::read_to_string(&token).expect("the first token");
        text.trim_end().clone_into(&mut place.root.text);
        place
    }

    /// A file of this place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The database, as its URL.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Starts a server under a node's name, and waits until it listens.
    pub async fn serve(&self, node: &str, opened: Opened) -> Built {
        let config = self.configure(node, opened);
        let log = File::create(config.with_extension("log")).expect("a log");
        let mut serve = self.command(&config, "serve");
        let child = serve.stderr(log).stdin(Stdio::null()).spawn();
        let child = child.expect("the server's program can be run");
        let log = config.with_extension("log");
        let address = eventually("the server listens", || async { said(&log, "listening") }).await;
        let metrics = said(&log, "metrics are told").expect("it is said before");
        Built {
            child,
            folder: self.folder.path().to_owned(),
            client: Client::new(address, &self.authority),
            metrics,
        }
    }

    /// Brings the passphrase to a sealed server, as an operator does.
    pub fn unseal(&self, node: &str) {
        let mut unseal = self.command(&self.path(&format!("{node}.toml")), "unseal");
        let unseal = unseal.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut running = unseal.spawn().expect("it runs");
        let mut stdin = running.stdin.take().expect("a pipe");
        writeln!(stdin, "{PASSPHRASE}").expect("it listens");
        drop(stdin);
        let said = running.wait_with_output().expect("it ends");
        assert!(said.status.success(), "{said:?}");
    }

    /// Everything that servers of this place have written to their logs.
    pub fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let logs = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| std::fs::read_to_string(path).expect("a log"))
            .collect()
    }

    fn configure(&self, node: &str, opened: Opened) -> PathBuf {
        let passphrase = match opened {
            Opened::ByFile => "passphrase_file = \"passphrase\"\n",
            Opened::ByHand => "",
        };
        let text = format!(
            "listen = \"127.0.0.1:0\"\nnode = \"{node}\"\nstate_dir = \"state-{node}\"\n\
             [tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n\
             [seal]\nkind = \"passphrase\"\n{passphrase}\
             [metrics]\nlisten = \"127.0.0.1:0\"\n\
             [outbound]\nallow = [\"127.0.0.0/8\"]\n\
             [log]\nlevel = \"trace\"\n"
        );
        let path = self.path(&format!("{node}.toml"));
        std::fs::write(&path, text).expect("it is written");
        path
    }

    /// A command of the server, which ends with this process.
    fn command(&self, config: &Path, verb: &str) -> Command {
        // It may leave as much of its memory as this machine lets anything leave.
        let as_much = "ulimit -S -c \"$(ulimit -H -c)\"; exec setpriv --pdeathsig KILL \"$@\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", as_much, "sh", env!("CARGO_BIN_EXE_coffer-server")])
            .args([verb, "--config"])
            .arg(config)
            .env("COFFER_DATABASE_URL", &self.database)
            .env("COFFER_ACCEPT_FSYNC_OFF", "1")
            .env("COFFER_FAILPOINTS", memory::door());
        command
    }
}

impl Built {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The folder of its place.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it counts.
    pub async fn metrics(&self) -> Scrape {
        Scrape::of(self.metrics).await
    }

    /// Ends it as `abort` does: by a signal that leaves the memory in a file, where that is allowed.
    pub async fn crash(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-ABRT", &pid]).status();
        assert!(told.expect("kill can be run").success());
        self.ended().await
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(mut self) {
        left::keys(self.id());
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.expect("kill can be run").success());
        let ended = self.ended().await;
        assert!(ended.success(), "{ended}");
    }

    async fn ended(&mut self) -> ExitStatus {
        // Meanwhile the client has to hear that its connection ends.
        let child = &mut self.child;
        let ended = eventually("the server ends", || {
            let ended = child.try_wait().expect("it is a child");
            async move { ended }
        });
        ended.await
    }
}

impl std::ops::Deref for Built {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address that a server says with these words, in its own log.
fn said(log: &Path, words: &str) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(log).ok()?;
    let mut lines = text.lines();
    let words = format!(r#""message":"{words}""#);
    let line = lines.find(|line| line.contains(&words))?;
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event["address"].as_str()?.parse().ok()
}

fn write_private(path: &Path, text: &str) {
    let mut options = OpenOptions::new();
    let file = options.create_new(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("it is written");
}
