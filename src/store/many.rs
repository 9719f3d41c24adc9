//! Statements over many rows: their texts are composed from constants alone, once, in runs of powers of two,
//! so that few distinct texts exist and the statement cache keeps them all.
//!
//! Invariant: nothing but `&'static str` and parameter numbers goes into a composed text.

use std::fmt::Write as _;

use std::sync::OnceLock;

use super::{Engine, StoreError};

/// The most rows of one statement, as a power of two.
const ROWS_MAX_LOG: usize = 6;

/// The texts of one statement, by database and by the power of two that its rows are.
pub(super) type Texts = [[OnceLock<String>; RUNS]; 2];
/// How many distinct lengths there are.
pub(super) const RUNS: usize = ROWS_MAX_LOG + 1;

/// A statement over many rows.
pub(super) struct Many {
    /// What stands before the rows.
    pub before: &'static str,
    /// A row, with a `?` for each parameter.
    pub row: &'static str,
    /// What stands between two rows.
    pub between: &'static str,
    /// What stands after the rows.
    pub after: &'static str,
}

impl Many {
    /// The text for so many rows. PostgreSQL's parameters have numbers; SQLite would look each number up among all.
    fn text(&self, engine: Engine, rows: usize) -> String {
        let mut text = String::from(self.before);
        let mut parameter = 0;
        for row in 0..rows {
            text.push_str(if row == 0 { "" } else { self.between });
            for (at, part) in self.row.split('?').enumerate() {
                if at > 0 {
                    parameter += 1;
                    match engine {
                        Engine::Postgres => write!(text, "${parameter}"),
                        Engine::Sqlite => write!(text, "?"),
                    }
                    .expect("writing to a String cannot fail");
                }
                text.push_str(part);
            }
        }
        text.push_str(self.after);
        text
    }

    /// The same, made once.
    pub fn text_of(&self, texts: &'static Texts, engine: Engine, rows: usize) -> &'static str {
        texts[engine as usize][rows.ilog2() as usize].get_or_init(|| self.text(engine, rows))
    }
}

/// Cuts rows into runs whose lengths are powers of two.
pub(super) fn runs<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let most = rows.len().min(1 << ROWS_MAX_LOG);
        let length = 1 << most.checked_ilog2()?;
        let (run, rest) = rows.split_at(length);
        rows = rest;
        Some(run)
    })
}

/// Runs a statement over all of `rows`, binding each by the given columns; how many rows it changed.
macro_rules! run_many {
    ($connection:expr, $many:expr, $rows:expr, |$row:ident| $($bind:expr),+ $(,)?) => {{
        static TEXTS: crate::store::many::Texts =
            [const { [const { std::sync::OnceLock::new() }; crate::store::many::RUNS] }; 2];
        let connection: &mut crate::store::Connection = $connection;
        let engine = connection.engine();
        let mut changed = 0;
        for run in crate::store::many::runs($rows) {
            connection.begin_statement()?;
            let done: Result<u64, sqlx::Error> = on!(connection, |conn| {
                let mut query = sqlx::query($many.text_of(&TEXTS, engine, run.len()));
                for $row in run {
                    query = query$(.bind($bind))+;
                }
                query.execute(conn).await.map(|done| done.rows_affected())
            });
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
    fn texts_are_few_and_numbered_through() {
        let many = Many {
            before: "VALUES ",
            row: "(?, ?)",
            between: ", ",
            after: ";",
        };
        assert_eq!(many.text(Engine::Postgres, 2), "VALUES ($1, $2), ($3, $4);");
        let lengths: Vec<_> = runs(&[(); 203]).map(<[()]>::len).collect();
        assert_eq!(lengths, [64, 64, 64, 8, 2, 1]);
        assert_eq!(runs::<()>(&[]).count(), 0);
    }
}
