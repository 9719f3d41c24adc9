//! The wrapped keys, one a kind, environment and term.
//! They are few, and listed whole.
//!
//! Invariant: every find says at which change it stood, from the same statement.

use crate::model::{KeyKind, KeyRow};

use super::connection::{fixed, natural, on, rows};
use super::many::{Many, Rows, all_put, run_many};
use super::world::{Seen, stamp};
use super::{Connection, StoreError};

const TABLE: &str = "wrapped_key";

type Columns = (
    i64,
    Vec<u8>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<u8>>,
);

pub(super) const LIST: &str = "
    SELECT w.seq, w.mark, k.kind, k.environment, k.term, k.wrapped
    FROM world w LEFT JOIN wrapped_key k ON k.environment = $1
    WHERE w.id = 1
    ORDER BY k.kind, k.term";

pub(super) const LIST_ALL: &str = "
    SELECT w.seq, w.mark, k.kind, k.environment, k.term, k.wrapped
    FROM world w LEFT JOIN wrapped_key k ON TRUE
    WHERE w.id = 1
    ORDER BY k.kind, k.environment, k.term";

impl Connection {
    /// An environment's keys, by kind and term; those of zeros are the cluster's.
    pub async fn list_keys(
        &mut self,
        environment: [u8; 16],
    ) -> Result<Seen<Vec<KeyRow>>, StoreError> {
        seen(rows!(self, Columns, LIST, &environment[..])?)
    }

    /// All keys, by kind, environment and term.
    pub async fn list_all_keys(&mut self) -> Result<Seen<Vec<KeyRow>>, StoreError> {
        seen(rows!(self, Columns, LIST_ALL)?)
    }

    pub(super) async fn insert_keys(&mut self, keys: &[KeyRow]) -> Result<(), StoreError> {
        let changed = run_many!(
            self,
            INSERT,
            keys,
            |row| row.kind as i64,
            &row.environment[..],
            i64::from(row.term),
            &row.wrapped[..]
        );
        all_put(changed, keys)?;
        Ok(())
    }

    pub(super) async fn delete_keys(
        &mut self,
        environments: &[[u8; 16]],
    ) -> Result<(), StoreError> {
        run_many!(
            self,
            DELETE,
            environments,
            |environment| KeyKind::Environment as i64,
            &environment[..]
        );
        Ok(())
    }

    /// Every key that is to go was there: one that stays behind a trigger or a rule must not be told as destroyed.
    pub(super) async fn delete_terms(
        &mut self,
        terms: &[([u8; 16], u32)],
    ) -> Result<(), StoreError> {
        let changed = run_many!(
            self,
            DELETE_TERMS,
            terms,
            |term| KeyKind::Environment as i64,
            &term.0[..],
            i64::from(term.1)
        );
        if usize::try_from(changed) == Ok(terms.len()) {
            return Ok(());
        }
        Err(StoreError::Broken(
            "it did not take away every key that was to go".to_owned(),
        ))
    }
}

pub(super) const INSERT: Many = Many {
    before: "INSERT INTO wrapped_key (kind, environment, term, wrapped) ",
    rows: Rows::Table,
    columns: &["BIGINT", "BYTEA", "BIGINT", "BYTEA"],
    after: " ON CONFLICT (kind, environment, term) DO UPDATE SET wrapped = excluded.wrapped",
};

pub(super) const DELETE: Many = Many {
    before: "DELETE FROM wrapped_key WHERE ",
    rows: Rows::Named(&["kind", "environment"]),
    columns: &["BIGINT", "BYTEA"],
    after: "",
};

pub(super) const DELETE_TERMS: Many = Many {
    before: "DELETE FROM wrapped_key WHERE ",
    rows: Rows::Named(&["kind", "environment", "term"]),
    columns: &["BIGINT", "BYTEA", "BIGINT"],
    after: "",
};

fn seen(rows: Vec<Columns>) -> Result<Seen<Vec<KeyRow>>, StoreError> {
    Seen::of(rows, |(seq, mark, kind, environment, term, wrapped)| {
        let row = match (kind, environment, term, wrapped) {
            (None, ..) => None,
            (Some(kind), Some(environment), Some(term), Some(wrapped)) => Some(KeyRow {
                kind: KeyKind::from_number(kind).ok_or(StoreError::Damaged(TABLE))?,
                environment: fixed(environment, TABLE)?,
                term: natural(term, TABLE)?,
                wrapped,
            }),
            _ => return Err(StoreError::Damaged(TABLE)),
        };
        Ok((stamp(seq, mark)?, row))
    })
}
