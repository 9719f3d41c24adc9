//! Reads on one node while a second one on the same PostgreSQL writes as fast as it can.
//!
//! Invariant: the three cases are measured in the same rounds, alone among them.

use std::sync::Arc;

use crate::failure::{Context, Result};
use crate::figures::{Figure, Goal};
use crate::load::Flow;
use crate::node::Node;
use crate::rounds::{Case, Seen, measure};
use crate::run::Run;
use crate::stage::Stage;
use crate::world::{Traffic, World};

/// CPU of the server a read, against reads without a writer, at most, where other secrets are written.
const CPU_RATIO_MAX: f64 = 1.5;
/// Milliseconds that a read may wait.
const LONGEST_MAX: f64 = 100.0;

/// Reads on one node: alone, beside a writer of other secrets on a second node, and beside one of the same.
pub struct Beside {
    alone: Seen,
    others: Seen,
    same: Seen,
}

impl Beside {
    /// Measures all three on a stage whose store is a PostgreSQL.
    pub async fn measure(run: &Run, stage: &Stage) -> Result<Self> {
        let postgres = stage.postgres.as_ref().context("no PostgreSQL")?;
        let second = run.second_node(postgres, &stage.node).await?;
        let flow = Flow::flat_out(run.options.connections());
        let seen = measure(run, &Self::cases(stage, &second, flow)).await?;
        second.stop()?;
        let three = <[Seen; 3]>::try_from(seen).ok();
        let [alone, others, same] = three.context("three cases were measured")?;
        let beside = Self {
            alone,
            others,
            same,
        };
        beside.say_table(run);
        Ok(beside)
    }

    fn cases<'a>(stage: &'a Stage, second: &Node, flow: Flow) -> Vec<Case<'a>> {
        let world = || Arc::clone(&stage.world);
        let reads = |name: &str, writes: Option<fn(Arc<World>) -> Traffic>| Case {
            name: name.to_owned(),
            beside: writes.map(|writes| (second.address, writes(world()))),
            ..stage.case(Traffic::Reads, flow)
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

    fn all(&self) -> [(&'static str, &Seen); 3] {
        [
            ("reads alone", &self.alone),
            ("beside a writer of other secrets", &self.others),
            ("beside a writer of the same", &self.same),
        ]
    }

    /// Reads answered, in all.
    pub fn reads(&self) -> u64 {
        self.all().iter().map(|(_, seen)| seen.answers).sum()
    }

    /// Versions written beside them.
    pub fn writes(&self) -> u64 {
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

    /// Of both cases with a writer.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (word, seen) in [("other", &self.others), ("same", &self.same)] {
            let mut figure = |what: &str, value, unit, goal| {
                let name = format!("write.reads_beside_{word}.{what}");
                figures.push(Figure::new(name, value, unit, goal));
            };
            let ratio = seen.cpu.over(&self.alone.cpu).median();
            // What is written all the time has to be loaded all the time.
            let most = match word {
                "same" => Goal::None,
                _ => Goal::AtMost(CPU_RATIO_MAX),
            };
            let longest = Goal::AtMost(LONGEST_MAX);
            figure("cpu_ratio_to_alone", ratio, "×", most);
            figure("longest", seen.longest.max(), "ms", longest);
            figure("rate", seen.rate.median(), "1/s", Goal::None);
            figure("p99", seen.p99.median(), "ms", Goal::None);
            figure("versions", seen.beside.median(), "1/s", Goal::None);
        }
        figures
    }
}
