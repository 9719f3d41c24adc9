//! What a row of each table looks like when Coffer wrote it, as conditions in SQL, and the rows that look otherwise.
//! No typed find would show such a row, or it would fail for it; a check names it.
//!
//! Invariant: a row that these conditions take can be read as its type, on both databases.

use crate::model::{DocumentKind, KeyKind};

use super::connection::{on, rows};
use super::{Connection, StoreError};

/// What `$1` is in every statement: SQLite, which stores anything anywhere, orders every other type before it.
pub(super) const NO_BYTES: &[u8] = &[];
/// Odd rows that are named.
const ODD_MAX: i64 = 1_000;

/// A row of a shape that Coffer never writes: its table, a number of its key, and the bytes of its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OddRow {
    /// Which table.
    pub table: String,
    /// Its kind, its first record or its change; its schema in `migration`.
    pub number: i64,
    /// Its id, as far as it has one.
    pub id: Vec<u8>,
}

macro_rules! some_bytes {
    ($column:literal) => {
        concat!("(", $column, " >= $1)")
    };
}
macro_rules! bytes {
    ($column:literal, $length:literal) => {
        concat!(
            "(",
            $column,
            " >= $1 AND LENGTH(",
            $column,
            ") = ",
            $length,
            ")"
        )
    };
}
macro_rules! number {
    ($column:literal, $least:literal, $most:literal) => {
        concat!(
            "(",
            $column,
            " = CAST(",
            $column,
            " AS BIGINT) AND ",
            $column,
            " BETWEEN ",
            $least,
            " AND ",
            $most,
            ")"
        )
    };
}
macro_rules! count {
    ($column:literal) => {
        number!($column, "0", "9223372036854775807")
    };
}
macro_rules! term {
    ($column:literal) => {
        number!($column, "1", "4294967295")
    };
}
macro_rules! text {
    ($column:literal) => {
        concat!("(", $column, " = CAST(", $column, " AS TEXT))")
    };
}

/// The kinds of a document and of a key, as numbers.
const _: () = assert!(DocumentKind::ALL.len() == 9 && KeyKind::Environment as i64 == 8);

macro_rules! world {
    () => {
        concat!(
            bytes!("cluster", "16"),
            " AND ",
            number!("seq", "1", "9223372036854775807"),
            " AND ",
            bytes!("mark", "32"),
            " AND ",
            bytes!("prev", "32"),
            " AND ",
            bytes!("nonce", "16"),
            " AND ",
            term!("schema")
        )
    };
}
macro_rules! note {
    () => {
        concat!(
            number!("seq", "1", "9223372036854775807"),
            " AND ",
            bytes!("mark", "32"),
            " AND ",
            bytes!("nonce", "16"),
            " AND ",
            some_bytes!("refs")
        )
    };
}
macro_rules! document {
    () => {
        concat!(
            number!("kind", "1", "9"),
            " AND ",
            bytes!("id", "16"),
            " AND ",
            bytes!("space", "16"),
            " AND ",
            text!("name"),
            " AND ",
            some_bytes!("grave"),
            " AND (due IS NULL OR due = CAST(due AS BIGINT)) AND ",
            some_bytes!("sealed")
        )
    };
}
macro_rules! version {
    () => {
        concat!(
            bytes!("id", "16"),
            " AND ",
            bytes!("environment", "16"),
            " AND ",
            bytes!("secret", "16"),
            " AND ",
            term!("term"),
            " AND ",
            some_bytes!("wrapped"),
            " AND ",
            some_bytes!("sealed")
        )
    };
}
macro_rules! key {
    () => {
        concat!(
            number!("kind", "1", "8"),
            " AND ",
            bytes!("environment", "16"),
            " AND ",
            term!("term"),
            " AND ",
            some_bytes!("wrapped")
        )
    };
}
macro_rules! stream {
    () => {
        concat!(
            bytes!("id", "16"),
            " AND ",
            bytes!("owner", "16"),
            " AND ",
            count!("epoch"),
            " AND ",
            count!("beat"),
            " AND ",
            count!("size"),
            " AND ",
            some_bytes!("frontier"),
            " AND ",
            text!("head")
        )
    };
}
macro_rules! segment {
    () => {
        concat!(
            bytes!("stream", "16"),
            " AND ",
            count!("first"),
            " AND ",
            number!("count", "1", "4294967295"),
            " AND ",
            count!("seq"),
            " AND ",
            some_bytes!("summary"),
            " AND ",
            some_bytes!("sealed")
        )
    };
}
macro_rules! migration {
    () => {
        concat!("(id = 1) AND ", count!("schema"))
    };
}

pub(super) use {
    bytes, count, document, key, migration, note, number, segment, some_bytes, stream, term, text,
    version, world,
};

/// The rows that the conditions do not take.
pub(super) const ODD: &str = concat!(
    "SELECT 'world', CAST(id AS BIGINT), cluster || $1 FROM world WHERE ",
    "(id = 1 AND ",
    world!(),
    ")",
    " IS NOT TRUE ",
    "UNION ALL SELECT 'note', CAST(seq AS BIGINT), mark || $1 FROM note WHERE ",
    "(",
    note!(),
    ")",
    " IS NOT TRUE ",
    "UNION ALL SELECT 'document', CAST(kind AS BIGINT), id || $1 FROM document WHERE ",
    "(",
    document!(),
    ")",
    " IS NOT TRUE ",
    "UNION ALL SELECT 'version', CAST(term AS BIGINT), id || $1 FROM version WHERE ",
    "(",
    version!(),
    ")",
    " IS NOT TRUE ",
    "UNION ALL SELECT 'wrapped_key', CAST(kind AS BIGINT), environment || $1 FROM wrapped_key WHERE ",
    "(",
    key!(),
    ")",
    " IS NOT TRUE ",
    "UNION ALL SELECT 'stream', CAST(size AS BIGINT), id || $1 FROM stream WHERE ",
    "(",
    stream!(),
    ")",
    " IS NOT TRUE ",
    "UNION ALL SELECT 'segment', CAST(first AS BIGINT), stream || $1 FROM segment WHERE ",
    "(",
    segment!(),
    ")",
    " IS NOT TRUE ",
    "UNION ALL SELECT 'migration', CAST(schema AS BIGINT), $1 FROM migration WHERE ",
    "(",
    migration!(),
    ")",
    " IS NOT TRUE ",
    "LIMIT $2"
);

impl Connection {
    /// The rows of shapes that Coffer never writes, up to a thousand.
    pub async fn list_odd_rows(&mut self) -> Result<Vec<OddRow>, StoreError> {
        let rows = rows!(self, (String, i64, Vec<u8>), ODD, NO_BYTES, ODD_MAX)?;
        let odd = |(table, number, id)| OddRow { table, number, id };
        Ok(rows.into_iter().map(odd).collect())
    }
}
