//! Many connections at once: not how fast they are served, but that all of them are, in bounded memory.
//!
//! Invariant: a connection that breaks ends the run; a request that is refused is counted.

use std::time::Instant;

use crate::failure::Result;
use crate::figures::{Figure, Goal};
use crate::load::{Flow, Load};
use crate::process;
use crate::run::Run;
use crate::stage::Stage;
use crate::world::Traffic;

/// What a server's memory may be with a crowd of any size, in MiB.
const MEMORY_MAX: f64 = 200.0;

/// What was seen of all crowds of one server.
pub struct Crowd {
    /// Requests answered as they should be.
    pub answers: u64,
    /// Of each size.
    pub figures: Vec<Figure>,
}

impl Crowd {
    /// Lets crowds of each size read at once.
    pub async fn gather(run: &Run, stage: &Stage) -> Result<Self> {
        let mut crowd = Self {
            answers: 0,
            figures: Vec::new(),
        };
        for count in &run.options.crowds {
            crowd.read(run, stage, *count).await?;
        }
        Ok(crowd)
    }

    async fn read(&mut self, run: &Run, stage: &Stage, count: usize) -> Result<()> {
        let traffic = Traffic::Reads(stage.world.clone());
        let shape = run.shape()?;
        let (address, flow) = (stage.node.address, Flow::flat_out(count));
        let load = Load::begin(&run.client, address, &traffic, flow);
        // A thousand handshakes on one core.
        tokio::time::sleep(2 * shape.warm_up).await;
        load.measure();
        let begun = Instant::now();
        tokio::time::sleep(shape.measured).await;
        let seconds = begun.elapsed().as_secs_f64();
        let memory = process::memory(stage.node.id())?;
        let driven = load.end().await?;
        self.answers += driven.answers;
        let (rate, refused) = (driven.latencies.len() as f64 / seconds, driven.refused);
        let (p99, longest) = (driven.milliseconds(0.99), driven.milliseconds(1.0));
        let mut figure = |what: &str, value, unit, goal| {
            let name = format!("read.{what}.{count}.{}", stage.name());
            self.figures.push(Figure::new(name, value, unit, goal));
        };
        figure("errors", refused as f64, "", Goal::Exactly(0.0));
        figure("memory", memory.now_mib, "MiB", Goal::AtMost(MEMORY_MAX));
        figure("rate", rate, "1/s", Goal::None);
        figure("p99", p99, "ms", Goal::None);
        figure("longest", longest, "ms", Goal::None);
        run.progress(&format!(
            "{}: {count} connections: {refused} errors, {rate:.0}/s, p99 {p99:.0} ms, {:.0} MiB",
            stage.name(),
            memory.now_mib
        ));
        Ok(())
    }
}
