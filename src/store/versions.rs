//! The versions: values and wrapped data keys, by their time-ordered ids, and by the term that wraps them.
//! The census of a term is what may be destroyed only at zero.
//!
//! Invariant: every find says at which change it stood, from the same statement.

use crate::model::{DataKeyRow, EnvironmentId, SecretId, VersionId, VersionRow};

use super::connection::{fixed, natural, on, rows};
use super::many::{Many, Rows, all_put, run_many};
use super::world::{Seen, stamp};
use super::{Connection, StoreError};

const TABLE: &str = "version";

type Columns = (
    i64,
    Vec<u8>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
);

pub(super) const FIND: &str = "
    SELECT w.seq, w.mark, v.id, v.environment, v.secret, v.term, v.wrapped, v.sealed
    FROM world w LEFT JOIN version v ON v.id = $1
    WHERE w.id = 1";

pub(super) const LIST: &str = "
    SELECT w.seq, w.mark, v.id, v.environment, v.secret, v.term, v.wrapped, v.sealed
    FROM world w LEFT JOIN (
        SELECT id, environment, secret, term, wrapped, sealed FROM version
        WHERE id > $1
        ORDER BY id LIMIT $2 + 0
    ) v ON TRUE
    WHERE w.id = 1
    ORDER BY v.id";

// The inner list is answered by the index alone, in its order; values are fetched for one page only.
pub(super) const LIST_BEFORE_TERM: &str = "
    SELECT w.seq, w.mark, v.id, v.environment, v.secret, v.term, v.wrapped, v.sealed
    FROM world w LEFT JOIN (
        SELECT id FROM version
        WHERE environment = $1 AND term < $2 AND (term, id) > ($3, $4)
        ORDER BY term, id LIMIT $5 + 0
    ) page ON TRUE LEFT JOIN version v ON v.id = page.id
    WHERE w.id = 1
    ORDER BY v.term, v.id";

pub(super) const LIST_DATA_KEYS_BEFORE_TERM: &str = "
    SELECT w.seq, w.mark, v.id, v.secret, v.term, v.wrapped
    FROM world w LEFT JOIN (
        SELECT id FROM version
        WHERE environment = $1 AND term < $2
        ORDER BY term, id LIMIT $3 + 0
    ) page ON TRUE LEFT JOIN version v ON v.id = page.id
    WHERE w.id = 1
    ORDER BY v.term, v.id";

pub(super) const COUNT_BY_TERM: &str = "
    SELECT w.seq, w.mark, v.term, v.versions
    FROM world w LEFT JOIN (
        SELECT term, COUNT(*) AS versions FROM version WHERE environment = $1 GROUP BY term
    ) v ON TRUE
    WHERE w.id = 1
    ORDER BY v.term";

impl Connection {
    /// A version.
    pub async fn find_version(
        &mut self,
        id: VersionId,
    ) -> Result<Seen<Option<VersionRow>>, StoreError> {
        Ok(seen(rows!(self, Columns, FIND, &id.as_bytes()[..])?)?.first())
    }

    /// Versions whose id comes after `after`, by id.
    pub async fn list_versions(
        &mut self,
        after: [u8; 16],
        limit: u32,
    ) -> Result<Seen<Vec<VersionRow>>, StoreError> {
        seen(rows!(self, Columns, LIST, &after[..], i64::from(limit))?)
    }

    /// Versions of an environment whose data keys are wrapped under a term below `term`, by their terms and ids.
    pub async fn list_versions_before_term(
        &mut self,
        environment: EnvironmentId,
        term: u32,
        after: Option<(u32, VersionId)>,
        limit: u32,
    ) -> Result<Seen<Vec<VersionRow>>, StoreError> {
        let (after_term, after) = after.map_or((0, [0; 16]), |(term, id)| (term, *id.as_bytes()));
        seen(rows!(
            self,
            Columns,
            LIST_BEFORE_TERM,
            &environment.as_bytes()[..],
            i64::from(term),
            i64::from(after_term),
            &after[..],
            i64::from(limit)
        )?)
    }

