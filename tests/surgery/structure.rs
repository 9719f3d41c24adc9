//! Databases whose schema was altered, and SQLite's indexes, which no statement on rows does: an index that holds other rows
//! than its table, or one more than Coffer makes, has the server believe what a check does not see; a table that is not
//! logged forgets what was stored.
//!
//! Invariant: `check` names it before a server acts on it.

use std::str::FromStr as _;

use coffer::store::Engine;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::cluster::{Cluster, Start};
use crate::support::node::text;

/// An index of SQLite's that its table knows nothing of for a while: what is done to the table meanwhile is not done to it.
pub struct Aside {
    url: String,
    name: String,
    table: String,
    page: i64,
    text: String,
}

impl Aside {
    /// The indexes that can be: those that uphold no constraint.
    pub const INDEXES: [&str; 2] = ["version_term", "document_due"];

    pub async fn lay(url: &str, index: &str) -> Self {
        let mut file = open(url).await;
        let row =
            sqlx::query_as("SELECT tbl_name, rootpage, sql FROM sqlite_master WHERE name = $1");
        let row = row.bind(index).fetch_one(&mut file);
        let (table, page, text): (String, i64, String) = row.await.expect("an index");
        file.close().await.expect("closed");
        let aside = Self {
            url: url.to_owned(),
            name: index.to_owned(),
            table,
            page,
            text,
        };
        let gone = format!("DELETE FROM sqlite_master WHERE name = '{index}'");
        aside.alter_schema(&gone, 1_000_000).await;
        aside
    }

    pub async fn put_back(self) {
        let Self {
            name,
            table,
            page,
            text,
            ..
        } = &self;
        let put = format!(
            "INSERT INTO sqlite_master VALUES ('index', '{name}', '{table}', {page}, '{text}')"
        );
        self.alter_schema(&put, 1_000_001).await;
    }

    async fn alter_schema(&self, statement: &str, version: u32) {
        let statements =
            format!("PRAGMA writable_schema = ON; {statement}; PRAGMA schema_version = {version}");
        alter(&self.url, &statements).await;
    }
}

/// Makes every index of SQLite's anew, of what its table holds.
pub async fn mend(cluster: &Cluster) {
    if cluster.engine == Engine::Sqlite {
        alter(&cluster.url, "REINDEX").await;
    }
}

