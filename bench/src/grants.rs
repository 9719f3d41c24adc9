//! `bench grants`: what grants cost while they lie idle, and whether many that run out at once are all refreshed in time.
//! They are imported as a user imports them, each proven by one refresh, and the provider counts what comes after.
//!
//! Invariant: all grants are there, and the server is quiet, before the first of them is due.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;

use crate::client::{Connection, request};
use crate::failure::{Failure, Result};
use crate::figures::{Figure, Goal};
use crate::import::{self, RECORDS_PER_IMPORT, RECORDS_PER_REFRESH, Target, refreshed_in_time};
use crate::log::{self, Count};
use crate::node::Node;
use crate::options::Engine;
use crate::postgres::Postgres;
use crate::provider::{LONG_LIFE, Life, Provider};
use crate::run::Run;
use crate::setting::Setting;
use crate::spread::Spread;
use crate::usage::{Usage, Used};
use crate::world::{PROJECT, uri};

/// Where grants lie that are not due.
const IDLE: &str = "idle";
/// Where those lie that run out at once.
const DUE: &str = "due";
/// Of the former for one of the latter, unless the options say otherwise.
const IDLE_PER_DUE: usize = 10;
/// Imports a second, where none were measured before.
const IMPORT_RATE_ASSUMED: f64 = 200.0;
/// Per cent of a core that a server may use with grants that are not due.
const IDLE_CPU_MAX: f64 = 1.0;
/// How long an idle server is watched.
const WATCHED: Duration = Duration::from_secs(30);
/// A server is quiet when it uses at most this share of a core for this time; it is waited for so long.
const QUIET_SHARE: f64 = 0.01;
const QUIET_TIME: Duration = Duration::from_secs(5);
const QUIET_WAIT_MAX: Duration = Duration::from_secs(120);
/// The shortest life at which a token is due 60 to 90 seconds before its end, and a little more.
const LIFE_MIN: Duration = Duration::from_secs(125);
const DUE_BEFORE_END: Duration = Duration::from_secs(92);
/// How long after the end of all access tokens their refreshes are still waited for.
const LATE_MAX: Duration = Duration::from_secs(60);

/// Measures grants on every engine.
pub async fn run(run: &Run) -> Result<()> {
    let (mut figures, mut lines) = (Vec::new(), Vec::new());
    if run.options.grants == 0 {
        return Err(Failure::new("grants are at least one"));
    }
    say_conditions(run);
    for engine in run.engines()? {
        let ground = Ground::prepare(run, engine).await?;
        figures.extend(ground.measure().await?);
        let (unaccounted, line) = ground.end().await?;
        let name = format!("grants.unaccounted.{}", engine.word());
        figures.push(Figure::new(name, unaccounted, "", Goal::Exactly(0.0)));
        lines.push(line);
    }
    run.say_figures(&figures);
    run.say("");
    lines.iter().for_each(|line| run.say(line));
    Ok(())
}

fn say_conditions(run: &Run) {
    let due = run.options.grants;
    run.say(&format!(
        "{due} grants run out in the same second, beside {} that are not due; a provider on loopback, in plain HTTP.",
        idle_grants(run)
    ));
    run.say(&format!("Placed: {}.\n", run.cores.describe()));
}

fn idle_grants(run: &Run) -> usize {
    let options = &run.options;
    options.idle_grants.unwrap_or(options.grants * IDLE_PER_DUE)
}

/// A server on one engine, and its provider.
struct Ground<'a> {
    run: &'a Run,
    setting: Setting,
    provider: Provider,
    postgres: Option<Postgres>,
    node: Node,
}

impl<'a> Ground<'a> {
    async fn prepare(run: &'a Run, engine: Engine) -> Result<Self> {
        let provider = Provider::start().await?;
        let setting = Setting::of(engine).calling(&provider);
        let (postgres, node) = run.node(&setting).await?;
        let mut connection = Connection::open(&run.client, node.address).await?;
        let environments = format!("/api/v1/projects/{PROJECT}/environments");
        for (path, name) in [
            ("/api/v1/projects", PROJECT),
            (&environments, IDLE),
            (&environments, DUE),
        ] {
            let body = json!({"name": name}).to_string().into();
            let made = request(Method::POST, &uri(path)?, &node.root, body);
            connection.ask(made).await?;
        }
        Ok(Self {
            run,
            setting,
            provider,
            postgres,
            node,
        })
    }

    /// First those that are not due, then those that are.
    async fn measure(&self) -> Result<Vec<Figure>> {
        let (mut figures, mut rate) = (Vec::new(), IMPORT_RATE_ASSUMED);
        let idle = idle_grants(self.run);
        if idle > 0 {
            figures = self.lie_idle(idle).await?;
            rate = figures.first().map_or(rate, |figure| figure.value);
        }
        figures.extend(self.run_out(self.run.options.grants, rate).await?);
        Ok(figures)
    }

    /// Watches an empty server, and the same with grants that are not due. The first figure is the rate of their imports.
    async fn lie_idle(&self, count: usize) -> Result<Vec<Figure>> {
        let without = self.watch("without grants").await?;
        self.provider.set_life(Life::For(LONG_LIFE));
        let before = self.used()?;
        self.import(IDLE, count).await?;
        let imports = self.used()?.since(&before);
        let seconds = imports.seconds;
        self.progress(&format!("{count} grants imported in {seconds:.0} s"));
        let with = self.watch("with grants").await?;
        let (count, none) = (count as f64, Goal::None);
        let (server, postgres) = (imports.server_us(count), imports.postgres_us(count));
        let (empty, idle) = (without.server_percent(), with.server_percent());
        Ok(vec![
            self.figure("imports", count / seconds, "1/s", none),
            self.figure("import_cpu", server, "µs", none),
            self.figure("import_postgresql_cpu", postgres, "µs", none),
            self.figure("idle_cpu_without", empty, "%", none),
            self.figure("idle_cpu", idle, "%", Goal::AtMost(IDLE_CPU_MAX)),
            self.figure("idle_postgresql_cpu", with.postgres_percent(), "%", none),
        ])
    }

