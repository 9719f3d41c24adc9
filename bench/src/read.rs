//! `bench read`: what an authorised, audited, durable read costs, against a route that does nothing.
//! The figure that counts is CPU a request, PostgreSQL's included; requests a second depend on who else is on the machine.
//!
//! Invariant: a run whose records are not its answers is a failure, whatever its figures are.

use crate::compare::{Compared, Scene, figures_of};
use crate::crowd::Crowd;
use crate::failure::Result;
use crate::figures::{Figure, Goal, Rounds};
use crate::log::Count;
use crate::options::Engine;
use crate::rounds::Seen;
use crate::run::Run;
use crate::setting::Setting;
use crate::stage::{Between, Ended};
use crate::world::Traffic;

/// Requests a second against the bare route's, at least, on SQLite: durable, and where the process alone is waited for.
const RATE_RATIO_MIN: f64 = 0.5;
const RATE_RATIO_PROCESS_MIN: f64 = 0.65;

/// Transactions a read beyond the batches', at most: the ledger's own probes and jobs are a few a second.
const BEYOND_MAX: f64 = 0.002;

/// CPU a read, at most: so many times the bare route's, or so many microseconds more, whichever is more.
#[derive(Clone, Copy)]
struct Limit {
    ratio: f64,
    beyond_us: f64,
}

impl Limit {
    const fn of(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => Self {
                ratio: 1.9,
                beyond_us: 8.5,
            },
            Engine::Postgresql => Self {
                ratio: 2.3,
                beyond_us: 11.0,
            },
        }
    }

    fn over(self, bare_us: f64) -> f64 {
        (self.ratio * bare_us).max(bare_us + self.beyond_us)
    }
}

/// Measures reads.
pub async fn run(run: &Run) -> Result<()> {
    let scene = Scene::prepare(run, Setting::all(run)?).await?;
    let connections = &run.options.connections;
    let compared = scene.compare(run, Traffic::Reads, connections).await?;
    let mut crowds = Vec::new();
    for stage in &scene.stages {
        crowds.push(Crowd::gather(run, stage).await?);
    }
    let between = scene.between(run, &compared).await?;
    let mut figures: Vec<Figure> = compared.iter().flat_map(figures_of_bare).collect();
    let mut lines = Vec::new();
    let stages = scene.into_stages().into_iter().enumerate();
    for (((at, stage), crowd), between) in stages.zip(crowds).zip(&between) {
        let setting = stage.setting.clone();
        let seen = |compared: &Compared| compared.coffer[at].answers;
        let driven = Count {
            reads: compared.iter().map(seen).sum::<u64>() + crowd.answers,
            ..Count::default()
        };
        let ended = stage.end(run, driven).await?;
        for compared in &compared {
            figures.extend(figures_beside_bare(
                &setting,
                compared,
                &compared.coffer[at],
            ));
        }
        figures.extend(crowd.figures);
        figures.extend(figures_of_log(&setting, driven.reads, between, &ended));
        lines.extend(ended.lines);
    }
    run.say_figures(&figures);
    run.say("");
    lines.iter().for_each(|line| run.say(line));
    Ok(())
}

fn figures_of_bare(compared: &Compared) -> Vec<Figure> {
    figures_of(
        |what| format!("read.{what}.{}.bare", compared.connections),
        &compared.bare,
    )
}

/// CPU and throughput with their limits, of the same rounds as the bare route's.
fn figures_beside_bare(setting: &Setting, compared: &Compared, seen: &Seen) -> Vec<Figure> {
    let (bare, name) = (&compared.bare, setting.name);
    let name = |what: &str| format!("read.{what}.{}.{name}", compared.connections);
    let mut figures = Vec::new();
    let mut figure = |what, value: &Rounds, unit, goal| {
        figures.push(Figure::new(name(what), value.median(), unit, goal));
    };
    let limit = bare.cpu.map(|bare| Limit::of(setting.engine).over(bare));
    let (rate, sqlite) = (seen.rate.over(&bare.rate), setting.engine == Engine::Sqlite);
    if setting.is_durable() {
        let goal = Goal::AtMost(limit.median());
        figure("cpu", &seen.cpu_in_all(), "µs", goal);
        let ratio = seen.cpu_in_all().over(&bare.cpu);
        figure("cpu_ratio", &ratio, "× bare", Goal::None);
        let goal = match sqlite {
            true => Goal::AtLeast(RATE_RATIO_MIN),
            false => Goal::None,
        };
        figure("rate_ratio", &rate, "× bare", goal);
    } else {
        let goal = Goal::AtLeast(RATE_RATIO_PROCESS_MIN);
        figure("rate_ratio", &rate, "× bare", goal);
    }
    figures.extend(figures_of(name, seen));
    figures
}

/// Of all rounds together: how the records lie in the database, and whether there are as many as answers.
fn figures_of_log(setting: &Setting, reads: u64, between: &Between, ended: &Ended) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut figure = |what: &str, value, unit, goal| {
        let name = format!("read.{what}.{}", setting.name);
        figures.push(Figure::new(name, value, unit, goal));
    };
    let (batches, reads) = (between.batches, reads as f64);
    figure("memory_peak", between.memory_mib, "MiB", Goal::None);
    let batch = batches.records_per_batch();
    figure("records_per_commit", batch, "", Goal::None);
    figure("commits_per_read", batches.count / reads, "", Goal::None);
    if setting.engine == Engine::Postgresql {
        let statements = between.commits as f64;
        figure("statements_per_read", statements / reads, "", Goal::None);
        let beyond = (statements - batches.count).max(0.0) / reads;
        let goal = Goal::AtMost(BEYOND_MAX);
        figure("statements_beyond_batches_per_read", beyond, "", goal);
    }
    let unaccounted = ended.unaccounted as f64;
    figure("unaccounted", unaccounted, "", Goal::Exactly(0.0));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_wider_of_the_two() {
        let sqlite = Limit::of(Engine::Sqlite);
        assert_eq!(sqlite.over(8.0), 16.5);
        assert_eq!(sqlite.over(10.0), 19.0);
        assert_eq!(Limit::of(Engine::Postgresql).over(8.0), 19.0);
    }
}
