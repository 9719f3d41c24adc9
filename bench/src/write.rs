//! `bench write`: durable versions a second, and reads on one node while another writes as fast as it can.
//! A write's record is in the same commit, so that versions and records are counted alike.
//!
//! Invariant: the writer beside the reads writes secrets that nobody reads, unless the case says otherwise.

use crate::beside::Beside;
use crate::compare::{Scene, figures_of};
use crate::failure::{Context, Result};
use crate::figures::{Figure, Goal};
use crate::log::Count;
use crate::options::Engine;
use crate::run::Run;
use crate::setting::Setting;
use crate::world::Traffic;

/// Versions a second, at least.
const RATE_MIN: f64 = 14_000.0;

/// Measures writes.
pub async fn run(run: &Run) -> Result<()> {
    let settings = run.engines()?.into_iter().map(Setting::of).collect();
    let scene = Scene::prepare(run, settings).await?;
    let connections = [run.options.connections()];
    let compared = scene.compare(run, Traffic::Writes, &connections).await?;
    let between = scene.between(run, &compared).await?;
    let seen = compared
        .into_iter()
        .next()
        .context("nothing was measured")?;
    let mut figures = Vec::new();
    let mut lines = Vec::new();
    let stages = scene.into_stages().into_iter();
    for ((stage, seen), between) in stages.zip(&seen.coffer).zip(&between) {
        let setting = stage.setting.clone();
        let name = |what: &str| format!("write.{what}.{}", setting.name);
        let rate = seen.rate.median();
        let goal = Goal::AtLeast(RATE_MIN);
        figures.push(Figure::new(name("versions"), rate, "1/s", goal));
        figures.extend(figures_of(name, seen));
        let mut driven = Count {
            writes: seen.answers,
            ..Count::default()
        };
        if setting.engine == Engine::Postgresql {
            let beside = Beside::measure(run, &stage).await?;
            figures.extend(beside.figures());
            driven.reads += beside.reads();
            driven.writes += beside.writes();
        }
        let ended = stage.end(run, driven).await?;
        let mut figure = |what, value, unit, goal| {
            figures.push(Figure::new(name(what), value, unit, goal));
        };
        figure("memory_peak", between.memory_mib, "MiB", Goal::None);
        let batch = between.batches.records_per_batch();
        figure("records_per_commit", batch, "", Goal::None);
        let unaccounted = ended.unaccounted as f64;
        figure("unaccounted", unaccounted, "", Goal::Exactly(0.0));
        lines.extend(ended.lines);
    }
    run.say_figures(&figures);
    run.say("");
    lines.iter().for_each(|line| run.say(line));
    Ok(())
}
