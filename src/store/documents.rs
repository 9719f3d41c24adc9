//! The documents: finding them by id, by name and by when they are due, and putting them.
//! A name is taken by one living document of its kind and space; a grave, which is the dead one's id, frees it.
//!
//! Invariant: every find says at which change it stood, from the same statement.

use crate::model::{DocumentKind, DocumentRow, Timestamp};

use super::connection::{fixed, natural, on, rows};
use super::many::{Many, Rows, all_put, run_many};
use super::world::{Seen, stamp};
use super::{Connection, StoreError};

const TABLE: &str = "document";

/// The grave of what lives.
const LIVING: &[u8] = &[];

pub(super) type Columns = (
    i64,
    Vec<u8>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<String>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<Vec<u8>>,
);

pub(super) const FIND: &str = "
    SELECT w.seq, w.mark, d.kind, d.id, d.space, d.name, d.grave, d.due, d.sealed
    FROM world w LEFT JOIN document d ON d.kind = $1 AND d.id = $2
    WHERE w.id = 1";

pub(super) const FIND_NAMED: &str = "
    SELECT w.seq, w.mark, d.kind, d.id, d.space, d.name, d.grave, d.due, d.sealed
    FROM world w LEFT JOIN document d ON d.kind = $1 AND d.space = $2 AND d.name = $3 AND d.grave = $4
    WHERE w.id = 1";

pub(super) const LIST_DEAD_NAMED: &str = "
    SELECT w.seq, w.mark, d.kind, d.id, d.space, d.name, d.grave, d.due, d.sealed
    FROM world w LEFT JOIN (
        SELECT kind, id, space, name, grave, due, sealed FROM document
        WHERE kind = $1 AND space = $2 AND name = $3 AND grave > $4
        ORDER BY grave DESC LIMIT $5 + 0
    ) d ON TRUE
    WHERE w.id = 1
    ORDER BY d.grave DESC";

// The bounds of a prefix are compared, not matched: the same bytewise order on both, and the index serves it.
pub(super) const LIST: &str = "
    SELECT w.seq, w.mark, d.kind, d.id, d.space, d.name, d.grave, d.due, d.sealed
    FROM world w LEFT JOIN (
        SELECT kind, id, space, name, grave, due, sealed FROM document
        WHERE kind = $1 AND space = $2 AND name >= $3 AND name < $4 AND name > $5 AND grave = $6
        ORDER BY name LIMIT $7 + 0
    ) d ON TRUE
    WHERE w.id = 1
    ORDER BY d.name";

pub(super) const LIST_DEAD: &str = "
    SELECT w.seq, w.mark, d.kind, d.id, d.space, d.name, d.grave, d.due, d.sealed
    FROM world w LEFT JOIN (
        SELECT kind, id, space, name, grave, due, sealed FROM document
        WHERE kind = $1 AND space = $2 AND grave > $3
        ORDER BY name, grave LIMIT $4 + 0
    ) d ON TRUE
    WHERE w.id = 1
    ORDER BY d.name, d.grave";

pub(super) const LIST_OF_KIND: &str = "
    SELECT w.seq, w.mark, d.kind, d.id, d.space, d.name, d.grave, d.due, d.sealed
    FROM world w LEFT JOIN (
        SELECT kind, id, space, name, grave, due, sealed FROM document
        WHERE kind = $1 AND id > $2
        ORDER BY id LIMIT $3 + 0
    ) d ON TRUE
    WHERE w.id = 1
    ORDER BY d.id";

pub(super) const LIST_DUE: &str = "
    SELECT w.seq, w.mark, d.kind, d.id, d.space, d.name, d.grave, d.due, d.sealed
    FROM world w LEFT JOIN (
        SELECT kind, id, space, name, grave, due, sealed FROM document
        WHERE kind = $1 AND due <= $2 AND due >= $3 AND (due > $3 OR id > $4)
        ORDER BY due, id LIMIT $5 + 0
    ) d ON TRUE
    WHERE w.id = 1
    ORDER BY d.due, d.id";

pub(super) const COUNT: &str = "
    SELECT w.seq, w.mark, (
        SELECT COUNT(*) FROM document
        WHERE kind = $1 AND space = $2 AND grave = $3 AND (due IS NULL OR due > $4)
    )
    FROM world w WHERE w.id = 1";

