//! The bare route, and Coffer on each of its stores, measured in the same rounds.
//! Reads and writes differ only in what is sent.
//!
//! Invariant: the bare route answers as many bytes as Coffer does to a read.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::failure::{Context, Result};
use crate::figures::{Figure, Goal};
use crate::load::Flow;
use crate::process::Process;
use crate::rounds::{Case, Seen, measure};
use crate::run::Run;
use crate::setting::Setting;
use crate::stage::{Between, Stage};
use crate::world::{Traffic, World};

/// The servers of a run, ready, and the bare route.
pub struct Scene {
    bare: Process,
    bare_address: SocketAddr,
    /// In the order of their settings.
    pub stages: Vec<Stage>,
}

/// What was seen of the bare route and of every stage, over so many connections.
pub struct Compared {
    /// How many.
    pub connections: usize,
    /// The bare route.
    pub bare: Seen,
    /// Each stage, in the scene's order.
    pub coffer: Vec<Seen>,
}

impl Scene {
    /// Starts everything and writes the worlds.
    pub async fn prepare(run: &Run, settings: Vec<Setting>) -> Result<Self> {
        let mut stages = Vec::new();
        for setting in settings {
            stages.push(Stage::prepare(run, setting).await?);
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

    /// Measures all of them in shuffled rounds, over each of these numbers of connections.
    pub async fn compare(
        &self,
        run: &Run,
        traffic: impl Fn(Arc<World>) -> Traffic + Copy,
        connections: &[usize],
    ) -> Result<Vec<Compared>> {
        let mut cases = Vec::new();
        for count in connections {
            let flow = Flow::flat_out(*count);
            let coffer = self.stages.iter().map(|stage| stage.case(traffic, flow));
            for mut case in std::iter::once(self.bare(flow)).chain(coffer) {
                case.name = format!("{}, {count} connections", case.name);
                cases.push(case);
            }
        }
        let mut seen = measure(run, &cases).await?.into_iter();
        let mut all = Vec::new();
        for count in connections {
            all.push(Compared {
                connections: *count,
                bare: seen.next().context("the bare route was not measured")?,
                coffer: seen.by_ref().take(self.stages.len()).collect(),
            });
        }
        Ok(all)
    }

    fn bare(&self, flow: Flow) -> Case<'_> {
        Case {
            name: "bare route".to_owned(),
            address: self.bare_address,
            traffic: Traffic::Bare(Arc::clone(&self.stages[0].world)),
            flow,
            server: self.bare.id(),
            postgres: None,
            beside: None,
        }
    }

    /// What the rounds have made of each stage, taken when they are over, and the tables of what was seen.
    pub async fn between(&self, run: &Run, compared: &[Compared]) -> Result<Vec<Between>> {
        let mut between = Vec::new();
        for stage in &self.stages {
            between.push(stage.between(run).await?);
        }
        for compared in compared {
            self.say_table(run, compared, &between);
        }
        Ok(between)
    }

    fn say_table(&self, run: &Run, compared: &Compared, between: &[Between]) {
        let bare = &compared.bare;
        let mut rows = vec![row("bare route".into(), bare, bare, "-".into())];
        for ((stage, seen), between) in self.stages.iter().zip(&compared.coffer).zip(between) {
            let name = format!("coffer, {}", stage.name());
            rows.push(row(name, seen, bare, format!("{:.0}", between.memory_mib)));
        }
        run.say(&format!("{} connections", compared.connections));
        run.say_table(&HEAD, &rows);
        run.say("");
    }

    /// The scene without the bare route, which is not needed any more.
    pub fn into_stages(self) -> Vec<Stage> {
        self.stages
    }
}

/// What [`row`] tells.
pub const HEAD: [&str; 11] = [
    "",
    "requests/s",
    "rate / bare",
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
        seen.rate.over(&bare.rate).show(2),
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

/// Figures that reads and writes have in common; `name` makes the whole name of one.
pub fn figures_of(name: impl Fn(&str) -> String, seen: &Seen) -> Vec<Figure> {
    let figure = |what, value, unit| Figure::new(name(what), value, unit, Goal::None);
    vec![
        figure("rate", seen.rate.median(), "1/s"),
        figure("p50", seen.p50.median(), "ms"),
        figure("p99", seen.p99.median(), "ms"),
        figure("server_cpu", seen.cpu.median(), "µs"),
        figure("postgresql_cpu", seen.postgres.median(), "µs"),
    ]
}
