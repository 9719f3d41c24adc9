//! Statements over many rows: PostgreSQL takes each column as one array, in one text; SQLite takes rows one behind the other,
//! in texts for runs of powers of two, so that the statement cache keeps them all. They are composed from constants, once.
//!
//! Invariant: nothing but `&'static str` and parameter numbers goes into a composed text.

use std::fmt::Write as _;

use std::sync::OnceLock;

use super::{Engine, StoreError};

/// The most rows of one statement on SQLite, as a power of two.
const RUN_MAX_LOG: usize = 6;
/// The most rows of one statement on PostgreSQL: each may have half a mebibyte, and an array is one piece there.
const ROWS_MAX: usize = 64;

/// The texts of one statement.
pub(super) struct Texts {
    postgres: OnceLock<String>,
    /// By the power of two that its rows are.
    sqlite: [OnceLock<String>; RUN_MAX_LOG + 1],
}

/// A statement over many rows.
pub(super) struct Many {
    /// What stands before the rows.
    pub before: &'static str,
    /// What stands for the rows.
    pub rows: Rows,
    /// What PostgreSQL calls the type of each column.
    pub columns: &'static [&'static str],
    /// What stands after the rows.
    pub after: &'static str,
}

/// How rows stand in a statement.
pub(super) enum Rows {
    /// As a table, whose columns both databases name `column1` and so on.
    Table,
    /// As a condition that is true of those whose columns, which have these names, are as in one of the rows.
    Named(&'static [&'static str]),
}

impl Texts {
    pub const fn new() -> Self {
        Self {
            postgres: OnceLock::new(),
            sqlite: [const { OnceLock::new() }; RUN_MAX_LOG + 1],
        }
    }

    /// The text for any number of rows, which are arrays.
    pub fn of_postgres(&'static self, many: &Many) -> &'static str {
        self.postgres.get_or_init(|| many.around(&many.of_arrays()))
    }

    /// The text for so many rows.
    pub fn of_sqlite(&'static self, many: &Many, rows: usize) -> &'static str {
        self.sqlite[rows.ilog2() as usize].get_or_init(|| many.around(&many.of_values(rows)))
    }
}

impl Many {
    fn around(&self, rows: &str) -> String {
        [self.before, rows, self.after].concat()
    }

    fn of_arrays(&self) -> String {
        let (mut arrays, mut columns) = (String::new(), String::new());
        for (at, of) in self.columns.iter().enumerate() {
            let (comma, number) = (if at == 0 { "" } else { ", " }, at + 1);
            write!(arrays, "{comma}${number}::{of}[]").expect("a String takes all");
            write!(columns, "{comma}column{number}").expect("a String takes all");
        }
        let table = format!("SELECT {columns} FROM UNNEST({arrays}) n ({columns})");
        match self.rows {
            Rows::Table => table,
            Rows::Named(names) => format!("({}) IN ({table})", names.join(", ")),
        }
    }

    /// Parameters have no numbers: SQLite would look each up among all. Of rows in a condition it uses an index only where
    /// each is a term of its own.
    fn of_values(&self, rows: usize) -> String {
        let (before, row, between) = match self.rows {
            Rows::Table => ("VALUES ", vec!["?"; self.columns.len()].join(", "), ", "),
            Rows::Named(names) => ("", format!("{} = ?", names.join(" = ? AND ")), " OR "),
        };
        format!("{before}{}", vec![format!("({row})"); rows].join(between))
    }
}

/// Cuts rows into those of one statement each; on SQLite their numbers are powers of two.
pub(super) fn runs<T>(engine: Engine, mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = match engine {
            Engine::Postgres => rows.len().min(ROWS_MAX),
            Engine::Sqlite => 1 << rows.len().min(1 << RUN_MAX_LOG).checked_ilog2()?,
        };
        let (run, rest) = rows.split_at(length);
        rows = rest;
        (length > 0).then_some(run)
    })
}

/// Runs a statement over all of `rows`, binding each by the given columns, of which some are the same for all; how many
/// rows it changed.
macro_rules! run_many {
    ($connection:expr, $many:expr, $rows:expr, |$row:ident| $($bind:expr),+ $(,)?) => {{
        static TEXTS: crate::store::many::Texts = crate::store::many::Texts::new();
        let connection: &mut crate::store::Connection = $connection;
        let mut changed = 0;
        for run in crate::store::many::runs(connection.engine(), $rows) {
            connection.begin_statement()?;
            let time_max = connection.time_max;
            let done = match &mut connection.conn {
                crate::store::connection::Conn::Postgres(conn) => {
                    let query = sqlx::query(TEXTS.of_postgres(&$many));
                    $(let query = query.bind(run.iter().map(|$row| { _ = $row; $bind }).collect::<Vec<_>>());)+
                    let work = async { query.execute(&mut **conn).await.map(|done| done.rows_affected()) };
                    crate::store::connection::in_time(time_max, work).await
                }
                crate::store::connection::Conn::Sqlite(conn) => {
                    let mut query = sqlx::query(TEXTS.of_sqlite(&$many, run.len()));
                    for $row in run {
                        query = query$(.bind($bind))+;
                    }
                    query.execute(&mut **conn).await.map(|done| done.rows_affected())
                }
            };
            changed += connection.end_statement(done)?;
        }
        changed
    }};
}

pub(super) use run_many;

/// Every row that was to be put was put: a database that quietly leaves one out (a trigger, a rule) must not have it told
/// as stored.
pub(super) fn all_put<T>(changed: u64, rows: &[T]) -> Result<(), StoreError> {
    if usize::try_from(changed) == Ok(rows.len()) {
        return Ok(());
    }
    Err(StoreError::Broken(
        "it did not put every row that it was given".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_few_and_name_their_columns_alike() {
        static TEXTS: Texts = Texts::new();
        let many = Many {
            before: "INSERT INTO t (a, b) ",
            rows: Rows::Table,
            columns: &["BYTEA", "BIGINT"],
            after: ";",
        };
        assert_eq!(
            TEXTS.of_sqlite(&many, 2),
            "INSERT INTO t (a, b) VALUES (?, ?), (?, ?);"
        );
        assert_eq!(
            TEXTS.of_postgres(&many),
            "INSERT INTO t (a, b) SELECT column1, column2 \
             FROM UNNEST($1::BYTEA[], $2::BIGINT[]) n (column1, column2);"
        );
    }

    #[test]
    fn rows_are_a_condition_too() {
        static TEXTS: Texts = Texts::new();
        let many = Many {
            before: "DELETE FROM t WHERE ",
            rows: Rows::Named(&["a", "b"]),
            columns: &["BYTEA", "BIGINT"],
            after: "",
        };
        assert_eq!(
            TEXTS.of_sqlite(&many, 2),
            "DELETE FROM t WHERE (a = ? AND b = ?) OR (a = ? AND b = ?)"
        );
        assert_eq!(
            TEXTS.of_postgres(&many),
            "DELETE FROM t WHERE (a, b) IN (SELECT column1, column2 \
             FROM UNNEST($1::BYTEA[], $2::BIGINT[]) n (column1, column2))"
        );
    }

    #[test]
    fn rows_are_cut_into_those_of_one_statement_each() {
        let lengths = |engine, rows: &[()]| runs(engine, rows).map(<[()]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(Engine::Sqlite, &[(); 203]), [64, 64, 64, 8, 2, 1]);
        assert_eq!(lengths(Engine::Postgres, &[(); 100]), [64, 36]);
        for engine in [Engine::Postgres, Engine::Sqlite] {
            assert!(lengths(engine, &[]).is_empty());
        }
    }
}
