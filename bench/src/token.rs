//! `bench token`: what it costs to read an access token, beside what it costs to read a secret of about the same size.
//! Both are asked of the same server in the same rounds, so that their ratio depends least on the machine.
//!
//! Invariant: no grant is refreshed while it is read: every access token outlives the run.

use crate::failure::{Failure, Result};
use crate::figures::{Figure, Goal};
use crate::load::Flow;
use crate::log::Count;
use crate::provider::Provider;
use crate::rounds::{Case, Seen, measure};
use crate::run::Run;
use crate::setting::Setting;
use crate::stage::Stage;
use crate::world::Traffic;

/// CPU of a token read against a secret read's, PostgreSQL's included, at most.
const RATIO_MAX: f64 = 1.0;

/// Measures reads of secrets and of access tokens.
pub async fn run(run: &Run) -> Result<()> {
    let provider = Provider::start().await?;
    let mut stages = Vec::new();
    for engine in run.engines()? {
        let setting = Setting::of(engine).calling(&provider);
        stages.push(Stage::with_grants(run, setting, &provider).await?);
    }
    say_conditions(run, &stages);
    let flow = Flow::flat_out(run.options.connections());
    let cases: Vec<Case<'_>> = stages.iter().flat_map(|stage| cases(stage, flow)).collect();
    let seen = measure(run, &cases).await?;
    say_table(run, &cases, &seen);
    drop(cases);
    let (mut figures, mut lines) = (Vec::new(), Vec::new());
    for (stage, seen) in stages.into_iter().zip(seen.chunks(2)) {
        let driven = Count {
            reads: seen.iter().map(|seen| seen.answers).sum(),
            ..Count::default()
        };
        figures.extend(figures_of(stage.name(), seen));
        let unaccounted = format!("token.unaccounted.{}", stage.name());
        let ended = stage.end(run, driven).await?;
        let count = ended.unaccounted as f64;
        figures.push(Figure::new(unaccounted, count, "", Goal::Exactly(0.0)));
        lines.extend(ended.lines);
    }
    if provider.refreshes() > 0 {
        return Err(Failure::new("grants were refreshed while they were read"));
    }
    run.say_figures(&figures);
    run.say("");
    lines.iter().for_each(|line| run.say(line));
    Ok(())
}

/// Secrets, then tokens.
fn cases(stage: &Stage, flow: Flow) -> [Case<'_>; 2] {
    let case = |what: &str, case| Case {
        name: format!("{}, {what}", stage.name()),
        ..case
    };
    [
        case("secret", stage.case(Traffic::Reads, flow)),
        case("access token", stage.case(Traffic::AccessTokens, flow)),
    ]
}

fn say_conditions(run: &Run, stages: &[Stage]) {
    let Some(stage) = stages.first() else {
        return;
    };
    let (_, secret) = &stage.example;
    run.say(&format!(
        "{} grants beside as many secrets; an answer with an access token has {} bytes.",
        stage.world.grants(),
        stage.world.access_token_bytes,
    ));
    run.say_conditions(secret.len());
}

fn say_table(run: &Run, cases: &[Case<'_>], seen: &[Seen]) {
    let rows: Vec<Vec<String>> = cases
        .iter()
        .zip(seen)
        .enumerate()
        .map(|(at, (case, of))| {
            let secret = &seen[at - at % 2];
            vec![
                case.name.clone(),
                of.rate.show(0),
                of.p50.show(2),
                of.p99.show(2),
                of.cpu.show(1),
                of.postgres.show(1),
                of.cpu_in_all().over(&secret.cpu_in_all()).show(2),
            ]
        })
        .collect();
    run.say_table(
        &[
            "",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "server CPU µs",
            "PostgreSQL CPU µs",
            "CPU / secret",
        ],
        &rows,
    );
    run.say("");
}

/// Of secrets and tokens.
fn figures_of(name: &str, seen: &[Seen]) -> Vec<Figure> {
    let [secrets, tokens] = seen else {
        return Vec::new();
    };
    let ratio = tokens.cpu_in_all().over(&secrets.cpu_in_all());
    let figure = |what: &str, value, unit, goal| {
        Figure::new(format!("token.{what}.{name}"), value, unit, goal)
    };
    let cpu = |of: &Seen| of.cpu.median();
    vec![
        figure(
            "cpu_ratio",
            ratio.median(),
            "× secret",
            Goal::AtMost(RATIO_MAX),
        ),
        figure("server_cpu", cpu(tokens), "µs", Goal::None),
        figure("server_cpu_of_secret", cpu(secrets), "µs", Goal::None),
        figure("postgresql_cpu", tokens.postgres.median(), "µs", Goal::None),
        figure("rate", tokens.rate.median(), "1/s", Goal::None),
        figure("p50", tokens.p50.median(), "ms", Goal::None),
        figure("p99", tokens.p99.median(), "ms", Goal::None),
    ]
}
