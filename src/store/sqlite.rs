//! A connection to the SQLite file, and the lock file that keeps a second process out.
//! Nothing but SQLite opens the database file once it is open: closing it elsewhere would drop SQLite's own locks.
//!
//! Invariant: every connection begins with commits that wait for the disk (WAL, `synchronous = FULL`), and nobody else can read
//! the files.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _};

use super::connection::{Connection, on, rows};
use super::{LOCK_WAIT_MS, Role, STATEMENTS_MAX, StoreError};

/// What the writer keeps of the file in memory, in KiB and negative as SQLite takes it: the pages that writes go back to.
const WRITER_CACHE: &str = "-16384";
/// Pages of the write-ahead log at which a commit copies them back by itself: what is left of them to copy is little
/// (`checkpoints`), and then the log begins anew.
const WAL_PAGES: &str = "16000";

/// The file, locked against other processes for as long as this lives.
#[derive(Clone)]
pub(super) struct Sqlite {
    options: SqliteConnectOptions,
    _lock: Arc<File>,
}

impl Sqlite {
    pub fn new(path: &Path) -> Result<Self, StoreError> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(refused(
                "The directory of the database does not exist",
                folder,
                "create it",
            ));
        }
        let lock = lock(&beside(path, ".lock"))?;
        prepare(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_millis(LOCK_WAIT_MS))
            .foreign_keys(false)
            // A key that is taken away is overwritten in the file, not only unlinked.
            .pragma("secure_delete", "ON")
            .pragma("trusted_schema", "OFF")
            .pragma("cell_size_check", "ON")
            .pragma("wal_autocheckpoint", WAL_PAGES)
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        Ok(Self {
            options,
            _lock: Arc::new(lock),
        })
    }

    pub async fn connect(&self, role: Role) -> Result<SqliteConnection, StoreError> {
        let options = self.options.clone();
        let options = match role {
            Role::Reader => options.pragma("query_only", "ON"),
            Role::Writer | Role::Keeper | Role::Migrator => {
                // What would undo a statement by itself is kept no longer than it: a file is not worth it.
                let options = options.pragma("temp_store", "MEMORY");
                bounded(options.pragma("cache_size", WRITER_CACHE))
            }
        };
        let mut conn = SqliteConnection::connect_with(&options).await?;
        let (journal, synchronous): (String, i64) =
            sqlx::query_as(SETTINGS).fetch_one(&mut conn).await?;
        if journal != "wal" || synchronous != 2 {
            return Err(StoreError::Refused(
                "SQLite cannot keep a write-ahead log here: put the database on a local disk."
                    .to_owned(),
            ));
        }
        Ok(conn)
    }
}

/// A test fills the disk: `COFFER_SQLITE_PAGES_MAX` is how far the file may grow. Nothing of it is in a release build.
fn bounded(options: SqliteConnectOptions) -> SqliteConnectOptions {
    #[cfg(debug_assertions)]
    if let Ok(pages) = std::env::var("COFFER_SQLITE_PAGES_MAX") {
        return options.pragma("max_page_count", pages);
    }
    options
}

/// Copies what the write-ahead log holds into the file, syncs that, and empties the log.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

const UNSYNCED: &str = "The database file cannot be synced: look at its disk, then start again.";

/// Makes the log that an earlier process left durable, or does not begin. That process may have ended because a sync
/// failed: the kernel then takes the pages for clean, no later sync writes them, and they are still read as if they were
/// there. What would be appended to them would be lost with them. As pages of the file they are written anew.
pub(super) async fn settle(connection: &mut Connection) -> Result<(), StoreError> {
    let settled = async { rows!(connection, (i64, i64, i64), CHECKPOINT) }.await;
    match settled {
        Ok(rows) if rows.iter().all(|(busy, ..)| *busy == 0) => Ok(()),
        Ok(_) => Err(StoreError::LockWait),
        Err(StoreError::Lost) => Err(StoreError::Refused(UNSYNCED.to_owned())),
        Err(error) => Err(error),
    }
}

const SETTINGS: &str = "
    SELECT journal_mode, synchronous FROM pragma_journal_mode, pragma_synchronous";

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|_| {
            refused(
                "The lock file cannot be opened",
                path,
                "check its owner and mode",
            )
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(refused(
            "Another process uses this database",
            path,
            "stop it first",
        )),
        Err(TryLockError::Error(_)) => Err(refused(
            "The lock file cannot be locked",
            path,
            "put the database on a local disk",
        )),
    }
}

/// Makes the file if there is none, and closes what is there to others. SQLite gives `-wal` and `-shm` the file's mode.
fn prepare(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            for path in [
                path.to_owned(),
                beside(path, "-wal"),
                beside(path, "-shm"),
                beside(path, ".lock"),
            ] {
                close_to_others(&path)?;
            }
            Ok(())
        }
        Err(_) => Err(refused(
            "The database file cannot be made",
            path,
            "check the directory's owner and mode",
        )),
    }
}

fn close_to_others(path: &Path) -> Result<(), StoreError> {
    let mode = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(_) => {
            return Err(refused(
                "A database file cannot be looked at",
                path,
                "check its owner",
            ));
        }
    };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|_| {
        refused(
            "Others may read a database file",
            path,
            "set its mode to 0600",
        )
    })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn refused(what: &str, path: &Path, remedy: &str) -> StoreError {
    StoreError::Refused(format!("{what} ({}): {remedy}.", path.display()))
}
