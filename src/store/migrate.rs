//! The tables' history: numbered texts, the same numbers and names on both databases, run whole or not at all.
//! A migration holds the world for its whole transaction, so that no batch is stored between two schemas.
//!
//! Invariant: a database of a newer schema is never touched.

use super::connection::{Conn, on, rows, run};
use super::roles::{self, RoleNames};
use super::{Connection, Engine, Role, Store, StoreError};

/// The schema that this server knows.
pub const SCHEMA: u32 = 1;

/// For schema 1 and on: PostgreSQL's text and SQLite's.
pub(super) const MIGRATIONS: [(&str, &str); SCHEMA as usize] = [(
    include_str!("../../migrations/postgres/0001_begin.sql"),
    include_str!("../../migrations/sqlite/0001_begin.sql"),
)];

/// Two nodes may both try to make the first table: one of them looks again.
const TRIES_MAX: u32 = 3;

const FIND: &str =
    "SELECT m.schema, w.schema FROM migration m LEFT JOIN world w ON w.id = 1 WHERE m.id = 1";

pub(super) const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS migration (id BIGINT PRIMARY KEY, schema BIGINT NOT NULL)";

const INSERT: &str = "INSERT INTO migration (id, schema) VALUES (1, 0) ON CONFLICT (id) DO NOTHING";

/// Takes the row, and with it the right to migrate.
const LOCK: &str = "UPDATE migration SET schema = schema WHERE id = 1 RETURNING schema";

const LOCK_WORLD: &str = "UPDATE world SET schema = schema WHERE id = 1 RETURNING schema";

const UPDATE: &str = "UPDATE migration SET schema = $1 WHERE id = 1";

const UPDATE_WORLD: &str = "UPDATE world SET schema = $1 WHERE id = 1";

const NOT_OWNED: &str = "The tables are not of this server's schema, and the role of database.url may not make or change them: run `coffer-server migrate` with the URL of the role that may, in database.owner_url or COFFER_DATABASE_OWNER_URL.";

impl Store {
    /// Brings the tables to [`SCHEMA`], in one transaction that holds the world; refuses a newer schema. By an owner
    /// of its own it also grants the other roles what is theirs.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.bring_up().await?;
        self.refuse_other_structure().await
    }

    async fn bring_up(&self) -> Result<(), StoreError> {
        let names = self.find_roles().await?;
        // Looked at first, so that a server that may not make tables can start.
        if self.find_schema().await? == Some(SCHEMA.into()) {
            return match names {
                None => Ok(()),
                Some(names) => self.grant_once(&names).await,
            };
        }
        for _ in 1..TRIES_MAX {
            match self.migrate_once(names.as_ref()).await {
                Err(StoreError::Conflict(_)) => {}
                Err(StoreError::Denied(_)) if names.is_none() => {
                    return Err(StoreError::Refused(NOT_OWNED.to_owned()));
                }
                result => return result,
            }
        }
        self.migrate_once(names.as_ref()).await
    }

    async fn grant_once(&self, names: &RoleNames) -> Result<(), StoreError> {
        // Dropped on any error, which rolls back.
        let mut connection = self.source.connect(Role::Migrator).await?;
        run!(&mut connection, "BEGIN")?;
        // One at a time: two grants on one table are not.
        rows!(&mut connection, (i64,), LOCK)?;
        roles::grant(&mut connection, names).await?;
        run!(&mut connection, "COMMIT")?;
        connection.close().await;
        Ok(())
    }

    /// The schema of tables and world, if they agree.
    async fn find_schema(&self) -> Result<Option<i64>, StoreError> {
        let mut connection = self.source.connect(Role::Reader).await?;
        let found = match rows!(&mut connection, (i64, Option<i64>), FIND) {
            // No tables yet, or not granted yet.
            Err(StoreError::Refused(_) | StoreError::Denied(_)) => return Ok(None),
            found => found?.into_iter().next(),
        };
        connection.close().await;
        Ok(found.and_then(|(tables, world)| {
            world.is_none_or(|world| world == tables).then_some(tables)
        }))
    }

    async fn migrate_once(&self, names: Option<&RoleNames>) -> Result<(), StoreError> {
        // Dropped on any error, which rolls back.
        let mut connection = self.source.connect(Role::Migrator).await?;
        let begin = self.engine().begin();
        run!(&mut connection, begin)?;
        run!(&mut connection, CREATE)?;
        run!(&mut connection, INSERT)?;
        let found = number(rows!(&mut connection, (i64,), LOCK)?);
        // The schema of the world is what the nodes look at; the other one is for before there is a world.
        let of_world = if found == 0 {
            0
        } else {
            number(rows!(&mut connection, (i64,), LOCK_WORLD)?)
        };
        if found.max(of_world) > i64::from(SCHEMA) {
            return Err(StoreError::Refused(format!(
                "The database has schema {}, and this server knows up to {SCHEMA}: start a newer one.",
                found.max(of_world)
            )));
        }
        for (postgres, sqlite) in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            let text = match self.engine() {
                Engine::Postgres => *postgres,
                Engine::Sqlite => *sqlite,
            };
            run_script(&mut connection, text).await?;
        }
        run!(&mut connection, UPDATE, i64::from(SCHEMA))?;
        run!(&mut connection, UPDATE_WORLD, i64::from(SCHEMA))?;
        if let Some(names) = names {
            roles::grant(&mut connection, names).await?;
        }
        run!(&mut connection, "COMMIT")?;
        connection.close().await;
        Ok(())
    }
}

pub(super) async fn run_script(
    connection: &mut Connection,
    text: &'static str,
) -> Result<(), StoreError> {
    connection.begin_statement()?;
    let done = match &mut connection.conn {
        Conn::Postgres(conn) => sqlx::raw_sql(text).execute(&mut **conn).await.map(|_| ()),
        Conn::Sqlite(conn) => sqlx::raw_sql(text).execute(&mut **conn).await.map(|_| ()),
    };
    connection.end_statement(done)
}

fn number(rows: Vec<(i64,)>) -> i64 {
    rows.first().map_or(0, |(number,)| *number)
}
