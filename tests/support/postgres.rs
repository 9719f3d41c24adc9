//! One PostgreSQL for a run of the tests, and in it a migrated database for each, which is dropped some time after its test.
//! It is `COFFER_TEST_POSTGRES`, or else a server of `scripts/postgres`, which stops it when this process is gone.
//!
//! Invariant: a test never skips PostgreSQL; where there is none, it fails.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use coffer::store::{DatabaseSettings, DatabaseUrl, RoleUrls, Store};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::OnceCell;

use super::left;

/// A running server. Its standard input is held open by this process and by nobody else.
pub struct Server {
    /// The URL of its first database.
    pub url: String,
    /// Where it keeps its data and its log; empty when it is not ours.
    pub folder: PathBuf,
    script: Option<Mutex<Script>>,
}

/// What runs it, and says when it has done what it was told.
struct Script {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Server {
    /// Starts one that writes lazily, or durably.
    pub fn start(fsync: bool) -> Self {
        Self::start_with(fsync, &[])
    }

    /// The same, with further variables.
    pub fn start_with(fsync: bool, env: &[(&str, &str)]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
        let mut child = Command::new(script)
            .args(fsync.then_some("--fsync"))
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/postgres can be started");
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        let mut script = Script {
            child,
            said: BufReader::new(stdout),
        };
        let line = script.hear();
        let (url, folder) = line
            .trim()
            .split_once(' ')
            .expect("there is a PostgreSQL: see what scripts/postgres said above");
        Self {
            url: url.to_owned(),
            folder: folder.into(),
            script: Some(Mutex::new(script)),
        }
    }

    /// Stops it at once, as when its machine is reset, and waits until it is gone.
    pub fn stop(&self) {
        self.tell("stop");
    }

    /// Starts it again on what is left, and waits until it answers.
    pub fn start_again(&self) {
        self.tell("start");
    }

    fn tell(&self, what: &str) {
        let script = self.script.as_ref().expect("a server of our own");
        let mut script = script.lock().expect("no panic under the lock");
        let stdin = script.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{what}").expect("scripts/postgres listens");
        assert_eq!(script.hear().trim(), what);
    }

    /// The URL of another database of this server.
    pub fn database(&self, name: &str) -> String {
        let (server, _) = self
            .url
            .rsplit_once('/')
            .expect("the URL names a first database");
        format!("{server}/{name}")
    }
}

impl Script {
    fn hear(&mut self) -> String {
        let mut line = String::new();
        let read = self.said.read_line(&mut line);
        read.expect("scripts/postgres prints a line");
        line
    }
}

/// The server that all tests share.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var("COFFER_TEST_POSTGRES") {
        Ok(url) => Server {
            url,
            folder: PathBuf::new(),
            script: None,
        },
        Err(_) => Server::start(false),
    })
}

/// A migrated database of the caller's own, as its URL.
pub async fn migrated() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(make_template).await;
    create(Some(template)).await
}

/// An empty database of the caller's own, as its URL.
pub async fn empty() -> String {
    create(None).await
}

/// How a test opens a database.
pub fn settings(url: DatabaseUrl) -> DatabaseSettings {
    DatabaseSettings {
        url,
        roles: RoleUrls::default(),
        readers: 4,
        accept_fsync_off: true,
    }
}

async fn make_template() -> String {
    let name = create_named(None).await;
    let url = DatabaseUrl::Postgres(shared().database(&name));
    let store = Store::open(&settings(url)).await.expect("it opens");
    store.migrate().await.expect("it migrates");
    store.close().await;
    name
}

async fn create(template: Option<&str>) -> String {
    let name = create_named(template).await;
    OF_THREAD.with_borrow_mut(|of_thread| of_thread.0.push(name.clone()));
    shared().database(&name)
}

async fn create_named(template: Option<&str>) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("coffer_story_{}_{number}", std::process::id());
    let template = template.map_or(String::new(), |template| format!(" TEMPLATE {template}"));
    let mut connection = PgConnection::connect(&shared().url)
        .await
        .expect("PostgreSQL answers");
    let dropped = std::mem::take(&mut *ENDED.lock().expect("no panic under the lock"));
    let drop = |name: &String| format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    let texts = dropped.iter().chain([&name]).map(drop);
    for text in texts.chain([format!("CREATE DATABASE {name}{template}")]) {
        sqlx::query(AssertSqlSafe(text))
            .execute(&mut connection)
            .await
            .expect("a database can be dropped and made");
    }
    connection.close().await.expect("the connection ends");
    name
}

/// Databases whose tests have ended. Whoever makes the next one drops them: all of them together are gigabytes.
static ENDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The databases of a test's thread, which ends with its test.
struct OfThread(Vec<String>);

impl Drop for OfThread {
    fn drop(&mut self) {
        if !left::is_kept() {
            let mut ended = ENDED.lock().expect("no panic under the lock");
            ended.append(&mut self.0);
        }
    }
}

thread_local! {
    static OF_THREAD: RefCell<OfThread> = const { RefCell::new(OfThread(Vec::new())) };
}
