//! What can go wrong in a store, told apart by what it means for a commit that was on its way.
//! The texts are for the operator: they name settings, codes and constraints.
//!
//! Invariant: no error carries a stored value, a password or a URL.

use thiserror::Error;

use crate::fault::Injected;

/// Why the store did not do as it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The connection or the disk failed. If a commit was on its way, its outcome is unknown.
    #[error("the connection to the database was lost")]
    Lost,
    /// The disk is full. Nothing was stored.
    #[error("the database's disk is full")]
    Full,
    /// Somebody else held the lock for too long. Nothing was stored, and the connection may be used again.
    #[error("another node holds the database's lock")]
    LockWait,
    /// All readers were in use for too long.
    #[error("all of the database's readers are in use")]
    Busy,
    /// A row stands where another was to be put. Nothing was stored.
    #[error("a row is in the way: {0}")]
    Conflict(String),
    /// A row has a shape that Coffer never writes.
    #[error("a row of {0} has a shape that Coffer never writes")]
    Damaged(&'static str),
    /// The role may not do that.
    #[error("PostgreSQL refused: {0}")]
    Denied(String),
    /// It must not go on; one sentence says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// A statement failed, and nothing was stored.
    #[error("the database refused a statement: {0}")]
    Broken(String),
}

impl From<Injected> for StoreError {
    fn from(_: Injected) -> Self {
        Self::Lost
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        match error {
            Database(error) => match error.code() {
                Some(code)
                    if error
                        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
                        .is_some() =>
                {
                    of_sqlite(code.parse().unwrap_or(1), error.message())
                }
                code => of_postgres(
                    code.as_deref().unwrap_or(""),
                    error.message(),
                    error.constraint(),
                ),
            },
            Io(_) | Tls(_) | Protocol(_) | WorkerCrashed | PoolClosed | PoolTimedOut => Self::Lost,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Damaged("an unknown table")
            }
            // Everything else is a mistake of ours in a call, found before anything is sent.
            _ => Self::Broken("the driver could not send it".to_owned()),
        }
    }
}

/// By SQLSTATE: PostgreSQL, appendix A.
fn of_postgres(code: &str, message: &str, constraint: Option<&str>) -> StoreError {
    match code {
        "55P03" => StoreError::LockWait,
        "53100" => StoreError::Full,
        "53300" => StoreError::Refused(
            "PostgreSQL has no connection left: raise max_connections.".to_owned(),
        ),
        "42P01" => StoreError::Refused(UNPREPARED.to_owned()),
        "42501" => StoreError::Denied(message.to_owned()),
        "3D000" | "28000" | "28P01" => {
            StoreError::Refused(format!("PostgreSQL refused: {message}."))
        }
        // 08: the connection; 25P03: idle too long in a transaction; 25006: it is a standby now;
        // 40003: outcome unknown; 57: ended or cancelled by somebody; 58: the system under it.
        "25P03" | "25006" | "40003" => StoreError::Lost,
        _ if ["08", "57", "58"].contains(&code.get(..2).unwrap_or("")) => StoreError::Lost,
        // 42P07, 42710: a table, or its type, that another node makes at the same moment.
        "42P07" | "42710" => StoreError::Conflict(code.to_owned()),
        _ if code.starts_with("23") => StoreError::Conflict(constraint.unwrap_or(code).to_owned()),
        _ => StoreError::Broken(format!("{code} {message}")),
    }
}

/// By result code: <https://www.sqlite.org/rescode.html>, whose low byte is the primary one.
fn of_sqlite(code: u32, message: &str) -> StoreError {
    match code & 0xff {
        5 | 6 => StoreError::LockWait,
        // A commit whose sync failed may still be found by the next recovery: unknown.
        9 | 10 => StoreError::Lost,
        13 => StoreError::Full,
        8 | 14 => StoreError::Refused(
            "The database file cannot be opened for writing: check its owner and mode.".to_owned(),
        ),
        11 | 26 => StoreError::Refused(
            "The database file is damaged: restore it from a backup.".to_owned(),
        ),
        19 => StoreError::Conflict(message.to_owned()),
        1 if message.starts_with("no such table") => StoreError::Refused(UNPREPARED.to_owned()),
        _ => StoreError::Broken(format!("{code} {message}")),
    }
}

const UNPREPARED: &str = "The database has no tables of Coffer's: run `coffer-server migrate`.";
