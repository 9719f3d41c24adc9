//! Bare route, Coffer on SQLite, Coffer on PostgreSQL: the three of every table, measured in the same rounds.
//! Reads and writes differ only in what is sent.
//!
//! Invariant: the bare route answers as many bytes as Coffer does to a read.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::failure::{Context, Result};
use crate::figures::{Figure, Goal};
use crate::process::Process;
use crate::rounds::{Case, Seen, measure};
use crate::run::{Engine, Run};
use crate::stage::{Between, Stage};
use crate::world::{Traffic, World};

/// The engines of a run, ready, and the bare route.
pub struct Scene {
    bare: Process,
    bare_address: SocketAddr,
    /// In the order of the options, each once.
    pub stages: Vec<Stage>,
}

/// What was seen of the bare route and of every stage.
pub struct Compared {
    /// The bare route.
    pub bare: Seen,
    /// Each stage, in the scene's order, with what its rounds have made of it.
    pub coffer: Vec<(Seen, Between)>,
}

impl Scene {
    /// Starts everything and writes the worlds.
    pub async fn prepare(run: &Run) -> Result<Self> {
        let mut stages = Vec::new();
        for engine in run.engines()? {
            stages.push(Stage::prepare(run, engine, None).await?);
        }
        let (path, body) = &stages.first().context("no engine was named")?.example;
        let (bare, bare_address) = run.bare(path, body).await?;
        run.say_conditions(body.len());
        Ok(Self {
            bare,
            bare_address,
            stages,
        })
    }

    /// Measures all of them in shuffled rounds.
    pub async fn compare(
        &self,
        run: &Run,
        traffic: impl Fn(Arc<World>) -> Traffic + Copy,
    ) -> Result<Compared> {
        let world = Arc::clone(&self.stages[0].world);
        let bare = Case {
            name: "bare route".to_owned(),
            address: self.bare_address,
            traffic: Traffic::Bare(world),
            server: self.bare.id(),
            postgres: None,
            beside: None,
        };
        let mut cases = vec![bare];
        cases.extend(self.stages.iter().map(|stage| stage.case(traffic)));
        let mut seen = measure(run, &cases).await?.into_iter();
        let bare = seen.next().context("the bare route was not measured")?;
        let mut coffer = Vec::new();
        for (stage, seen) in self.stages.iter().zip(seen) {
            coffer.push((seen, stage.between(run).await?));
        }
        let compared = Compared { bare, coffer };
        self.say_table(run, &compared);
        Ok(compared)
    }

    fn say_table(&self, run: &Run, compared: &Compared) {
        let bare = &compared.bare;
        let mut rows = vec![row("bare route".into(), bare, bare, "-".into())];
        for (stage, (seen, between)) in self.stages.iter().zip(&compared.coffer) {
            let name = format!("coffer, {}", stage.engine.word());
            rows.push(row(name, seen, bare, format!("{:.0}", between.memory_mib)));
        }
        run.say_table(&HEAD, &rows);
        run.say("");
    }

    /// The scene without the bare route, which is not needed any more.
    pub fn into_stages(self) -> Vec<Stage> {
        self.stages
    }
}

/// What [`row`] tells.
pub const HEAD: [&str; 10] = [
    "",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "longest ms",
    "server CPU µs",
    "PostgreSQL CPU µs",
    "CPU / bare",
    "peak MiB",
    "load's core",
];

/// A line of the table.
pub fn row(name: String, seen: &Seen, bare: &Seen, memory: String) -> Vec<String> {
    vec![
        name,
        seen.rate.show(0),
        seen.p50.show(2),
        seen.p99.show(2),
        format!("{:.0}", seen.longest.max()),
        seen.cpu.show(1),
        seen.postgres.show(1),
        seen.cpu_in_all().over(&bare.cpu).show(2),
        memory,
        format!("{:.0} %", 100.0 * seen.load.median()),
    ]
}

/// Figures that reads and writes have in common.
pub fn figures_of(command: &str, engine: Engine, seen: &Seen, between: &Between) -> Vec<Figure> {
    let name = |what: &str| format!("{command}.{what}.{}", engine.word());
    vec![
        Figure::new(name("rate"), seen.rate.median(), "1/s", Goal::None),
        Figure::new(name("p50"), seen.p50.median(), "ms", Goal::None),
        Figure::new(name("p99"), seen.p99.median(), "ms", Goal::None),
        Figure::new(name("server_cpu"), seen.cpu.median(), "µs", Goal::None),
        Figure::new(
            name("postgresql_cpu"),
            seen.postgres.median(),
            "µs",
            Goal::None,
        ),
        Figure::new(name("memory_peak"), between.memory_mib, "MiB", Goal::None),
    ]
}
