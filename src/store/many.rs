//! Statements over many rows: their texts are composed from constants alone, in runs of powers of two,
//! so that few distinct texts exist and the statement cache keeps them all.
//!
//! Invariant: nothing but `&'static str` and parameter numbers goes into a composed text.

use std::fmt::Write as _;

use sqlx::AssertSqlSafe;

/// The most rows of one statement.
const ROWS_MAX: usize = 64;

/// A statement over `(…), (…), …`.
pub(super) struct Many {
    /// What stands before the rows.
    pub before: &'static str,
    /// Parameters a row.
    pub width: usize,
    /// What stands after the rows.
    pub after: &'static str,
}

impl Many {
    /// The text for so many rows.
    pub fn text(&self, rows: usize) -> AssertSqlSafe<String> {
        let mut text = String::from(self.before);
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for column in 1..=self.width {
                let comma = if column == 1 { "" } else { ", " };
                write!(text, "{comma}${}", row * self.width + column)
                    .expect("writing to a String cannot fail");
            }
            text.push(')');
        }
        text.push_str(self.after);
        AssertSqlSafe(text)
    }
}

/// Cuts rows into runs whose lengths are powers of two.
pub(super) fn runs<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let most = rows.len().min(ROWS_MAX);
        let length = 1 << most.checked_ilog2()?;
        let (run, rest) = rows.split_at(length);
        rows = rest;
        Some(run)
    })
}

/// Runs a statement over all of `rows`, binding each by the given columns.
macro_rules! run_many {
    ($connection:expr, $many:expr, $rows:expr, |$row:ident| $($bind:expr),+ $(,)?) => {{
        let connection: &mut crate::store::Connection = $connection;
        for run in crate::store::many::runs($rows) {
            connection.begin_statement()?;
            let done: Result<(), sqlx::Error> = on!(connection, |conn| {
                let mut query = sqlx::query($many.text(run.len()));
                for $row in run {
                    query = query$(.bind($bind))+;
                }
                query.execute(conn).await.map(|_| ())
            });
            connection.end_statement(done)?;
        }
    }};
}

pub(super) use run_many;
