//! Retention: records that are old enough are pruned, and the hashes of the tree over them stay.
//! What is left is what the log's last words need: the records of changes to what still lives. First the log says what is
//! to be left of a range; only then it is put into the place of the range, whole, as merging does.
//!
//! Invariant: nothing is pruned before a durable record says so, and nothing that does not lead to the signed heads.

mod ranges;
mod survey;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use coffer_audit_log::{Pruning, Record, is_pruning, kept_hash};
use sha2::{Digest, Sha256};

use super::Door;
use super::log::aside;
use super::segments::{Pruned, prune};
use super::shared::Shared;
use super::view::STORE_LOST;
use crate::model::{Refusal, SeenSegment, SegmentRow, StreamId, Timestamp, Ttl};

use ranges::Range;
use survey::Survey;

/// Words of the ranges that one survey looks after, at most; a range has at least its own.
const WORDS_AT_ONCE: usize = 500_000;
/// A stream that is not this node's and has stood still for so long is everybody's to prune: its node is gone.
const STILL_FOR: Ttl = Ttl::days(1);

/// Prunes what is older than the retention; there should be one.
pub struct Pruner {
    shared: Arc<Shared>,
    retention: Ttl,
    /// Whether this turn looks at what was pruned before, too.
    again: bool,
    /// Ranges that this turn has looked at, by their first index.
    looked_at: HashSet<(StreamId, u64)>,
}

/// A range that is about to be pruned: what is left of it, and what the log has to say first.
pub struct Cut {
    /// What it takes the place of.
    seen: Vec<SeenSegment>,
    row: SegmentRow,
    pruning: Pruning,
    records: u64,
}

impl Cut {
    /// What the record of the pruning says.
    #[must_use]
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.pruning.metadata()
    }

    /// How many records go.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }
}

impl Door {
    /// What prunes records that are older than `retention`.
    pub fn pruner(&self, retention: Ttl) -> Pruner {
        Pruner {
            shared: Arc::clone(&self.shared),
            retention,
            again: false,
            looked_at: HashSet::new(),
        }
    }
}

/// Ranges whose records were looked at, and which of them are to be kept.
pub struct Plan {
    before: Timestamp,
    ranges: Vec<Range>,
    survey: Survey,
}

impl Pruner {
    /// Begins a turn, which looks at what was pruned before, too, if it is to look `again`.
    pub fn begin(&mut self, again: bool) {
        self.again = again;
        self.looked_at.clear();
    }

    /// The next ranges that are old enough, with the whole log surveyed for what of them still matters; `None` once
    /// none is left in this turn.
    ///
    /// # Errors
    /// The store does not answer, or the log does not lead to its signed heads: then nothing may be pruned.
    pub async fn plan(&mut self) -> Result<Option<Plan>, Refusal> {
        let before = self.shared.now().after_micros(-self.retention.micros());
        let mut survey = Survey::new(&self.shared).await?;
        let mut ranges = Vec::new();
        let streams: Vec<StreamId> = survey.streams().collect();
        for stream in streams {
            if stream != self.shared.stream && !self.stands_still(stream).await? {
                continue;
            }
            for range in ranges::old(&self.shared, stream, before, self.again).await? {
                if survey.words() >= WORDS_AT_ONCE {
                    break;
                }
                if self.looked_at.insert((stream, range.first)) {
                    survey.add(&range).await?;
                    ranges.push(range);
                }
            }
        }
        if ranges.is_empty() {
            return Ok(None);
        }
        survey.walk().await?;
        Ok(Some(Plan {
            before,
            ranges,
            survey,
        }))
    }

    /// What is to be left of the plan's next range; `None` once the plan is carried out.
    ///
    /// # Errors
    /// The store does not answer, or the range is not what was surveyed.
    pub async fn next_cut(&self, plan: &mut Plan) -> Result<Option<Cut>, Refusal> {
        while let Some(range) = plan.ranges.pop() {
            let rows = self.rows_of(&range).await?;
            if rows.iter().any(|row| !plan.survey.saw(row)) {
                // It was merged or pruned meanwhile: the next turn finds it.
                continue;
            }
            let seen = rows.iter().map(SeenSegment::of).collect();
            let living = plan.survey.living(range.stream);
            let (shared, before) = (Arc::clone(&self.shared), plan.before);
            let _turn = self.shared.scan_turn().await;
            let pruned = aside(move || {
                let keeps = |index, record: &Record<'_>| {
                    index == 0 || is_pruning(record) || living.contains(&index)
                };
                prune(&shared.keys, &*shared.entropy, &rows, before, &keeps)
            });
            let pruned = pruned.await.map_err(|_| Refusal::Tampered)?;
            if let Some(pruned) = pruned {
                return Ok(Some(cut(&range, seen, pruned)));
            }
        }
        Ok(None)
    }

    /// Puts what is left into the place of the range; false when the range is not what it was any more. To be called when
    /// the record that says so is durable.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn carry_out(&self, cut: Cut) -> Result<bool, Refusal> {
        let lost = |error: crate::store::StoreError| {
            tracing::warn!(%error, "records were not pruned");
            Refusal::Unavailable(STORE_LOST)
        };
        let mut writer = self.shared.store.keeper().await.map_err(lost)?;
        let replaced = writer.replace_segments(&cut.seen, &cut.row).await;
        writer.close().await;
        replaced.map_err(lost)
    }

    async fn rows_of(&self, range: &Range) -> Result<Vec<SegmentRow>, Refusal> {
        let mut reader = self.shared.reader().await?;
        reader
            .list_segments(range.stream, range.first, range.segments)
            .await
            .map_err(|_| Refusal::Unavailable(STORE_LOST))
    }

    /// Whether a stream has had no record for a day. A living node's has an anchor each minute.
    async fn stands_still(&self, stream: StreamId) -> Result<bool, Refusal> {
        let newest = ranges::newest(&self.shared, stream).await?;
        Ok(newest.is_some_and(|newest| newest.after(STILL_FOR) < self.shared.now()))
    }
}

fn cut(range: &Range, seen: Vec<SeenSegment>, pruned: Pruned) -> Cut {
    let Pruned { row, kept, gone } = pruned;
    let stream = range.stream.to_string();
    Cut {
        seen,
        records: gone,
        pruning: Pruning {
            stream: stream.parse().expect("a UUID is a stream's id"),
            first: row.first,
            end: row.first + u64::from(row.count),
            kept: kept_hash(kept),
        },
        row,
    }
}

/// What a segment is known by from one look to the next.
fn digest(row: &SegmentRow) -> [u8; 32] {
    Sha256::digest(&row.sealed).into()
}
