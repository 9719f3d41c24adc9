//! `bench write`: durable versions a second, and reads on one node while another writes as fast as it can.
//! A write's record is in the same commit, so that versions and records are counted alike.
//!
//! Invariant: the writer beside the reads writes secrets that nobody reads, unless the case says otherwise.

use std::sync::Arc;

use crate::compare::{Scene, figures_of};
use crate::failure::Result;
use crate::figures::{Figure, Goal};
use crate::log::Count;
use crate::node::Node;
use crate::rounds::{Case, Seen, measure};
use crate::run::{Engine, Run};
use crate::stage::Stage;
use crate::world::{Traffic, World};

/// Versions a second, at least.
const RATE_MIN: f64 = 8_000.0;

/// Measures writes.
pub async fn run(run: &Run) -> Result<()> {
    let scene = Scene::prepare(run).await?;
    let compared = scene.compare(run, Traffic::Writes).await?;
    let mut figures = Vec::new();
    let mut lines = Vec::new();
    for (stage, (seen, between)) in scene.into_stages().into_iter().zip(&compared.coffer) {
        let engine = stage.engine;
        let name = |what: &str| format!("write.{what}.{}", engine.word());
        figures.push(Figure::new(
            name("versions"),
            seen.rate.median(),
            "1/s",
            Goal::AtLeast(RATE_MIN),
        ));
        figures.extend(figures_of("write", engine, seen, between));
        let mut driven = Count {
            writes: seen.answers,
            ..Count::default()
        };
        if engine == Engine::Postgresql {
            let beside = Beside::measure(run, &stage).await?;
            figures.extend(beside.figures());
            driven.reads += beside.reads();
            driven.writes += beside.writes();
        }
        let ended = stage.end(run, between, driven).await?;
        let mut figure = |what, value, unit, goal| {
            figures.push(Figure::new(name(what), value, unit, goal));
        };
        let segments = ended.segments;
        figure(
            "records_per_commit",
            segments.records_per_commit(),
            "",
            Goal::None,
        );
        figure(
            "bytes_per_record",
            segments.bytes_per_record(),
            "B",
            Goal::None,
        );
        figure(
            "unaccounted",
            ended.unaccounted as f64,
            "",
            Goal::Exactly(0.0),
        );
        lines.extend(ended.lines);
    }
    run.say_figures(&figures);
    run.say("");
    lines.iter().for_each(|line| run.say(line));
    Ok(())
}

/// Reads on one node: alone, beside a writer of other secrets on a second node, and beside one of the same.
struct Beside {
    alone: Seen,
    others: Seen,
    same: Seen,
}

impl Beside {
    async fn measure(run: &Run, stage: &Stage) -> Result<Self> {
        let Some(postgres) = &stage.postgres else {
            return Ok(Self::nothing());
        };
        let second = run.second_node(postgres, &stage.node).await?;
        let seen = measure(run, &Self::cases(stage, &second)).await?;
        second.stop()?;
        let Ok([alone, others, same]) = <[Seen; 3]>::try_from(seen) else {
            return Ok(Self::nothing());
        };
        let beside = Self {
            alone,
            others,
            same,
        };
        beside.say_table(run);
        Ok(beside)
    }

    fn cases<'a>(stage: &'a Stage, second: &Node) -> Vec<Case<'a>> {
        let world = || Arc::clone(&stage.world);
        let reads = |name: &str, writes: Option<fn(Arc<World>) -> Traffic>| Case {
            name: name.to_owned(),
            beside: writes.map(|writes| (second.address, writes(world()))),
            ..stage.case(Traffic::Reads)
        };
        vec![
            reads("reads alone", None),
            reads(
                "beside a writer of other secrets",
                Some(Traffic::WritesApart),
            ),
            reads("beside a writer of the same", Some(Traffic::Writes)),
        ]
    }

    fn nothing() -> Self {
        Self {
            alone: Seen::default(),
            others: Seen::default(),
            same: Seen::default(),
        }
    }

    fn all(&self) -> [(&'static str, &Seen); 3] {
        [
            ("reads alone", &self.alone),
            ("beside a writer of other secrets", &self.others),
            ("beside a writer of the same", &self.same),
        ]
    }

    fn reads(&self) -> u64 {
        self.all().iter().map(|(_, seen)| seen.answers).sum()
    }

    fn writes(&self) -> u64 {
        self.all().iter().map(|(_, seen)| seen.answers_beside).sum()
    }

    fn say_table(&self, run: &Run) {
        let rows: Vec<Vec<String>> = self
            .all()
            .into_iter()
            .map(|(name, seen)| {
                vec![
                    name.to_owned(),
                    seen.rate.show(0),
                    seen.p50.show(2),
                    seen.p99.show(2),
                    format!("{:.0}", seen.longest.max()),
                    seen.cpu.show(1),
                    seen.cpu.over(&self.alone.cpu).show(2),
                    seen.beside.show(0),
                ]
            })
            .collect();
        run.say_table(
            &[
                "two nodes, one PostgreSQL",
                "reads/s",
                "p50 ms",
                "p99 ms",
                "longest ms",
                "server CPU µs",
                "CPU / alone",
                "versions/s beside",
            ],
            &rows,
        );
        run.say("");
    }

    fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (word, seen) in [("other", &self.others), ("same", &self.same)] {
            let name = |what: &str| format!("write.reads_beside_{word}.{what}");
            let ratio = seen.cpu.over(&self.alone.cpu).median();
            let mut figure = |what, value, unit| {
                figures.push(Figure::new(name(what), value, unit, Goal::None));
            };
            figure("rate", seen.rate.median(), "1/s");
            figure("p99", seen.p99.median(), "ms");
            figure("longest", seen.longest.max(), "ms");
            figure("cpu_ratio_to_alone", ratio, "×");
            figure("versions", seen.beside.median(), "1/s");
        }
        figures
    }
}
