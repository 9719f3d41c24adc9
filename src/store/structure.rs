//! Whether the database is built as Coffer builds it: the same tables and indexes, and on SQLite each index with what its
//! table holds. A database answers from an index or from a table, whichever is quicker: where the two differ, one statement
//! sees what another does not, and a check would look at the one and the server believe the other. A table that is not
//! logged, or has children, holds less or more than what was stored.
//!
//! Invariant: nothing that is said here carries a stored value.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection as _, SqliteConnection};

use super::connection::{Conn, on, rows};
use super::migrate::{CREATE, MIGRATIONS, run_script};
use super::{Connection, Engine, Role, Store, StoreError};

/// What the file holds: kind, name, and whose it is, with the text that made it.
const SQLITE_LIST: &str = "SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_master";

/// The same of our tables, as the catalogue has it; what else is in the database is nobody's here. Indexes of plain columns
/// that uphold nothing may be added: PostgreSQL's own do not lie, and run nobody's code. One that is not valid upholds
/// nothing either: REINDEX CONCURRENTLY has some for a while. How full pages are is no matter of what they hold. From 18 on
/// a NOT NULL is a constraint too.
const POSTGRES_LIST: &str = "
    WITH ours AS (
        SELECT c.oid, c.relname::text AS name, c.relkind, c.relpersistence FROM pg_class c
        WHERE c.oid IN (
            to_regclass('world'), to_regclass('note'), to_regclass('document'), to_regclass('version'),
            to_regclass('wrapped_key'), to_regclass('stream'), to_regclass('segment'), to_regclass('migration')
        )
    )
    SELECT 'table', name, name, concat(
        CASE relkind WHEN 'r' THEN 'of rows' ELSE 'of kind ' || relkind::text END,
        CASE relpersistence WHEN 'p' THEN ', logged' ELSE ', not logged' END,
        CASE WHEN EXISTS (SELECT FROM pg_inherits WHERE oid IN (inhparent, inhrelid)) THEN ', related' END
    ) FROM ours
    UNION ALL
    SELECT 'column', concat(name, '.', attname), name, concat(
        format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' NOT NULL' END,
        CASE WHEN attcollation NOT IN (0, 'pg_catalog.default'::regcollation)
            THEN ' COLLATE ' || attcollation::regcollation::text END,
        CASE WHEN atthasdef THEN ' DEFAULT' END,
        attidentity, attgenerated
    ) FROM ours JOIN pg_attribute ON attrelid = ours.oid
    WHERE attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'index', of_index.relname::text, name, concat(
        regexp_replace(pg_get_indexdef(indexrelid, 0, true), ' WITH \\([^)]*\\)', ''),
        CASE WHEN NOT (indisvalid AND indisready AND indimmediate) THEN ' (not valid)' END
    ) FROM ours JOIN pg_index ON indrelid = ours.oid JOIN pg_class of_index ON of_index.oid = indexrelid
    WHERE indisunique AND indisvalid OR of_index.relname IN ('document_due', 'version_term')
        OR indexprs IS NOT NULL OR pg_get_expr(indpred, indrelid) <> '(due IS NOT NULL)'
    UNION ALL
    SELECT 'constraint', concat(name, '.', conname), name, pg_get_constraintdef(pg_constraint.oid)
    FROM ours JOIN pg_constraint ON ours.oid IN (conrelid, confrelid) WHERE contype NOT IN ('n', 'p', 'u')";

/// What it says of what the migrations make: kind, name, table and text, with tabs between them.
const POSTGRES_MADE: &str = include_str!("../../migrations/postgres/structure.txt");

/// Lines of one look, at most.
const INTEGRITY: &str = "PRAGMA integrity_check(1000)";

const OTHER: &str = "The tables or indexes of the database are not those that this version of Coffer makes: run `coffer-server check` to see which, and make them so again or restore a backup.";

/// The text of each table and index, by kind and name.
type Structure = BTreeMap<(String, String), (String, String)>;

impl Store {
    /// Refuses tables and indexes that are not Coffer's, and those that lack some, after a migration.
    pub(super) async fn refuse_other_structure(&self) -> Result<(), StoreError> {
        let mut reader = self.reader().await?;
        match reader.find_structure().await? == made(self.engine()).await? {
            true => Ok(()),
            false => Err(StoreError::Refused(OTHER.to_owned())),
        }
    }
}

impl Connection {
    async fn find_structure(&mut self) -> Result<Structure, StoreError> {
        let text = match self.engine() {
            Engine::Sqlite => SQLITE_LIST,
            Engine::Postgres => POSTGRES_LIST,
        };
        let rows = rows!(self, (String, String, String, String), text)?;
        let by_name = |(kind, name, table, text)| ((kind, name), (table, text));
        Ok(rows.into_iter().map(by_name).collect())
    }

    /// A line for each table or index that is not as Coffer makes it and, on SQLite, for each place where an index and its
    /// table do not agree, for which it reads the whole file.
    pub async fn list_broken_structure(&mut self) -> Result<Vec<String>, StoreError> {
        let (found, made) = (self.find_structure().await?, made(self.engine()).await?);
        let names: BTreeSet<_> = found.keys().chain(made.keys()).collect();
        let differs = names
            .into_iter()
            .filter(|key| found.get(*key) != made.get(*key));
        let mut lines: Vec<String> = differs
            .map(|key| {
                let why = match (found.get(key), made.get(key)) {
                    (Some(_), None) => "it is not Coffer's",
                    (None, _) => "it is missing",
                    _ => "it is not as Coffer makes it",
                };
                format!("{} {}: {why}", key.0, key.1)
            })
            .collect();
        if self.engine() == Engine::Postgres {
            return Ok(lines);
        }
        // However long that takes.
        let time_max = self.time_max.take();
        let said = rows!(self, (String,), INTEGRITY);
        self.time_max = time_max;
        let said = said?.into_iter().map(|(line,)| line);
        lines.extend(
            said.filter(|line| line != "ok")
                .map(|line| format!("database: {line}")),
        );
        Ok(lines)
    }
}

/// What the migrations make.
async fn made(engine: Engine) -> Result<Structure, StoreError> {
    if engine == Engine::Postgres {
        let words = |line: &str| {
            let mut words = line.splitn(4, '\t').map(str::to_owned);
            let mut word = || words.next().unwrap_or_default();
            ((word(), word()), (word(), word()))
        };
        return Ok(POSTGRES_MADE.lines().map(words).collect());
    }
    let fresh = SqliteConnection::connect("sqlite::memory:").await?;
    let mut fresh = Connection::new(Conn::Sqlite(Box::new(fresh)), Role::Migrator);
    run_script(&mut fresh, CREATE).await?;
    for (_, text) in MIGRATIONS {
        run_script(&mut fresh, text).await?;
    }
    let made = fresh.find_structure().await?;
    fresh.close().await;
    Ok(made)
}
