//! Every record replayed at its position in the change sequence: what was read must be what was current just there, or
//! where it was decided, and no token may have done anything after it was revoked.
//! This sees far more than clients can: two operations need not have followed one another for a stale one to stand out.
//!
//! Invariant: a position is the change that validated a record, and its place in the segment of that change.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;

use crate::support::cluster::Cluster;
use crate::support::records::{Record, Records};

/// The change that validated a record; whether its segment is of that very change; its place there.
type Position = (u64, bool, u64);

/// What does not fit its position.
pub async fn wrong(cluster: &Cluster, records: &Records) -> Vec<String> {
    let segments = segments(cluster).await;
    let writing = writing(&segments, records);
    let positions: Vec<Position> = records
        .all()
        .iter()
        .map(|record| {
            let (stream, first, seq) = segment_of(&segments, record);
            // A batch without changes sees all of the change that it names.
            (
                seq,
                !writing.contains(&(stream, first)),
                number(record, "index"),
            )
        })
        .collect();
    let (mut versions, mut revoked) = (BTreeMap::new(), BTreeMap::new());
    for (record, position) in records.all().iter().zip(&positions) {
        if record.status() >= 300 {
            continue;
        }
        let resource = record.text("resource").expect("a resource").to_owned();
        match record.text("action") {
            Some("write") => {
                let of: &mut BTreeMap<Position, u64> = versions.entry(resource).or_default();
                of.insert(*position, number(record, "version"));
            }
            Some("manage") if resource == "sys/tokens" && record.status() == 204 => {
                let id = record.member("metadata")["coffer.token"].as_str();
                let id = id.expect("it says which token").to_owned();
                revoked.entry(id).or_insert(*position);
            }
            _ => {}
        }
    }
    let mut wrong = Vec::new();
    for of in versions.values() {
        let in_order: Vec<u64> = of.values().copied().collect();
        if in_order != (1..=in_order.len() as u64).collect::<Vec<_>>() {
            wrong.push(format!("versions out of order: {in_order:?}"));
        }
    }
    for (record, position) in records.all().iter().zip(&positions) {
        let resource = record.text("resource").expect("a resource");
        // A read that was sent back is decided over one snapshot, and stands there.
        let decided = (number(record, "as_of"), true, u64::MAX);
        let fits = match (
            record.text("action"),
            record.status(),
            versions.get(resource),
        ) {
            (Some("read"), 200, Some(of)) => {
                let read = Some(number(record, "version"));
                current(of, *position) == read || current(of, decided) == read
            }
            (Some("read"), 404, Some(of)) => {
                current(of, *position).is_none() || current(of, decided).is_none()
            }
            _ => true,
        };
        let ended = record.text("token").and_then(|token| revoked.get(token));
        let dead = ended.is_some_and(|ended| *position > *ended && decided > *ended);
        if !fits || dead && record.status() < 400 {
            let of = versions.get(resource).map(|of| {
                let before = of.range(..*position).next_back();
                (before, of.range(*position..).next())
            });
            wrong.push(format!("at {position:?}, between {of:?}: {record:?}"));
        }
    }
    wrong
}

/// The version just before a position.
fn current(versions: &BTreeMap<Position, u64>, position: Position) -> Option<u64> {
    let before = versions.range(..position).next_back();
    before.map(|(_, version)| *version)
}

/// The first index and the change of each segment, by stream and by the index of the next one.
type Segments = BTreeMap<(String, u64), (u64, u64)>;

async fn segments(cluster: &Cluster) -> Segments {
    let mut connection = cluster.database().await;
    let rows = sqlx::query("SELECT encode(stream, 'hex'), first, count, seq FROM segment");
    let rows = rows.fetch_all(&mut connection).await.expect("segments");
    rows.iter()
        .map(|row| {
            let natural = |at: usize| row.get::<i64, _>(at).unsigned_abs();
            let (first, end) = (natural(1), natural(1) + natural(2));
            ((row.get(0), end), (first, natural(3)))
        })
        .collect()
}

fn segment_of(segments: &Segments, record: &Record) -> (String, u64, u64) {
    let stream = record.text("stream").expect("a stream").replace('-', "");
    let behind = (stream.clone(), number(record, "index") + 1);
    let (_, (first, seq)) = segments.range(behind..).next().expect("its segment");
    (stream, *first, *seq)
}

/// The segments that hold a record of a change.
fn writing(segments: &Segments, records: &Records) -> BTreeSet<(String, u64)> {
    let changes = |record: &&Record| {
        record.status() < 300 && !matches!(record.text("action"), Some("read" | "list" | "audit"))
    };
    let segment = |record: &Record| {
        let (stream, first, _) = segment_of(segments, record);
        (stream, first)
    };
    records.all().iter().filter(changes).map(segment).collect()
}

fn number(record: &Record, key: &str) -> u64 {
    let text = record.text(key).expect("a number as text");
    text.parse().expect("a number")
}