    /// Imports grants that all run out in the same second, and sees them refreshed.
    async fn run_out(&self, due: usize, rate: f64) -> Result<Vec<Figure>> {
        let import_time_max = Duration::from_secs_f64(10.0 + 1.5 * due as f64 / rate);
        let life = import_time_max + LIFE_MIN;
        let end = Instant::now() + life;
        self.provider.set_life(Life::FirstUntil(end));
        let first = self.provider.grants();
        let imported = self.import(DUE, due).await?;
        // Three tenths of a long life, as of a short one its last 90 seconds.
        let begin = end - DUE_BEFORE_END.max(life.mul_f64(0.3));
        if Instant::now() > begin {
            return Err(Failure::new(
                "importing took longer than before: grants were due before all were there",
            ));
        }
        self.progress("imported, and waiting until the first of them is due");
        tokio::time::sleep_until(begin.into()).await;
        let before = self.used()?;
        while self.provider.refreshes() < due && Instant::now() < end + LATE_MAX {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // What was answered last is concluded by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let usage = self.used()?.since(&before);
        let outcome = self.provider.outcome(first);
        let now = self.target().list(DUE).await?;
        let in_time = refreshed_in_time(&imported, &now)? as f64;
        let spread = Spread::of(&outcome.at);
        let left = spread.last.map_or(0.0, |last| signed_seconds(last, end));
        let refreshes = outcome.at.len().max(1) as f64;
        self.progress(&format!("{refreshes} grants refreshed"));
        let share = 100.0 * usage.server.as_secs_f64() / spread.seconds.max(1.0);
        let (server, postgres) = (usage.server_us(refreshes), usage.postgres_us(refreshes));
        let (not_once, refused) = (outcome.not_once as f64, outcome.refused as f64);
        let (due, zero, none) = (due as f64, Goal::Exactly(0.0), Goal::None);
        Ok(vec![
            self.figure("refreshed_in_time", in_time, "", Goal::Exactly(due)),
            self.figure("not_refreshed_once", not_once, "", zero),
            self.figure("refresh_tokens_refused", refused, "", zero),
            self.figure("first_to_last", spread.seconds, "s", none),
            self.figure("last_before_end", left, "s", Goal::AtLeast(0.0)),
            self.figure("refreshes_most", spread.most, "1/s", none),
            self.figure("refreshes_median", spread.median, "1/s", none),
            self.figure("refresh_cpu", server, "µs", none),
            self.figure("refresh_postgresql_cpu", postgres, "µs", none),
            self.figure("refreshing_cpu", share, "%", none),
        ])
    }

    async fn import(&self, environment: &str, count: usize) -> Result<Vec<import::Grant>> {
        let names = (0..count).map(|at| (environment.to_owned(), import::name(at)));
        self.target().import(&self.provider, names).await
    }

    /// What an idle server uses, once it is quiet.
    async fn watch(&self, what: &str) -> Result<Usage> {
        let begun = Instant::now();
        while begun.elapsed() < QUIET_WAIT_MAX {
            let before = self.used()?;
            tokio::time::sleep(QUIET_TIME).await;
            let usage = self.used()?.since(&before);
            if usage.server_percent() <= 100.0 * QUIET_SHARE {
                break;
            }
        }
        let waited = begun.elapsed().as_secs_f64();
        let before = self.used()?;
        tokio::time::sleep(WATCHED).await;
        let usage = self.used()?.since(&before);
        self.progress(&format!(
            "{what}: {:.2} % of a core, quiet after {waited:.0} s",
            usage.server_percent()
        ));
        Ok(usage)
    }

    /// Reads the log back, and stops everything.
    async fn end(self) -> Result<(f64, String)> {
        let imports = self.provider.grants() as u64;
        let refreshes = self.provider.refreshes() as u64;
        let answers = Count {
            places: 3,
            // Init's.
            tokens: 1,
            connects: RECORDS_PER_IMPORT * imports + RECORDS_PER_REFRESH * refreshes,
            ..Count::default()
        };
        let records = Count::of_log(&self.node, &self.run.client).await?;
        self.node.stop()?;
        if let Some(postgres) = self.postgres {
            postgres.stop()?;
        }
        let line = format!("{}: {}", self.setting.name, log::compare(answers, records));
        Ok((answers.differences(records) as f64, line))
    }

    fn target(&self) -> Target<'_> {
        Target {
            client: &self.run.client,
            address: self.node.address,
            root: &self.node.root,
        }
    }

    fn used(&self) -> Result<Used> {
        Used::now(self.node.id(), self.postgres.as_ref())
    }

    fn figure(&self, what: &str, value: f64, unit: &'static str, goal: Goal) -> Figure {
        let name = format!("grants.{what}.{}", self.setting.name);
        Figure::new(name, value, unit, goal)
    }

    fn progress(&self, text: &str) {
        self.run.progress(&format!("{}: {text}", self.setting.name));
    }
}

/// From one instant to another, in seconds; less than nothing when it is over.
fn signed_seconds(from: Instant, to: Instant) -> f64 {
    match to.checked_duration_since(from) {
        Some(left) => left.as_secs_f64(),
        None => -from.duration_since(to).as_secs_f64(),
    }
}
