//! Every statement of the store, run on both databases, and what the ledger relies on in each.
//! PostgreSQL is tried when `COFFER_TEST_POSTGRES` holds the URL of a server on which databases can be made.
//!
//! Invariant: a test that passes on one database and not on the other is a failure.

mod commits;
mod engines;
mod finds;
mod roles;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use super::connection::{on, run};
use super::{
    Batch, Connection, DatabaseSettings, DatabaseUrl, Engine, NewHead, Role, RoleNames, RoleUrls,
    SCHEMA, Stamp, Store, Writer,
};
use crate::config::Durability;
use crate::model::{
    BootId, Changes, ClusterId, DocumentKind, DocumentRow, EnvironmentId, KeyKind, KeyRow, Ref,
    SecretId, SegmentRow, StreamId, StreamRow, Timestamp, VersionId, VersionRow, WorldRow,
};

const STREAM: StreamId = StreamId::from_bytes([5; 16]);
const BOOT: BootId = BootId::from_bytes([6; 16]);
const SPACE: [u8; 16] = [7; 16];
/// The longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one look at a condition to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A store of its own, founded: world 1, a stream with one record, a key.
struct Trial {
    store: Store,
    settings: DatabaseSettings,
    _folder: TempDir,
}

/// Runs a test on SQLite and, if there is one, on PostgreSQL.
macro_rules! both_engines {
    ($(async fn $name:ident($trial:ident: Trial) $body:block)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for engine in crate::store::tests::engines_here() {
                let $trial = crate::store::tests::Trial::founded(engine).await;
                $body
            }
        }
    )+};
}
use both_engines;

fn engines_here() -> Vec<Engine> {
    let postgres = std::env::var_os("COFFER_TEST_POSTGRES").map(|_| Engine::Postgres);
    [Engine::Sqlite].into_iter().chain(postgres).collect()
}

impl Trial {
    async fn fresh(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, roles) = match engine {
            Engine::Sqlite => {
                let url = DatabaseUrl::Sqlite(folder.path().join("coffer.db"));
                (url, RoleUrls::default())
            }
            // As it is to be run: by the role that serves, which may do no more than it needs.
            Engine::Postgres => with_roles(&fresh_database().await).await,
        };
        let settings = DatabaseSettings {
            url,
            roles,
            readers: 4,
            accept_fsync_off: true,
        };
        Self {
            store: Store::open(&settings).await.unwrap(),
            settings,
            _folder: folder,
        }
    }

    async fn founded(engine: Engine) -> Self {
        let trial = Self::fresh(engine).await;
        trial.store.migrate().await.unwrap();
        assert_eq!(trial.store.find_world().await.unwrap(), None);
        let stream = StreamRow {
            id: STREAM,
            owner: BOOT,
            epoch: 1,
            beat: 0,
            size: 1,
            frontier: vec![1],
            head: "one".into(),
        };
        let changes = Changes {
            stream: Some(Box::new(stream)),
            keys: vec![key(KeyKind::System, [0; 16], 1)],
            touched: vec![Ref::CLUSTER],
            ..Changes::default()
        };
        assert!(
            trial
                .store
                .found(&world(1), [1; 16], &changes, &segment(0, 1))
                .await
                .unwrap()
        );
        trial
    }

    async fn writer(&self) -> Writer {
        self.store.writer().await.unwrap()
    }

    /// Commits a change as the ledger does.
    async fn change(&self, seq: u64, changes: &Changes) {
        let mut writer = self.writer().await;
        let before = writer.lock().await.unwrap();
        assert_eq!(before, world(seq - 1));
        writer.write(changes).await.unwrap();
        let size = self.size().await;
        let segment = segment(size, 1);
        assert!(
            writer
                .conclude(
                    &world(seq),
                    [9; 16],
                    &[seq as u8; 17],
                    &batch(size, &segment)
                )
                .await
                .unwrap()
        );
        writer.commit().await.unwrap();
    }

    async fn size(&self) -> u64 {
        self.store
            .reader()
            .await
            .unwrap()
            .list_streams()
            .await
            .unwrap()[0]
            .size
    }

    async fn segments(&self) -> Vec<(u64, u32)> {
        let mut reader = self.store.reader().await.unwrap();
        let segments = reader.list_segments(STREAM, 0, 100).await.unwrap();
        segments
            .iter()
            .map(|segment| (segment.first, segment.count))
            .collect()
    }

    /// A statement that Coffer itself never sends, by the owner of the tables.
    async fn run(&self, text: &'static str) {
        self.run_as(Role::Migrator, text).await;
    }

    async fn run_as(&self, role: Role, text: &'static str) {
        let mut connection = self.store.source.connect(role).await.unwrap();
        run(&mut connection, text).await;
    }

    /// Waits until a query that Coffer itself never sends finds a row.
    async fn until(&self, query: &'static str) {
        let mut connection = self.store.source.connect(Role::Writer).await.unwrap();
        let found = async {
            while run(&mut connection, query).await == 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.expect("the database comes to it");
    }
}

