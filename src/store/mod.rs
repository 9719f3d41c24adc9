//! The only place SQL lives: one text for SQLite and PostgreSQL, each beside the function that runs it.
//! A store hands out readers, which see one state, and writers, with which the ledger makes a batch true.
//!
//! Invariant: only the ledger and `init` write, and a commit is durable unless a batch of reads asked for less.

mod checkpoints;
mod connection;
mod dialect;
mod documents;
mod error;
mod keys;
mod many;
mod migrate;
mod notes;
mod odd;
mod postgres;
mod readers;
mod roles;
mod segments;
mod some_documents;
mod sqlite;
mod streams;
mod structure;
#[cfg(test)]
mod tests;
mod versions;
mod whole;
mod world;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Changes, Ref, SegmentRow, WorldRow};

pub use connection::Connection;
pub use error::StoreError;
pub use migrate::SCHEMA;
pub use notes::{NOTES_PRUNED_MAX, NoteRow};
pub use odd::OddRow;
pub use readers::Reader;
pub use roles::RoleNames;
pub use some_documents::DOCUMENTS_AT_ONCE;
pub use world::{Seen, Stamp};
pub use writer::{Batch, Look, NewHead, ReadOutcome, Writer};

use checkpoints::Checkpoints;
pub use checkpoints::Copying;
use connection::{Conn, on, rows, run};
use readers::Readers;

/// How long a lock is waited for.
pub const LOCK_WAIT_MS: u64 = 3_000;

/// Prepared statements kept by a connection; more than the distinct texts there are.
const STATEMENTS_MAX: usize = 512;

/// Which database it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// One file, one process.
    Sqlite,
    /// A server, for more than one node.
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        })
    }
}

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The file of a SQLite database, in a directory that exists.
    Sqlite(PathBuf),
    /// A `postgres://` URL; it may hold a password.
    Postgres(String),
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres(..)"),
        }
    }
}

/// URLs of the same PostgreSQL database for other roles; without one, the role of the store's own URL does its work.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RoleUrls {
    /// Of the role that replaces and deletes segments.
    pub keeper: Option<String>,
    /// Of the role that owns the tables, and migrates them.
    pub owner: Option<String>,
}

impl fmt::Debug for RoleUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoleUrls(..)")
    }
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Where the database is.
    pub url: DatabaseUrl,
    /// By which other roles it is used; none on SQLite.
    pub roles: RoleUrls,
    /// The most connections that read.
    pub readers: u32,
    /// Whether a PostgreSQL that does not sync is good enough: in tests only.
    pub accept_fsync_off: bool,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Reader,
    Writer,
    /// Replaces and deletes segments.
    Keeper,
    /// Owns the tables.
    Migrator,
}

/// How connections are made.
#[derive(Clone)]
enum Source {
    Sqlite(Box<sqlite::Sqlite>),
    Postgres(Box<postgres::Postgres>),
}

impl Source {
    async fn connect(&self, role: Role) -> Result<Connection, StoreError> {
        let conn = match self {
            Self::Sqlite(file) => Conn::Sqlite(Box::new(file.connect(role).await?)),
            Self::Postgres(server) => Conn::Postgres(Box::new(server.connect(role).await?)),
        };
        Ok(Connection::new(conn, role))
    }
}

const FOREIGN_CODE: &str = "The database holds a trigger, a view, a rule or a policy that Coffer did not make and that could undo what it stores: remove it, then run `coffer-server check`.";

/// A database that holds a cluster, or will.
pub struct Store {
    source: Source,
    readers: Arc<Readers>,
    /// On SQLite a connection that nothing is sent on. While one is open, the index of the log in memory says what was
    /// committed, and the next commit writes over what a failed one left; without any, the log is read from its file,
    /// where pages stand that were never synced.
    anchor: Mutex<Option<Writer>>,
    /// On SQLite, who copies the write-ahead log back.
    checkpoints: Mutex<Option<Checkpoints>>,
    /// Whether somebody here may replace and delete segments.
    keeps: AtomicBool,
}

