//! One connection to one of two databases, and the two macros through which every statement runs.
//! A connection that met an error, or whose future was dropped half way, is never used again.
//!
//! Invariant: nothing is sent on a connection whose last statement did not end well.

use std::time::Duration;

use sqlx::{PgConnection, SqliteConnection};

use super::{Engine, Role, StoreError};

/// How long an answer may take before its connection is given up: longer than the server lets a statement run.
const ANSWER_MS: u64 = 35_000;
const _: () = assert!(ANSWER_MS > super::postgres::STATEMENT_MS);

/// The two databases.
pub(super) enum Conn {
    Postgres(Box<PgConnection>),
    Sqlite(Box<SqliteConnection>),
}

/// A connection, with everything that can be found through it.
pub struct Connection {
    pub(super) conn: Conn,
    /// How long an answer may take: on every connection to a server, and on a SQLite connection that only reads.
    pub(super) time_max: Option<Duration>,
    /// Whether the last statement ended well; false while one runs.
    pub(super) usable: bool,
    /// Whether the last error was the connection's own.
    pub(super) lost: bool,
    /// Whether a transaction is open.
    pub(super) open: bool,
}

/// Runs one expression on whichever connection it is.
macro_rules! on {
    ($connection:expr, |$conn:ident| $body:expr) => {
        match &mut $connection.conn {
            crate::store::connection::Conn::Postgres(held) => {
                let $conn = &mut **held;
                $body
            }
            crate::store::connection::Conn::Sqlite(held) => {
                let $conn = &mut **held;
                $body
            }
        }
    };
}

/// All rows of a statement, run to its very end: a script's COMMIT comes after its rows. A server must answer in time,
/// since a peer that is gone without a word never would; the connection is then lost, and what was on its way is unknown
/// until a claim tells. Nothing that SQLite may commit is ever cut short.
macro_rules! rows {
    ($connection:expr, $columns:ty, $sql:expr $(, $bind:expr)* $(,)?) => {{
        let connection: &mut crate::store::Connection = $connection;
        connection.begin_statement()?;
        let time_max = connection.time_max;
        let rows: Result<Vec<$columns>, sqlx::Error> = on!(connection, |conn| {
            let work = sqlx::query_as::<_, $columns>($sql)$(.bind($bind))*.fetch_all(conn);
            crate::store::connection::in_time(time_max, work).await
        });
        connection.end_statement(rows)
    }};
}

/// How many rows a statement changed.
macro_rules! run {
    ($connection:expr, $sql:expr $(, $bind:expr)* $(,)?) => {{
        let connection: &mut crate::store::Connection = $connection;
        connection.begin_statement()?;
        let time_max = connection.time_max;
        let changed: Result<u64, sqlx::Error> = on!(connection, |conn| {
            let work = async { sqlx::query($sql)$(.bind($bind))*.execute(conn).await.map(|done| done.rows_affected()) };
            crate::store::connection::in_time(time_max, work).await
        });
        connection.end_statement(changed)
    }};
}

pub(super) use {on, rows, run};

/// An answer, or that it was waited for too long.
pub(super) async fn in_time<T>(
    time_max: Option<Duration>,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match time_max {
        None => work.await,
        Some(time) => tokio::time::timeout(time, work)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut)),
    }
}

impl Connection {
    pub(super) fn new(conn: Conn, role: Role) -> Self {
        let bounded = match conn {
            Conn::Postgres(_) => role != Role::Migrator,
            Conn::Sqlite(_) => role == Role::Reader,
        };
        let time_max = bounded.then_some(Duration::from_millis(ANSWER_MS));
        Self {
            conn,
            time_max,
            usable: true,
            lost: false,
            open: false,
        }
    }

    pub(super) const fn engine(&self) -> Engine {
        match self.conn {
            Conn::Postgres(_) => Engine::Postgres,
            Conn::Sqlite(_) => Engine::Sqlite,
        }
    }

    pub(super) fn begin_statement(&mut self) -> Result<(), StoreError> {
        // The flag comes back only with a result: a dropped future leaves it down.
        if std::mem::replace(&mut self.usable, false) {
            Ok(())
        } else {
            Err(StoreError::Lost)
        }
    }

    pub(super) fn end_statement<T>(
        &mut self,
        result: Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        match result.map_err(StoreError::from) {
            Ok(value) => {
                self.usable = true;
                Ok(value)
            }
            Err(error) => {
                self.lost = matches!(error, StoreError::Lost);
                // A lock not given, outside a transaction, leaves nothing behind.
                self.usable = matches!(error, StoreError::LockWait) && !self.open;
                Err(error)
            }
        }
    }

    /// Runs a text that is prepared anew each time: SQLite acts on a pragma while it prepares it, so that one which is
    /// kept prepared does nothing any more.
    pub(super) async fn run_anew(&mut self, text: &'static str) -> Result<(), StoreError> {
        self.begin_statement()?;
        let ran = on!(self, |conn| sqlx::raw_sql(text)
            .execute(conn)
            .await
            .map(drop));
        self.end_statement(ran)
    }

    pub(super) async fn close(self) {
        // Best effort: the peer notices a closed socket as well.
        let _ = match self.conn {
            Conn::Postgres(conn) => sqlx::Connection::close(*conn).await,
            Conn::Sqlite(conn) => sqlx::Connection::close(*conn).await,
        };
    }
}

/// A count or an index as both databases store it. Beyond what they can hold is beyond what they hold.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stored number as the count, index or term it is.
pub(super) fn natural<T: TryFrom<i64>>(number: i64, table: &'static str) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| StoreError::Damaged(table))
}

/// Stored bytes of a fixed length.
pub(super) fn fixed<const N: usize>(
    bytes: Vec<u8>,
    table: &'static str,
) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(table))
}
