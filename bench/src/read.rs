//! `bench read`: what an authorised, audited, durable read costs, against a route that does nothing.
//! The figure that counts is CPU a request, PostgreSQL's included; requests a second depend on who else is on the machine.
//!
//! Invariant: a run whose records are not its answers is a failure, whatever its figures are.

use crate::compare::{Scene, figures_of};
use crate::failure::Result;
use crate::figures::{Figure, Goal};
use crate::log::Count;
use crate::run::{Engine, Run};
use crate::world::Traffic;

/// CPU a read against the bare route's, at most.
fn ratio_max(engine: Engine, durability: &str) -> f64 {
    match (engine, durability) {
        // 0.65 of what the bare route does in the same time.
        (_, "process") => 1.54,
        (Engine::Sqlite, _) => 2.4,
        (Engine::Postgresql, _) => 3.2,
    }
}

/// Transactions a read beyond the batches', at most: the ledger's own probes and jobs are a few a second.
const BEYOND_MAX: f64 = 0.002;

/// Measures reads.
pub async fn run(run: &Run) -> Result<()> {
    let scene = Scene::prepare(run).await?;
    let compared = scene.compare(run, Traffic::Reads).await?;
    let bare = &compared.bare;
    let mut figures = vec![
        Figure::new("read.rate.bare", bare.rate.median(), "1/s", Goal::None),
        Figure::new("read.server_cpu.bare", bare.cpu.median(), "µs", Goal::None),
    ];
    let mut lines = Vec::new();
    for (stage, (seen, between)) in scene.into_stages().into_iter().zip(&compared.coffer) {
        let engine = stage.engine;
        let name = |what: &str| format!("read.{what}.{}", engine.word());
        let driven = Count {
            reads: seen.answers,
            ..Count::default()
        };
        let ended = stage.end(run, between, driven).await?;
        let ratio = seen.cpu_in_all().over(&bare.cpu).median();
        figures.push(Figure::new(
            name("cpu_ratio"),
            ratio,
            "× bare",
            Goal::AtMost(ratio_max(engine, &run.options.durability)),
        ));
        figures.extend(figures_of("read", engine, seen, between));
        let (segments, reads) = (ended.segments, seen.answers as f64);
        let commits = segments.count as f64;
        let mut figure = |what, value, unit, goal| {
            figures.push(Figure::new(name(what), value, unit, goal));
        };
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
        figure("commits_per_read", commits / reads, "", Goal::None);
        if engine == Engine::Postgresql {
            let statements = between.commits as f64;
            figure("statements_per_read", statements / reads, "", Goal::None);
            let beyond = (statements - commits).max(0.0) / reads;
            figure(
                "statements_beyond_batches_per_read",
                beyond,
                "",
                Goal::AtMost(BEYOND_MAX),
            );
        }
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
