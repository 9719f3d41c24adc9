//! Every record replayed at its position in the change sequence: what was read must be what was current just there, and no
//! token may have done anything after it was revoked, nor been refused before.
//! This sees far more than clients can: two operations need not have followed one another for a stale one to stand out.
//!
//! A record also says where it was decided (`as_of`), which is before its position wherever the world has moved meanwhile.
//! What was decided from the cache, and what changes anything, is held against all that moved, so it is true at its position.
//! Only a read that was sent back, and was then decided over one snapshot, is not looked at again: it is true where it was
//! decided, and may be older than its position.
//!
//! Its record does not tell that it was sent back: it has the members of any other. The place of a snapshot may be one that the
//! node has followed to as well, where it would decide from its cache; and when the request came would say nothing either, since
//! a node may follow late. So by its record alone a stale read that was not validated passes for one over a snapshot.
//! What is known of a history as a whole is how many reads its servers sent back, and no more of them may stand where they were
//! decided. That is a bound and no proof: a server that validates too little sends enough back to hide a few. So there are
//! histories in which snapshots are doubted, which is to say validated like everything else, and there no read may.
//!
//! Invariant: a position is the change that validated a record, and its place in the segment of that change.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;

use crate::support::cluster::Cluster;
use crate::support::records::{Record, Records};

/// The change that validated a record; whether its segment is of that very change; its place there.
type Position = (u64, bool, u64);

/// More records than a segment of these histories has before it is merged with others; a merged one has no one change.
const MERGED: u64 = 2_048;

/// What does not fit its position, where so many reads were decided over a snapshot and not validated again.
pub async fn wrong(cluster: &Cluster, records: &Records, snapshots: usize) -> Vec<String> {
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
    let told = Told::of(records, &positions);
    let mut wrong = Vec::new();
    for of in told.versions.values() {
        let in_order: Vec<u64> = of.values().copied().collect();
        if in_order != (1..=in_order.len() as u64).collect::<Vec<_>>() {
            wrong.push(format!("versions out of order: {in_order:?}"));
        }
    }
    let mut elsewhere = Vec::new();
    for (record, position) in records.all().iter().zip(&positions) {
        let as_of = number(record, "as_of");
        let (seq, is_reading, _) = *position;
        // A change is not seen before it is made, and nobody decides in the future.
        let is_decided = as_of < seq || is_reading && as_of == seq;
        if is_decided && told.fits(record, *position) {
            continue;
        }
        let what = format!(
            "at {position:?}, {}: {record:?}",
            told.around(record, *position)
        );
        let is_read = record.text("action") == Some("read");
        if is_decided && is_read && told.fits(record, (as_of, true, u64::MAX)) {
            elsewhere.push(what);
        } else {
            wrong.push(what);
        }
    }
    if elsewhere.len() > snapshots {
        wrong.push(format!(
            "{} reads are true only where they were decided, and {snapshots} were sent back",
            elsewhere.len()
        ));
        wrong.extend(elsewhere);
    }
    wrong
}

/// What the log tells of versions and tokens.
#[derive(Default)]
struct Told {
    /// Of each secret, where each version was made.
    versions: BTreeMap<String, BTreeMap<Position, u64>>,
    /// Of each token, where it was revoked.
    revoked: BTreeMap<String, Position>,
}

impl Told {
    fn of(records: &Records, positions: &[Position]) -> Self {
        let mut told = Self::default();
        for (record, position) in records.all().iter().zip(positions) {
            if record.status() >= 300 {
                continue;
            }
            let resource = record.text("resource").expect("a resource").to_owned();
            match (record.text("action"), &*resource, record.status()) {
                (Some("write"), ..) => {
                    let of = told.versions.entry(resource).or_default();
                    of.insert(*position, number(record, "version"));
                }
                (Some("manage"), "sys/tokens", 204) => {
                    let token = record.member("metadata")["coffer.token"].as_str();
                    let token = token.expect("which one").to_owned();
                    let first = told.revoked.entry(token).or_insert(*position);
                    *first = (*first).min(*position);
                }
                _ => {}
            }
        }
        told
    }

    /// Whether a record is true at a position.
    fn fits(&self, record: &Record, at: Position) -> bool {
        let resource = record.text("resource").expect("a resource");
        let current = self.versions.get(resource).and_then(|of| current(of, at));
        let is_current = match (record.text("action"), record.status()) {
            (Some("read"), _) if resource.starts_with("sys/") => true,
            (Some("read"), 200) => current == Some(number(record, "version")),
            (Some("read"), 404) => current.is_none(),
            _ => true,
        };
        // Whoever showed no token that is known is nobody's.
        let is_refused = record.status() == 401;
        let as_it_lives = record.text("token").is_none_or(|token| {
            let ended = self.revoked.get(token);
            is_refused == ended.is_some_and(|ended| at > *ended)
        });
        is_current && as_it_lives
    }

    /// What was written to a record's secret just before a position, and just after.
    fn around(&self, record: &Record, at: Position) -> String {
        let resource = record.text("resource").expect("a resource");
        let of = self.versions.get(resource).map(|of| {
            let before = of.range(..at).next_back();
            (before, of.range(at..).next())
        });
        format!("between {of:?}")
    }
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
            assert!(natural(2) < MERGED, "a history that is too long");
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