    /// The first data keys of an environment that are wrapped under a term below `term`, by their terms and versions' ids.
    pub async fn list_data_keys_before_term(
        &mut self,
        environment: EnvironmentId,
        term: u32,
        limit: u32,
    ) -> Result<Seen<Vec<DataKeyRow>>, StoreError> {
        type Columns = (
            i64,
            Vec<u8>,
            Option<Vec<u8>>,
            Option<Vec<u8>>,
            Option<i64>,
            Option<Vec<u8>>,
        );
        let rows = rows!(
            self,
            Columns,
            LIST_DATA_KEYS_BEFORE_TERM,
            &environment.as_bytes()[..],
            i64::from(term),
            i64::from(limit)
        )?;
        Seen::of(rows, |(seq, mark, id, secret, term, wrapped)| {
            let row = match (id, secret, term, wrapped) {
                (None, ..) => None,
                (Some(id), Some(secret), Some(term), Some(wrapped)) => Some(DataKeyRow {
                    id: VersionId::from_bytes(fixed(id, TABLE)?),
                    secret: SecretId::from_bytes(fixed(secret, TABLE)?),
                    term: natural(term, TABLE)?,
                    wrapped,
                }),
                _ => return Err(StoreError::Damaged(TABLE)),
            };
            Ok((stamp(seq, mark)?, row))
        })
    }

    /// How many versions of an environment each term wraps, by term.
    pub async fn count_versions_by_term(
        &mut self,
        environment: EnvironmentId,
    ) -> Result<Seen<Vec<(u32, u64)>>, StoreError> {
        type Counts = (i64, Vec<u8>, Option<i64>, Option<i64>);
        let rows = rows!(self, Counts, COUNT_BY_TERM, &environment.as_bytes()[..])?;
        Seen::of(rows, |(seq, mark, term, count)| {
            let counted = match term.zip(count) {
                Some((term, count)) => Some((natural(term, TABLE)?, natural(count, TABLE)?)),
                None => None,
            };
            Ok((stamp(seq, mark)?, counted))
        })
    }

    pub(super) async fn insert_versions(
        &mut self,
        versions: &[VersionRow],
    ) -> Result<(), StoreError> {
        let changed = run_many!(
            self,
            INSERT,
            versions,
            |row| &row.id.as_bytes()[..],
            &row.environment.as_bytes()[..],
            &row.secret.as_bytes()[..],
            i64::from(row.term),
            &row.wrapped[..],
            &row.sealed[..]
        );
        all_put(changed, versions)?;
        Ok(())
    }

    pub(super) async fn update_data_keys(
        &mut self,
        data_keys: &[DataKeyRow],
    ) -> Result<(), StoreError> {
        let changed = run_many!(
            self,
            UPDATE_DATA_KEYS,
            data_keys,
            |row| &row.id.as_bytes()[..],
            i64::from(row.term),
            &row.wrapped[..]
        );
        all_put(changed, data_keys)?;
        Ok(())
    }

    pub(super) async fn delete_versions(
        &mut self,
        versions: &[VersionId],
    ) -> Result<(), StoreError> {
        run_many!(self, DELETE, versions, |id| &id.as_bytes()[..]);
        Ok(())
    }
}

pub(super) const INSERT: Many = Many {
    before: "INSERT INTO version (id, environment, secret, term, wrapped, sealed) ",
    rows: Rows::Table,
    columns: &["BYTEA", "BYTEA", "BYTEA", "BIGINT", "BYTEA", "BYTEA"],
    after: " ON CONFLICT (id) DO UPDATE SET environment = excluded.environment, secret = excluded.secret,
        term = excluded.term, wrapped = excluded.wrapped, sealed = excluded.sealed",
};

pub(super) const UPDATE_DATA_KEYS: Many = Many {
    before: "UPDATE version SET term = n.column2, wrapped = n.column3 FROM (",
    rows: Rows::Table,
    columns: &["BYTEA", "BIGINT", "BYTEA"],
    after: ") n WHERE version.id = n.column1",
};

pub(super) const DELETE: Many = Many {
    before: "DELETE FROM version WHERE ",
    rows: Rows::Named(&["id"]),
    columns: &["BYTEA"],
    after: "",
};

fn seen(rows: Vec<Columns>) -> Result<Seen<Vec<VersionRow>>, StoreError> {
    Seen::of(
        rows,
        |(seq, mark, id, environment, secret, term, wrapped, sealed)| {
            let row = match (id, environment, secret, term, wrapped, sealed) {
                (None, ..) => None,
                (
                    Some(id),
                    Some(environment),
                    Some(secret),
                    Some(term),
                    Some(wrapped),
                    Some(sealed),
                ) => Some(VersionRow {
                    id: VersionId::from_bytes(fixed(id, TABLE)?),
                    environment: EnvironmentId::from_bytes(fixed(environment, TABLE)?),
                    secret: SecretId::from_bytes(fixed(secret, TABLE)?),
                    term: natural(term, TABLE)?,
                    wrapped,
                    sealed,
                }),
                _ => return Err(StoreError::Damaged(TABLE)),
            };
            Ok((stamp(seq, mark)?, row))
        },
    )
}
