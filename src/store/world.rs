//! The one row of the world: where the change sequence stands, and the lock of the whole cluster.
//! Whatever is found says at which change it stood.
//!
//! Invariant: there is one world or none, and it is made once.

use crate::model::{ClusterId, WorldRow};

use super::connection::{fixed, natural, on, rows, run, stored};
use super::{Connection, StoreError};

const TABLE: &str = "world";

/// A place in the change sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The change.
    pub seq: u64,
    /// Its mark.
    pub mark: [u8; 32],
}

/// What was found, and where the world stood in the same statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen<T> {
    /// Where the world stood; after a lock, the new change under the old mark.
    pub at: Stamp,
    /// What was found.
    pub value: T,
}

pub(super) type Columns = (Vec<u8>, i64, Vec<u8>, Vec<u8>, i64);

pub(super) const FIND: &str = "SELECT cluster, seq, mark, prev, schema FROM world WHERE id = 1";

pub(super) const INSERT: &str = "
    INSERT INTO world (id, cluster, seq, mark, prev, nonce, schema) VALUES (1, $1, $2, $3, $4, $5, $6)
    ON CONFLICT (id) DO NOTHING";

pub(super) const LOCK: &str = "
    UPDATE world SET seq = seq + 1 WHERE id = 1 RETURNING cluster, seq - 1, mark, prev, schema";

impl Connection {
    /// The world, once there is one.
    pub async fn find_world(&mut self) -> Result<Option<WorldRow>, StoreError> {
        rows!(self, Columns, FIND)?
            .into_iter()
            .next()
            .map(world)
            .transpose()
    }

    /// Makes the world; false when there is one already.
    pub(super) async fn insert_world(
        &mut self,
        row: &WorldRow,
        nonce: [u8; 16],
    ) -> Result<bool, StoreError> {
        let made = run!(
            self,
            INSERT,
            &row.cluster.as_bytes()[..],
            stored(row.seq),
            &row.mark[..],
            &row.prev[..],
            &nonce[..],
            i64::from(row.schema)
        )?;
        Ok(made == 1)
    }
}

impl<T> Seen<Vec<T>> {
    /// Rows that each carry the same stamp: one, with nothing in it, when nothing was found.
    pub(super) fn of<R>(
        rows: Vec<R>,
        read: impl Fn(R) -> Result<(Stamp, Option<T>), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut at = None;
        let mut value = Vec::with_capacity(rows.len());
        for row in rows {
            let (stamp, found) = read(row)?;
            at = Some(stamp);
            value.extend(found);
        }
        Ok(Self {
            at: at.ok_or_else(unfounded)?,
            value,
        })
    }

    /// The first of them.
    pub(super) fn first(self) -> Seen<Option<T>> {
        Seen {
            at: self.at,
            value: self.value.into_iter().next(),
        }
    }
}

pub(super) fn world((cluster, seq, mark, prev, schema): Columns) -> Result<WorldRow, StoreError> {
    Ok(WorldRow {
        cluster: ClusterId::from_bytes(fixed(cluster, TABLE)?),
        seq: natural(seq, TABLE)?,
        mark: fixed(mark, TABLE)?,
        prev: fixed(prev, TABLE)?,
        schema: natural(schema, TABLE)?,
    })
}

pub(super) fn stamp(seq: i64, mark: Vec<u8>) -> Result<Stamp, StoreError> {
    Ok(Stamp {
        seq: natural(seq, TABLE)?,
        mark: fixed(mark, TABLE)?,
    })
}

pub(super) fn unfounded() -> StoreError {
    StoreError::Refused("The database holds no cluster: run `coffer-server init`.".to_owned())
}