impl Store {
    /// Opens a database: makes and locks the SQLite file, or looks at PostgreSQL's settings.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        let source = match &settings.url {
            DatabaseUrl::Sqlite(path) => Source::Sqlite(Box::new(sqlite::Sqlite::new(path)?)),
            DatabaseUrl::Postgres(url) => {
                let accept_fsync_off = settings.accept_fsync_off;
                let server = postgres::Postgres::new(url, &settings.roles, accept_fsync_off)?;
                Source::Postgres(Box::new(server))
            }
        };
        let store = Self {
            readers: Readers::new(source.clone(), settings.readers),
            source,
            anchor: Mutex::default(),
            checkpoints: Mutex::default(),
            keeps: AtomicBool::new(true),
        };
        // The first connection turns the write-ahead log on, which a reader may not.
        let mut first = store.writer().await?;
        match store.engine() {
            Engine::Postgres => first.close().await,
            Engine::Sqlite => {
                sqlite::settle(first.within()).await?;
                *store.anchor() = Some(first);
                let checkpoints = Checkpoints::start(store.source.clone());
                *lock(&store.checkpoints) = Some(checkpoints);
            }
        }
        Ok(store)
    }

    /// Which database it is.
    pub const fn engine(&self) -> Engine {
        match self.source {
            Source::Sqlite(_) => Engine::Sqlite,
            Source::Postgres(_) => Engine::Postgres,
        }
    }

    /// The world, if a cluster was founded here.
    pub async fn find_world(&self) -> Result<Option<WorldRow>, StoreError> {
        self.reader().await?.find_world().await
    }

    /// Founds a cluster in one transaction: the world, the changes (its stream already with the first head), the
    /// first segment, and the note of the first change. False when there is a world already.
    pub async fn found(
        &self,
        world: &WorldRow,
        nonce: [u8; 16],
        changes: &Changes,
        segment: &SegmentRow,
    ) -> Result<bool, StoreError> {
        let mut writer = self.writer().await?;
        writer.begin().await?;
        if !writer.within().insert_world(world, nonce).await? {
            writer.rollback().await?;
            return Ok(false);
        }
        writer.write(changes).await?;
        let refs = changes
            .touched
            .iter()
            .flat_map(Ref::as_bytes)
            .copied()
            .collect();
        let note = NoteRow {
            seq: world.seq,
            mark: world.mark,
            nonce,
            refs,
        };
        writer.within().insert_segment(segment).await?;
        writer.within().insert_note(&note).await?;
        writer.commit().await?;
        Ok(true)
    }

    /// A reader, each of whose finds sees its own state.
    pub async fn reader(&self) -> Result<Reader, StoreError> {
        self.readers.find_reader().await
    }

    /// A reader all of whose finds see the state of the first.
    pub async fn snapshot(&self) -> Result<Reader, StoreError> {
        let mut reader = self.readers.find_reader().await?;
        reader.begin().await?;
        Ok(reader)
    }

    /// Forgets the readers that nobody uses, after a connection was lost.
    pub fn drop_idle_readers(&self) {
        self.readers.drop_idle();
    }

    /// A connection of its own for the ledger. On SQLite drop the last one first: its open transaction would be in the way.
    pub async fn writer(&self) -> Result<Writer, StoreError> {
        self.open_writer(Role::Writer).await
    }

    /// A connection of its own to replace and delete segments with: by the keeper's role, if there is one.
    pub async fn keeper(&self) -> Result<Writer, StoreError> {
        self.open_writer(Role::Keeper).await
    }

    async fn open_writer(&self, role: Role) -> Result<Writer, StoreError> {
        let mut connection = self.source.connect(role).await?;
        let text = connection.engine().foreign_code();
        let found = rows!(&mut connection, (i64,), text)?;
        if found.iter().any(|(count,)| *count > 0) {
            return Err(StoreError::Refused(FOREIGN_CODE.to_owned()));
        }
        Ok(Writer::new(connection))
    }

    /// The settings that durability rests on, as the database reports them.
    pub async fn durability(&self) -> Result<String, StoreError> {
        let mut reader = self.reader().await?;
        let text = reader.engine().durability();
        let rows = rows!(&mut reader, (String,), text)?;
        Ok(rows.into_iter().map(|(settings,)| settings).collect())
    }

    /// Ends the session that holds the world and has stood still; nothing on SQLite, where nobody else can hold it.
    pub async fn end_lock_holder(&self) -> Result<(), StoreError> {
        if self.engine() == Engine::Postgres {
            // Not a reader of the pool: those may all be in use while the world is held.
            let mut connection = self.source.connect(Role::Reader).await?;
            run!(&mut connection, dialect::POSTGRES_END_LOCK_HOLDER)?;
            connection.close().await;
        }
        Ok(())
    }

    /// How copying SQLite's write-ahead log back goes.
    pub fn copying(&self) -> Copying {
        lock(&self.checkpoints)
            .as_ref()
            .map_or_else(Copying::default, Checkpoints::copying)
    }

    /// Closes the connections that are not in use.
    pub async fn close(&self) {
        self.readers.close().await;
        let checkpoints = lock(&self.checkpoints).take();
        if let Some(checkpoints) = checkpoints {
            checkpoints.end().await;
        }
        let anchor = self.anchor().take();
        if let Some(anchor) = anchor {
            anchor.close().await;
        }
    }

    fn anchor(&self) -> MutexGuard<'_, Option<Writer>> {
        lock(&self.anchor)
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
