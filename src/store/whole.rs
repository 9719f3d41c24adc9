//! Every row of every table, for a check: those of the shape that Coffer writes, by their keys.
//! No statement in here looks at the world beside its own table, so that a damaged world hides nothing else.
//!
//! Invariant: each row is in a list, or among the odd ones (`odd.rs`), whatever its columns hold.

use crate::model::{
    DocumentKind, DocumentRow, EnvironmentId, KeyKind, KeyRow, SecretId, SegmentRow, StreamId,
    StreamRow, Timestamp, VersionId, VersionRow, WorldRow,
};

use super::connection::{fixed, natural, on, rows, stored};
use super::notes::{NoteColumns, NoteRow, note};
use super::odd::{
    NO_BYTES, bytes, count, document, key, migration, note, number, segment, some_bytes, stream,
    term, text, version, world,
};
use super::{Connection, StoreError, segments, streams, world};

pub(super) const WORLD: &str = concat!(
    "SELECT cluster, seq, mark, prev, schema, nonce FROM world WHERE id = 1 AND ",
    world!()
);

pub(super) const NOTES: &str = concat!(
    "SELECT seq, mark, nonce, refs FROM note WHERE seq > $2 AND ",
    note!(),
    " ORDER BY seq LIMIT $3"
);

pub(super) const DOCUMENTS: &str = concat!(
    "SELECT id, space, name, grave, due, sealed FROM document WHERE kind = $2 AND id > $3 AND ",
    document!(),
    " ORDER BY id LIMIT $4"
);

pub(super) const VERSIONS: &str = concat!(
    "SELECT id, environment, secret, term, wrapped, sealed FROM version WHERE id > $2 AND ",
    version!(),
    " ORDER BY id LIMIT $3"
);

pub(super) const KEYS: &str = concat!(
    "SELECT kind, environment, term, wrapped FROM wrapped_key WHERE ",
    key!(),
    " ORDER BY kind, environment, term"
);

pub(super) const STREAMS: &str = concat!(
    "SELECT id, owner, epoch, beat, size, frontier, head FROM stream WHERE ",
    stream!(),
    " ORDER BY id"
);

pub(super) const SEGMENTS: &str = concat!(
    "SELECT stream, first, count, seq, summary, sealed FROM segment WHERE (stream, first) > ($2, $3) AND ",
    segment!(),
    " ORDER BY stream, first LIMIT $4"
);

pub(super) const MIGRATIONS: &str = concat!("SELECT schema FROM migration WHERE ", migration!());

impl Connection {
    /// The world with its nonce; nothing when there is none, or an odd one.
    pub async fn find_whole_world(&mut self) -> Result<Option<(WorldRow, [u8; 16])>, StoreError> {
        type Columns = (Vec<u8>, i64, Vec<u8>, Vec<u8>, i64, Vec<u8>);
        let rows = rows!(self, Columns, WORLD, NO_BYTES)?;
        let row = rows.into_iter().next();
        row.map(|(cluster, seq, mark, prev, schema, nonce)| {
            let world = world::world((cluster, seq, mark, prev, schema))?;
            Ok((world, fixed(nonce, "world")?))
        })
        .transpose()
    }

    /// The schemas that the tables are said to have.
    pub async fn list_whole_schemas(&mut self) -> Result<Vec<i64>, StoreError> {
        let rows = rows!(self, (i64,), MIGRATIONS, NO_BYTES)?;
        Ok(rows.into_iter().map(|(schema,)| schema).collect())
    }

    /// The notes after the change `after`, by change.
    pub async fn list_whole_notes(
        &mut self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<NoteRow>, StoreError> {
        let after = stored(after);
        let rows = rows!(self, NoteColumns, NOTES, NO_BYTES, after, i64::from(limit))?;
        rows.into_iter()
            .filter_map(|row| note(row).transpose())
            .collect()
    }

    /// Documents of a kind, alive and dead, after the id `after`, or from the first on; by id.
    pub async fn list_whole_documents(
        &mut self,
        kind: DocumentKind,
        after: &[u8],
        limit: u32,
    ) -> Result<Vec<DocumentRow>, StoreError> {
        type Columns = (Vec<u8>, Vec<u8>, String, Vec<u8>, Option<i64>, Vec<u8>);
        let limit = i64::from(limit);
        let rows = rows!(
            self,
            Columns,
            DOCUMENTS,
            NO_BYTES,
            kind as i64,
            after,
            limit
        )?;
        let document = |(id, space, name, grave, due, sealed): Columns| {
            Ok(DocumentRow {
                kind,
                id: fixed(id, "document")?,
                space: fixed(space, "document")?,
                name,
                grave,
                due: due.map(Timestamp::from_micros),
                sealed,
            })
        };
        rows.into_iter().map(document).collect()
    }

    /// Versions after the id `after`, or from the first on; by id.
    pub async fn list_whole_versions(
        &mut self,
        after: &[u8],
        limit: u32,
    ) -> Result<Vec<VersionRow>, StoreError> {
        type Columns = (Vec<u8>, Vec<u8>, Vec<u8>, i64, Vec<u8>, Vec<u8>);
        let rows = rows!(self, Columns, VERSIONS, NO_BYTES, after, i64::from(limit))?;
        let version = |(id, environment, secret, term, wrapped, sealed): Columns| {
            Ok(VersionRow {
                id: VersionId::from_bytes(fixed(id, "version")?),
                environment: EnvironmentId::from_bytes(fixed(environment, "version")?),
                secret: SecretId::from_bytes(fixed(secret, "version")?),
                term: natural(term, "version")?,
                wrapped,
                sealed,
            })
        };
        rows.into_iter().map(version).collect()
    }

    /// The wrapped keys, by kind, environment and term.
    pub async fn list_whole_keys(&mut self) -> Result<Vec<KeyRow>, StoreError> {
        type Columns = (i64, Vec<u8>, i64, Vec<u8>);
        let rows = rows!(self, Columns, KEYS, NO_BYTES)?;
        let key = |(kind, environment, term, wrapped): Columns| {
            Ok(KeyRow {
                kind: KeyKind::from_number(kind).ok_or(StoreError::Damaged("wrapped_key"))?,
                environment: fixed(environment, "wrapped_key")?,
                term: natural(term, "wrapped_key")?,
                wrapped,
            })
        };
        rows.into_iter().map(key).collect()
    }

    /// The streams, by id.
    pub async fn list_whole_streams(&mut self) -> Result<Vec<StreamRow>, StoreError> {
        let rows = rows!(self, streams::Columns, STREAMS, NO_BYTES)?;
        rows.into_iter().map(streams::stream).collect()
    }

    /// The segments of all streams, listed or not, after one, or from the first on; by stream and first record.
    pub async fn list_whole_segments(
        &mut self,
        after: Option<(StreamId, u64)>,
        limit: u32,
    ) -> Result<Vec<SegmentRow>, StoreError> {
        let stream = after.map_or_else(Vec::new, |(stream, _)| stream.as_bytes().to_vec());
        let first = stored(after.map_or(0, |(_, first)| first));
        let limit = i64::from(limit);
        let rows = rows!(
            self,
            segments::Columns,
            SEGMENTS,
            NO_BYTES,
            &stream[..],
            first,
            limit
        )?;
        rows.into_iter().map(segments::segment).collect()
    }
}
