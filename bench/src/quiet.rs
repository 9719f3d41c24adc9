//! What the servers of a run do while they are not measured: one at a time is awake in a round, and all are between two.
//! A server that is left alone merges its log; on a core that is shared it would do so in another's window.
//!
//! Invariant: whatever was stopped here goes on, also when the run is given up.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::process;

/// How long servers are left alone between two rounds at least, and at most: they look for something to merge every two
/// seconds, and do it when nobody asked much since the look before.
const TIME_MIN: Duration = Duration::from_millis(4_500);
const TIME_MAX: Duration = Duration::from_secs(120);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Of one core: a server that uses less is quiet.
const SHARE_MAX: f64 = 0.03;

/// Processes that stand still.
pub struct Still(Vec<u32>);

impl Still {
    /// Stops these.
    pub fn hold(processes: impl Iterator<Item = u32>) -> Result<Self> {
        let still = Self(processes.collect());
        still.0.iter().try_for_each(|id| signal("-STOP", *id))?;
        Ok(still)
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        for id in &self.0 {
            // One that is gone needs nothing.
            let _ = signal("-CONT", *id);
        }
    }
}

/// Waits until these processes have done what they do when they are left alone.
pub async fn settle(processes: &BTreeSet<u32>) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (before, since) = (used(processes)?, Instant::now());
        tokio::time::sleep(LOOK_EVERY).await;
        let share = (used(processes)? - before).as_secs_f64() / since.elapsed().as_secs_f64();
        let quiet = share < SHARE_MAX && begun.elapsed() >= TIME_MIN;
        if quiet || begun.elapsed() > TIME_MAX {
            return Ok(());
        }
    }
}

fn used(processes: &BTreeSet<u32>) -> Result<Duration> {
    processes.iter().map(|id| process::cpu(*id)).sum()
}

fn signal(which: &str, process: u32) -> Result<()> {
    let done = Command::new("kill")
        .args([which, &process.to_string()])
        .status()
        .context("kill")?;
    done.success()
        .then_some(())
        .ok_or_else(|| Failure(format!("kill {which} {process} failed")))
}