/// How many rows it changed or found.
async fn run(connection: &mut Connection, text: &'static str) -> u64 {
    let result: Result<u64, super::StoreError> = async { run!(connection, text) }.await;
    result.unwrap()
}

async fn fresh_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("COFFER_TEST_POSTGRES").unwrap();
    let name = format!(
        "coffer_store_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let mut connection = PgConnection::connect(&server).await.unwrap();
    for text in [
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name}"),
    ] {
        sqlx::query(AssertSqlSafe(text))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let mut url: String = server.split('?').next().unwrap().to_owned();
    let query = server
        .split_once('?')
        .map_or(String::new(), |(_, query)| format!("?{query}"));
    let path = url.find("//").unwrap() + 2;
    let end = url[path..].find('/').map_or(url.len(), |at| path + at);
    url.truncate(end);
    format!("{url}/{name}{query}")
}

/// Makes the three roles of Coffer for a database: the URL of the one that serves, and those of the others.
async fn with_roles(superuser: &str) -> (DatabaseUrl, RoleUrls) {
    let names = names_in(superuser);
    let mut connection = PgConnection::connect(superuser).await.unwrap();
    let made = sqlx::raw_sql(AssertSqlSafe(names.sql()));
    made.execute(&mut connection).await.unwrap();
    let url = |name: &str| as_role(superuser, name);
    let roles = RoleUrls {
        keeper: Some(url(&names.keeper)),
        owner: Some(url(&names.owner)),
    };
    (DatabaseUrl::Postgres(url(&names.server)), roles)
}

/// Roles belong to the whole server: those of a database are named after it.
fn names_in(url: &str) -> RoleNames {
    let database = url.rsplit('/').next().unwrap();
    let database = database.split('?').next().unwrap();
    let name = |role: &str| format!("{database}_{role}");
    RoleNames {
        owner: name("owner"),
        server: name("server"),
        keeper: name("keeper"),
    }
}

/// The same database for another role.
fn as_role(url: &str, role: &str) -> String {
    let (scheme, rest) = url.split_once("//").unwrap();
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}//{role}@{rest}")
}

fn world(seq: u64) -> WorldRow {
    let cluster = ClusterId::from_bytes([4; 16]);
    WorldRow {
        cluster,
        seq,
        mark: mark(seq),
        prev: mark(seq - 1),
        schema: SCHEMA,
    }
}

fn mark(seq: u64) -> [u8; 32] {
    [seq as u8; 32]
}

fn at(seq: u64) -> Stamp {
    Stamp {
        seq,
        mark: mark(seq),
    }
}

fn segment(first: u64, count: u32) -> SegmentRow {
    SegmentRow {
        stream: STREAM,
        first,
        count,
        seq: 1,
        summary: vec![2],
        sealed: vec![3; 100],
    }
}

/// A batch of the first epoch, from `size` on.
fn batch(size: u64, segment: &SegmentRow) -> Batch<'_> {
    let after = NewHead {
        size: size + u64::from(segment.count),
        frontier: &[8; 40],
        head: "next",
    };
    Batch {
        stream: STREAM,
        epoch: 1,
        size,
        after,
        segment,
    }
}

fn document(kind: DocumentKind, id: u8, name: &str) -> DocumentRow {
    let grave = Vec::new();
    DocumentRow {
        kind,
        id: [id; 16],
        space: SPACE,
        name: name.into(),
        grave,
        due: None,
        sealed: vec![id; 50],
    }
}

fn version(id: u8, term: u32) -> VersionRow {
    VersionRow {
        id: VersionId::from_bytes([id; 16]),
        environment: EnvironmentId::from_bytes(SPACE),
        secret: SecretId::from_bytes([1; 16]),
        term,
        wrapped: vec![id],
        sealed: vec![id; 300],
    }
}

fn key(kind: KeyKind, environment: [u8; 16], term: u32) -> KeyRow {
    KeyRow {
        kind,
        environment,
        term,
        wrapped: vec![term as u8; 60],
    }
}

fn due(mut row: DocumentRow, micros: i64) -> DocumentRow {
    row.due = Some(Timestamp::from_micros(micros));
    row
}