/// A statement on an index as if it were a table: its row of the schema is another while it runs.
async fn on_index(url: &str, index: &str, columns: &str, statement: &str) {
    let text: String = {
        let mut file = open(url).await;
        let text = sqlx::query_scalar("SELECT sql FROM sqlite_master WHERE name = $1").bind(index);
        text.fetch_one(&mut file).await.expect("an index")
    };
    let as_table = format!(
        "CREATE TABLE laid_open({columns}, row, PRIMARY KEY({columns}, row)) WITHOUT ROWID"
    );
    let schema = format!(
        "PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET type = 'table', name = 'laid_open', tbl_name = 'laid_open', sql = '{as_table}'
            WHERE name = '{index}';
        PRAGMA schema_version = 1000000"
    );
    alter(url, &schema).await;
    alter(url, statement).await;
    let table = text
        .split(" ON ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let table = table.expect("a table");
    let schema = format!(
        "PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET type = 'index', name = '{index}', tbl_name = '{table}', sql = '{text}'
            WHERE name = 'laid_open';
        PRAGMA schema_version = 1000001"
    );
    alter(url, &schema).await;
}

async fn open(url: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::from_str(url).expect("a file");
    SqliteConnection::connect_with(&options)
        .await
        .expect("it opens")
}

async fn alter(url: &str, statements: &str) {
    let text = AssertSqlSafe(statements.to_owned());
    if url.starts_with("postgres") {
        let mut database = PgConnection::connect(url).await.expect("PostgreSQL");
        let done = sqlx::raw_sql(text).execute(&mut database).await;
        done.expect("altered");
    } else {
        let mut file = open(url).await;
        sqlx::raw_sql(text)
            .execute(&mut file)
            .await
            .expect("altered");
        file.close().await.expect("closed");
    }
}

/// What `check` says, after its exit code.
async fn check(cluster: &Cluster) -> (Option<i32>, String) {
    let ended = cluster.run("a", &["check"]).await;
    (ended.status.code(), text(&ended.stdout).to_owned())
}

/// A cluster whose node has ended, with two secrets, one of which rotates.
async fn ended(engine: Engine) -> Cluster {
    let (cluster, a) = Cluster::with_one(engine).await;
    cluster.set(&a, "payments/prod/one", "1").await;
    cluster.set(&a, "payments/prod/two", "2").await;
    let policy = json!({ "every": 86_400 });
    a.put("/rotations/payments/prod/two", policy, &cluster.root)
        .await
        .is(200);
    assert_eq!(a.end().await.code, Some(0));
    let (code, said) = check(&cluster).await;
    assert_eq!(code, Some(0), "{said}");
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_lacks_rows_is_named() {
    for (index, columns) in [
        ("version_term", "environment, term, id"),
        ("document_due", "kind, due"),
    ] {
        let cluster = ended(Engine::Sqlite).await;
        on_index(&cluster.url, index, columns, "DELETE FROM laid_open").await;
        let (code, said) = check(&cluster).await;
        assert_eq!(code, Some(6), "{index}: {said}");
        assert!(
            said.lines()
                .all(|line| line.starts_with("database: ") && line.contains(index)),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_and_indexes_of_sqlite_that_are_not_coffers_are_named_and_not_served() {
    for (statement, named) in [
        ("CREATE TABLE more (id)", "table more: it is not Coffer's"),
        ("CREATE INDEX more ON document (kind, id, space, name, grave, due, sealed)", "index more: it is not Coffer's"),
        ("DROP INDEX document_due", "index document_due: it is missing"),
        (
            "DROP INDEX document_due; CREATE INDEX document_due ON document (kind, due) WHERE due IS NOT NULL AND kind <> 4",
            "index document_due: it is not as Coffer makes it",
        ),
        (
            "PRAGMA writable_schema = ON;
            UPDATE sqlite_master SET sql = replace(sql, 'name TEXT NOT NULL', 'name TEXT NOT NULL COLLATE NOCASE')
                WHERE name = 'document';
            PRAGMA schema_version = 1000000",
            "table document: it is not as Coffer makes it",
        ),
    ] {
        is_named_and_not_served(Engine::Sqlite, statement, named).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_and_indexes_of_postgresql_that_are_not_coffers_are_named_and_not_served() {
    for (statement, named) in [
        (
            "ALTER TABLE segment SET UNLOGGED",
            "table segment: it is not as Coffer makes it",
        ),
        (
            "CREATE TABLE more () INHERITS (document)",
            "table document: it is not as Coffer makes it",
        ),
        (
            "ALTER TABLE document ALTER name TYPE TEXT COLLATE \"POSIX\"",
            "column document.name: it is not as Coffer makes it",
        ),
        (
            "CREATE COLLATION public.\"C\" FROM \"POSIX\"; ALTER TABLE document ALTER name TYPE TEXT COLLATE public.\"C\"",
            "column document.name: it is not as Coffer makes it",
        ),
        (
            "ALTER TABLE stream ADD more BIGINT",
            "column stream.more: it is not Coffer's",
        ),
        (
            "ALTER TABLE stream ALTER beat SET DEFAULT 5",
            "column stream.beat: it is not as Coffer makes it",
        ),
        (
            "ALTER TABLE segment DROP CONSTRAINT segment_pkey",
            "index segment_pkey: it is missing",
        ),
        (
            "DROP INDEX document_due; CREATE INDEX document_due ON document (kind, due) WHERE due IS NOT NULL AND kind <> 4",
            "index document_due: it is not as Coffer makes it",
        ),
        (
            "CREATE UNIQUE INDEX more ON version (secret)",
            "index more: it is not Coffer's",
        ),
        (
            "CREATE INDEX more ON note (abs(seq))",
            "index more: it is not Coffer's",
        ),
        (
            "CREATE INDEX more ON note (seq) WHERE abs(seq) > 0",
            "index more: it is not Coffer's",
        ),
        (
            "ALTER TABLE version ADD CONSTRAINT world_id_check CHECK (term < 9)",
            "constraint version.world_id_check: it is not Coffer's",
        ),
        (
            "CREATE TABLE more (kind BIGINT, id BYTEA, FOREIGN KEY (kind, id) REFERENCES document)",
            "constraint document.more_kind_id_fkey: it is not Coffer's",
        ),
    ] {
        is_named_and_not_served(Engine::Postgres, statement, named).await;
    }
}

async fn is_named_and_not_served(engine: Engine, statement: &str, named: &str) {
    let cluster = ended(engine).await;
    alter(&cluster.url, statement).await;
    let (code, said) = check(&cluster).await;
    assert_eq!(code, Some(6), "{statement}: {said}");
    assert!(
        said.lines().any(|line| line == named),
        "{statement}: {said}"
    );
    let refused = cluster.try_start("a", Start::default()).await;
    let refused = refused.err().expect("it does not start");
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

/// What whoever looks after the database does is nobody's trouble: PostgreSQL's own indexes do not lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_for_postgresql_s_own_sake_is_served() {
    let cluster = ended(Engine::Postgres).await;
    for statement in [
        "CREATE INDEX more ON version (secret)",
        "ALTER INDEX document_due SET (fillfactor = 80)",
        // As REINDEX CONCURRENTLY has it for a while.
        "CREATE UNIQUE INDEX document_pkey_ccnew ON document (kind, id);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'document_pkey_ccnew'::regclass",
        "CREATE INDEX document_due_ccnew ON document (kind, due) WHERE due IS NOT NULL;
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'document_due_ccnew'::regclass",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET quote_all_identifiers = on', current_database()); END $$",
    ] {
        alter(&cluster.url, statement).await;
        let (code, said) = check(&cluster).await;
        assert_eq!(code, Some(0), "{statement}: {said}");
    }
    let a = cluster.start("a").await;
    assert_eq!(a.end().await.code, Some(0));
}

/// Both are the log's last word, and whoever asks by the name gets one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_two_hold_is_named() {
    let cluster = ended(Engine::Postgres).await;
    let hidden = "UPDATE document SET name = 'hidden' WHERE name = 'one'";
    alter(&cluster.url, hidden).await;
    let a = cluster.start("a").await;
    cluster.set(&a, "payments/prod/one", "another").await;
    assert_eq!(a.end().await.code, Some(0));
    let shown = "ALTER TABLE document DROP CONSTRAINT document_kind_space_name_grave_key;
        UPDATE document SET name = 'one' WHERE name = 'hidden'";
    alter(&cluster.url, shown).await;
    let (code, said) = check(&cluster).await;
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains(": another one has its name"), "{said}");
}