impl Connection {
    /// The document of this id, alive or dead.
    pub async fn find_document(
        &mut self,
        kind: DocumentKind,
        id: [u8; 16],
    ) -> Result<Seen<Option<DocumentRow>>, StoreError> {
        Ok(seen(rows!(self, Columns, FIND, kind as i64, &id[..])?)?.first())
    }

    /// The living document of this name.
    pub async fn find_document_named(
        &mut self,
        kind: DocumentKind,
        space: [u8; 16],
        name: &str,
    ) -> Result<Seen<Option<DocumentRow>>, StoreError> {
        Ok(seen(rows!(
            self,
            Columns,
            FIND_NAMED,
            kind as i64,
            &space[..],
            name,
            LIVING
        )?)?
        .first())
    }

    /// Dead documents that had this name, the newest first.
    pub async fn list_dead_documents_named(
        &mut self,
        kind: DocumentKind,
        space: [u8; 16],
        name: &str,
        limit: u32,
    ) -> Result<Seen<Vec<DocumentRow>>, StoreError> {
        seen(rows!(
            self,
            Columns,
            LIST_DEAD_NAMED,
            kind as i64,
            &space[..],
            name,
            LIVING,
            i64::from(limit)
        )?)
    }

    /// Living documents whose name starts with `prefix` and comes after `after`, by name.
    pub async fn list_documents(
        &mut self,
        kind: DocumentKind,
        space: [u8; 16],
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Seen<Vec<DocumentRow>>, StoreError> {
        let end = end_of(prefix);
        seen(rows!(
            self,
            Columns,
            LIST,
            kind as i64,
            &space[..],
            prefix,
            end.as_str(),
            after,
            LIVING,
            i64::from(limit)
        )?)
    }

    /// Dead documents of a space, by name.
    pub async fn list_dead_documents(
        &mut self,
        kind: DocumentKind,
        space: [u8; 16],
        limit: u32,
    ) -> Result<Seen<Vec<DocumentRow>>, StoreError> {
        seen(rows!(
            self,
            Columns,
            LIST_DEAD,
            kind as i64,
            &space[..],
            LIVING,
            i64::from(limit)
        )?)
    }

    /// Documents of a kind, alive and dead, whose id comes after `after`, by id; an id of zeros is never among them.
    pub async fn list_documents_of_kind(
        &mut self,
        kind: DocumentKind,
        after: [u8; 16],
        limit: u32,
    ) -> Result<Seen<Vec<DocumentRow>>, StoreError> {
        seen(rows!(
            self,
            Columns,
            LIST_OF_KIND,
            kind as i64,
            &after[..],
            i64::from(limit)
        )?)
    }

    /// Documents of a kind, alive and dead, that are due by `until` and come after `after`, the longest due first, then by id.
    pub async fn list_due_documents(
        &mut self,
        kind: DocumentKind,
        after: (Timestamp, [u8; 16]),
        until: Timestamp,
        limit: u32,
    ) -> Result<Seen<Vec<DocumentRow>>, StoreError> {
        seen(rows!(
            self,
            Columns,
            LIST_DUE,
            kind as i64,
            until.micros(),
            after.0.micros(),
            &after.1[..],
            i64::from(limit)
        )?)
    }

    /// How many living documents of a space are due after `due_after`, or never.
    pub async fn count_documents(
        &mut self,
        kind: DocumentKind,
        space: [u8; 16],
        due_after: Timestamp,
    ) -> Result<Seen<u64>, StoreError> {
        let rows = rows!(
            self,
            (i64, Vec<u8>, i64),
            COUNT,
            kind as i64,
            &space[..],
            LIVING,
            due_after.micros()
        )?;
        let (seq, mark, count) = rows
            .into_iter()
            .next()
            .ok_or_else(super::world::unfounded)?;
        Ok(Seen {
            at: stamp(seq, mark)?,
            value: natural(count, TABLE)?,
        })
    }

    pub(super) async fn insert_documents(
        &mut self,
        documents: &[DocumentRow],
    ) -> Result<(), StoreError> {
        // The dead first: a name must be free before it is taken again.
        let (dead, living): (Vec<_>, Vec<_>) =
            documents.iter().partition(|row| !row.grave.is_empty());
        self.put_documents(&dead).await?;
        let changed = run_many!(
            self,
            UPSERT_IN_PLACE,
            &living,
            |row| row.kind as i64,
            &row.id[..],
            &row.space[..],
            row.name.as_str(),
            &row.grave[..],
            row.due.map(Timestamp::micros),
            &row.sealed[..]
        );
        if all_put(changed, &living).is_ok() {
            return Ok(());
        }
        // One of them stands elsewhere: a secret that was dead.
        self.put_documents(&living).await
    }

    async fn put_documents(&mut self, documents: &[&DocumentRow]) -> Result<(), StoreError> {
        let changed = run_many!(
            self,
            INSERT,
            documents,
            |row| row.kind as i64,
            &row.id[..],
            &row.space[..],
            row.name.as_str(),
            &row.grave[..],
            row.due.map(Timestamp::micros),
            &row.sealed[..]
        );
        all_put(changed, documents)
    }

    pub(super) async fn delete_documents(
        &mut self,
        documents: &[(DocumentKind, [u8; 16])],
    ) -> Result<(), StoreError> {
        run_many!(self, DELETE, documents, |row| row.0 as i64, &row.1[..]);
        Ok(())
    }
}

pub(super) const INSERT: Many = Many {
    before: "INSERT INTO document (kind, id, space, name, grave, due, sealed) ",
    rows: Rows::Table,
    columns: &[
        "BIGINT", "BYTEA", "BYTEA", "TEXT", "BYTEA", "BIGINT", "BYTEA",
    ],
    after: " ON CONFLICT (kind, id) DO UPDATE SET space = excluded.space, name = excluded.name,
        grave = excluded.grave, due = excluded.due, sealed = excluded.sealed",
};

// Leaves the index of names alone where the row stands already: most of what is put.
pub(super) const UPSERT_IN_PLACE: Many = Many {
    before: "INSERT INTO document (kind, id, space, name, grave, due, sealed) ",
    rows: Rows::Table,
    columns: &["BIGINT", "BYTEA", "BYTEA", "TEXT", "BYTEA", "BIGINT", "BYTEA"],
    after: " ON CONFLICT (kind, id) DO UPDATE SET due = excluded.due, sealed = excluded.sealed
        WHERE document.space = excluded.space AND document.name = excluded.name AND document.grave = excluded.grave",
};

pub(super) const DELETE: Many = Many {
    before: "DELETE FROM document WHERE ",
    rows: Rows::Named(&["kind", "id"]),
    columns: &["BIGINT", "BYTEA"],
    after: "",
};

pub(super) fn seen(rows: Vec<Columns>) -> Result<Seen<Vec<DocumentRow>>, StoreError> {
    Seen::of(
        rows,
        |(seq, mark, kind, id, space, name, grave, due, sealed)| {
            let row = match (kind, id, space, name, grave, sealed) {
                (None, ..) => None,
                (Some(kind), Some(id), Some(space), Some(name), Some(grave), Some(sealed)) => {
                    Some(DocumentRow {
                        kind: DocumentKind::from_number(kind).ok_or(StoreError::Damaged(TABLE))?,
                        id: fixed(id, TABLE)?,
                        space: fixed(space, TABLE)?,
                        name,
                        grave,
                        due: due.map(Timestamp::from_micros),
                        sealed,
                    })
                }
                _ => return Err(StoreError::Damaged(TABLE)),
            };
            Ok((stamp(seq, mark)?, row))
        },
    )
}

/// The first text, bytewise, after all that start with `prefix`.
fn end_of(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Skips the gap of the surrogates; the very last character has none after it.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            end.push(next);
            return end;
        }
    }
    char::MAX.to_string()
}

#[cfg(test)]
mod tests {
    use super::end_of;

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(end_of("db/"), "db0");
        assert_eq!(end_of(""), "\u{10ffff}");
        assert_eq!(end_of("a\u{10ffff}"), "b");
        assert_eq!(end_of("\u{d7ff}"), "\u{e000}");
    }
}
