//! Whether SQLite's file is built as Coffer builds it: the same tables and indexes, each index with what its table holds.
//! SQLite answers from an index or from a table, whichever is quicker: where the two differ, one statement sees what another
//! does not, and a check would look at the one and the server believe the other.
//!
//! Invariant: nothing that is said here carries a stored value.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection as _, SqliteConnection};

use super::connection::{Conn, on, rows};
use super::migrate::{CREATE, MIGRATIONS, run_script};
use super::{Connection, Engine, Role, Store, StoreError};

/// What the file holds: kind, name, and whose it is, with the text that made it.
const LIST: &str = "SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_master";

/// Lines of one look, at most.
const INTEGRITY: &str = "PRAGMA integrity_check(1000)";

const OTHER: &str = "The tables or indexes of the database are not those that this version of Coffer makes: run `coffer-server check` to see which, and restore a backup.";

/// The text of each table and index, by kind and name.
type Structure = BTreeMap<(String, String), (String, String)>;

impl Store {
    /// Refuses tables and indexes that are not Coffer's, and those that lack some, after a migration.
    pub(super) async fn refuse_other_structure(&self) -> Result<(), StoreError> {
        if self.engine() == Engine::Postgres {
            return Ok(());
        }
        let mut reader = self.reader().await?;
        match reader.find_structure().await? == made().await? {
            true => Ok(()),
            false => Err(StoreError::Refused(OTHER.to_owned())),
        }
    }
}

impl Connection {
    async fn find_structure(&mut self) -> Result<Structure, StoreError> {
        let rows = rows!(self, (String, String, String, String), LIST)?;
        let by_name = |(kind, name, table, text)| ((kind, name), (table, text));
        Ok(rows.into_iter().map(by_name).collect())
    }

    /// A line for each table or index that is not as Coffer makes it, and for each place where an index and its table do
    /// not agree; nothing on PostgreSQL. It reads the whole file.
    pub async fn list_broken_structure(&mut self) -> Result<Vec<String>, StoreError> {
        if self.engine() == Engine::Postgres {
            return Ok(Vec::new());
        }
        let (found, made) = (self.find_structure().await?, made().await?);
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
async fn made() -> Result<Structure, StoreError> {
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
