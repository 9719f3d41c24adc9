//! `bench get`: what one `coffer get` takes from the start of its process to its end, as a shell sees it.
//! The server is on loopback, so that next to nothing of it is the network.
//!
//! Invariant: each run prints the value that the server has.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Deserialize;

use crate::failure::{Context, Failure, Result};
use crate::figures::{Figure, Goal, Rounds};
use crate::run::Run;
use crate::setting::Setting;
use crate::stage::Stage;
use crate::world::SECRETS;

/// Milliseconds, at most.
const TIME_MAX: f64 = 15.0;
/// How often it is run.
const RUNS: usize = 31;
/// Runs before that, so that the programs' pages are in memory.
const WARM_UP_RUNS: usize = 3;

#[derive(Deserialize)]
struct Read {
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    value: String,
}

/// Measures the command line on the first engine.
pub async fn run(run: &Run) -> Result<()> {
    let cli = run.cli()?;
    let engines = run.engines()?;
    let engine = engines.first().context("no engine was named")?;
    let stage = Stage::prepare(run, Setting::of(*engine)).await?;
    let mut took = Rounds::default();
    for at in 0..WARM_UP_RUNS + RUNS {
        let milliseconds = get(run, &stage, &cli)?;
        if at >= WARM_UP_RUNS {
            took.push(milliseconds);
        }
    }
    let shown = took.show(2);
    run.say(&format!("coffer get, {RUNS} times: {shown} ms."));
    let name = format!("get.time.{}", engine.word());
    let goal = Goal::AtMost(TIME_MAX);
    run.say_figures(&[Figure::new(name, took.median(), "ms", goal)]);
    stage.stop()
}

/// Runs it once; milliseconds. It runs on the load generator's core, as this process does.
fn get(run: &Run, stage: &Stage, cli: &Path) -> Result<f64> {
    let (path, body) = &stage.example;
    let secret = path.strip_prefix(SECRETS).context("a secret's path")?;
    let mut command = Command::new(cli);
    command
        .args(["get", secret])
        .env_clear()
        .env("COFFER_ADDR", format!("https://{}", stage.node.address))
        .env("COFFER_TOKEN", stage.node.root_token()?)
        .env("COFFER_CACERT", &run.certificate().chain)
        .current_dir(run.directory())
        .stdin(Stdio::null());
    let begun = Instant::now();
    let done = command.output().context("coffer")?;
    let took = begun.elapsed();
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(Failure(format!("coffer get failed: {said}")));
    }
    let read: Read = serde_json::from_slice(body).context("a read's answer")?;
    if done.stdout != read.fields.value.as_bytes() {
        return Err(Failure::new("coffer get printed another value"));
    }
    Ok(took.as_secs_f64() * 1e3)
}
