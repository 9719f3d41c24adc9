//! What Coffer does unasked: rotations and refreshes that are due, anchors, summaries, sweeping, merging, retention.
//! Each job is a loop that runs operations as a part of the system, through the same door as everybody.
//!
//! Invariant: a job is stopped only between two operations, never within one.

mod anchors;
mod merger;
mod refresher;
mod retention;
mod scheduler;
mod setbacks;
mod sweeper;
mod turned_away;

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

pub use refresher::Refresher;
pub use retention::turn as prune_records;

use crate::door::Door;
use crate::model::Ttl;

/// Starts all jobs of a node; records older than `retention` are pruned, or none. Each ends soon after `stop` turns true, or its sender is gone; await the set to see them end.
pub fn start(
    door: &Door,
    refresher: &Refresher,
    retention: Option<Ttl>,
    stop: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(scheduler::run(
        door.clone(),
        Beat::every(scheduler::PERIOD, stop),
    ));
    jobs.spawn(refresher::run(
        refresher.clone(),
        Beat::every(refresher::PERIOD, stop),
    ));
    jobs.spawn(anchors::run(
        door.clone(),
        Beat::every(anchors::PERIOD, stop),
    ));
    jobs.spawn(merger::run(door.clone(), Beat::every(merger::PERIOD, stop)));
    if let Some(retention) = retention {
        let beat = Beat::every(retention::PERIOD, stop);
        jobs.spawn(retention::run(door.clone(), retention, beat));
    }
    jobs.spawn(turned_away::run(
        door.clone(),
        Beat::every(turned_away::PERIOD, stop),
    ));
    jobs.spawn(sweeper::run(
        door.clone(),
        Beat::every(sweeper::PERIOD, stop),
    ));
    jobs
}

/// A job's beat: ticks until it is told to stop.
struct Beat {
    interval: Interval,
    stop: watch::Receiver<bool>,
}

impl Beat {
    fn every(period: Duration, stop: &watch::Receiver<bool>) -> Self {
        let mut interval = tokio::time::interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once; a job begins one period after the start.
        interval.reset();
        Self {
            interval,
            stop: stop.clone(),
        }
    }

    /// Waits for the next tick; `false` when it is time to stop.
    async fn next(&mut self) -> bool {
        let Self { interval, stop } = self;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => false,
            _ = interval.tick() => true,
        }
    }

    /// Whether it is time to stop, asked between two operations.
    fn is_over(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_beat_ends_when_it_is_told_to() {
        let (tell, stop) = watch::channel(false);
        let mut beat = Beat::every(Duration::from_millis(1), &stop);
        assert!(beat.next().await && !beat.is_over());
        tell.send_replace(true);
        assert!(!beat.next().await && beat.is_over());
    }

    #[tokio::test]
    async fn a_beat_ends_with_its_sender() {
        let (tell, stop) = watch::channel(false);
        let mut beat = Beat::every(Duration::from_secs(3600), &stop);
        drop(tell);
        assert!(!beat.next().await && beat.is_over());
    }
}
