//! A counter, a gauge and a histogram, of whole numbers and relaxed atomics alone.
//! Each number is true by itself; two of them read together need not be of one instant, which Prometheus allows for.
//!
//! Invariant: a histogram's count is the sum of its buckets, so that the two never contradict each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// It is this.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// One more.
    pub fn raise(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One fewer, of those that were raised.
    pub fn lower(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Buckets of every histogram, the last of which has no bound.
const BUCKETS: usize = 16;

/// Bounds of spans, in nanoseconds: from 100 µs, which a batch on a quick disk takes, to 10 s, which a refresh is waited for.
const TIME_NS: [u64; BUCKETS - 1] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// Bounds of a batch's records.
const RECORDS: [u64; BUCKETS - 1] = [
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 16_384, 65_536,
];

/// How often what was seen lay between which bounds, and the sum of it.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64; BUCKETS - 1],
    /// What one of what is shown is of what is counted: a second has so many nanoseconds.
    scale: u64,
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn of_time() -> Self {
        Self::new(&TIME_NS, 1_000_000_000)
    }

    pub(super) fn of_records() -> Self {
        Self::new(&RECORDS, 1)
    }

    fn new(bounds: &'static [u64; BUCKETS - 1], scale: u64) -> Self {
        Self {
            bounds,
            scale,
            buckets: Default::default(),
            sum: AtomicU64::new(0),
        }
    }

    /// A span was seen.
    pub fn observe(&self, span: Duration) {
        self.count(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// A number was seen.
    pub fn count(&self, seen: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < seen);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(seen, Relaxed);
    }

    /// Each bound and how many were not above it; the last is infinite, and its number is all.
    pub(super) fn buckets(&self) -> [(f64, u64); BUCKETS] {
        let mut below = 0;
        std::array::from_fn(|at| {
            below += self.buckets[at].load(Relaxed);
            let bound = self.bounds.get(at);
            (
                bound.map_or(f64::INFINITY, |bound| self.shown(*bound)),
                below,
            )
        })
    }

    pub(super) fn sum(&self) -> f64 {
        self.shown(self.sum.load(Relaxed))
    }

    /// In the unit that is shown. Above 2^53 the last digits are lost, which no sum is for.
    fn shown(&self, counted: u64) -> f64 {
        counted as f64 / self.scale as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let records = Histogram::of_records();
        for seen in [0, 1, 2, 3, 65_536, 65_537] {
            records.count(seen);
        }
        let buckets = records.buckets();
        assert_eq!(
            buckets[..3],
            [(1.0, 2), (2.0, 3), (4.0, 4)],
            "none above its bound"
        );
        assert_eq!(buckets[BUCKETS - 2..], [(65_536.0, 5), (f64::INFINITY, 6)]);
        assert_eq!(records.sum(), 131_079.0);
    }

    #[test]
    fn spans_are_shown_in_seconds() {
        let spans = Histogram::of_time();
        spans.observe(Duration::from_micros(100));
        spans.observe(Duration::from_millis(1_500));
        assert_eq!(spans.buckets()[0], (0.000_1, 1));
        assert_eq!(spans.buckets()[BUCKETS - 1], (f64::INFINITY, 2));
        assert_eq!(spans.sum(), 1.500_1);
    }
}
