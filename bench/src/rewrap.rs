//! `bench rewrap`: how fast the versions of an environment are moved to a new term of its key, and what reads wait meanwhile.
//! The reads are as many a second with and without it: those of a server that has something left to give.
//!
//! Invariant: after each rewrap the census must count every version under the newest term.

use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Connection, request};
use crate::failure::{Context, Failure, Result};
use crate::figures::{Figure, Goal, Rounds};
use crate::fill::{One, each};
use crate::load::{Driven, Flow, Load};
use crate::options::Engine;
use crate::quiet::settle;
use crate::run::Run;
use crate::setting::Setting;
use crate::stage::Stage;
use crate::usage::Used;
use crate::world::{PROJECT, Traffic, uri};

/// Versions a second on SQLite, at least.
const RATE_MIN: f64 = 50_000.0;
/// What 99 of 100 reads wait beside it against without it, at most.
const P99_RATIO_MAX: f64 = 2.0;
/// Rounds at most: each moves everything twice.
const ROUNDS_MAX: usize = 3;
/// The environment whose versions are moved; nobody reads it.
const MOVED: &str = "moved";
/// About three thousand reads a second.
const FLOW: Flow = Flow {
    connections: 16,
    pause: Duration::from_millis(4),
};

/// Measures each engine.
pub async fn run(run: &Run) -> Result<()> {
    let mut figures = Vec::new();
    for engine in run.engines()? {
        let stage = Stage::prepare(run, Setting::of(engine)).await?;
        let moving = Moving { run, stage };
        moving.fill().await?;
        figures.extend(moving.measure(engine).await?);
        moving.stage.stop()?;
    }
    run.say_figures(&figures);
    Ok(())
}

#[derive(Deserialize)]
struct Keys {
    terms: Vec<Term>,
}

#[derive(Deserialize)]
struct Term {
    state: String,
    versions: u64,
}

/// An environment of many versions.
struct Moving<'a> {
    run: &'a Run,
    stage: Stage,
}

impl Moving<'_> {
    async fn fill(&self) -> Result<()> {
        let node = &self.stage.node;
        let path = uri(&format!("/api/v1/projects/{PROJECT}/environments"))?;
        let body = json!({ "name": MOVED }).to_string().into();
        let mut connection = Connection::open(&self.run.client, node.address).await?;
        let made = request(Method::POST, &path, &node.root, body);
        connection.ask(made).await?;
        let world = self.stage.world.clone();
        let put = move |at| One {
            method: "PUT",
            path: format!("/api/v1/secrets/{PROJECT}/{MOVED}/key-{at:06}"),
            body: world.body(at),
        };
        let to = (node.address, node.root_token()?);
        let numbers = 0..self.run.options.versions;
        each(&self.run.client, to, numbers, put).await
    }

    async fn measure(&self, engine: Engine) -> Result<Vec<Figure>> {
        let [mut rate, mut cpu, mut beside, mut reads] = <[Rounds; 4]>::default();
        let [mut quiet_p99, mut p99] = <[Rounds; 2]>::default();
        let count = self.run.options.versions as f64;
        let window = self.run.shape()?.measured;
        for round in 1..=self.run.options.rounds.min(ROUNDS_MAX) {
            let (node, postgres) = (&self.stage.node, self.stage.postgres.as_ref());
            settle(&[node.id()].into()).await?;
            self.rotate().await?;
            let before = Used::now(node.id(), postgres)?;
            let took = self.rewrap().await?;
            let used = Used::now(node.id(), postgres)?.since(&before);
            rate.push(count / took.as_secs_f64());
            cpu.push(used.server_us(count) + used.postgres_us(count));

            let load = self.begin().await?;
            tokio::time::sleep(window).await;
            quiet_p99.push(self.end(load).await?.milliseconds(0.99));

            self.rotate().await?;
            let load = self.begin().await?;
            let took = self.rewrap().await?;
            let driven = self.end(load).await?;
            beside.push(count / took.as_secs_f64());
            p99.push(driven.milliseconds(0.99));
            reads.push(driven.latencies.len() as f64 / took.as_secs_f64());
            self.run.progress(&format!(
                "round {round}: {}: {:.0} versions/s, {:.0} beside reads; p99 of reads {:.2} ms, {:.2} without",
                engine.word(),
                rate.last(),
                beside.last(),
                p99.last(),
                quiet_p99.last()
            ));
        }
        self.run.say(&format!(
            "{}: versions/s {}, beside {:.0} reads/s {}; p99 of reads {} ms, beside a rewrap {} ms.",
            engine.word(),
            rate.show(0),
            reads.median(),
            beside.show(0),
            quiet_p99.show(2),
            p99.show(2)
        ));
        let figure = |what: &str, value, unit, goal| {
            let name = format!("rewrap.{what}.{}", engine.word());
            Figure::new(name, value, unit, goal)
        };
        let (rate_goal, ratio_goal) = match engine {
            Engine::Sqlite => (Goal::AtLeast(RATE_MIN), Goal::AtMost(P99_RATIO_MAX)),
            Engine::Postgresql => (Goal::None, Goal::None),
        };
        let ratio = p99.over(&quiet_p99).median();
        let none = Goal::None;
        Ok(vec![
            figure("versions", rate.median(), "1/s", rate_goal),
            figure("read_p99_ratio", ratio, "× without", ratio_goal),
            figure("cpu", cpu.median(), "µs", none),
            figure("versions_beside_reads", beside.median(), "1/s", none),
            figure("reads_beside", reads.median(), "1/s", none),
            figure("read_p99", p99.median(), "ms", none),
            figure("read_p99_without", quiet_p99.median(), "ms", none),
        ])
    }

    /// Reads of other environments, at a steady pace.
    async fn begin(&self) -> Result<Load> {
        let traffic = Traffic::Reads(self.stage.world.clone());
        let load = Load::begin(&self.run.client, self.stage.node.address, &traffic, FLOW);
        tokio::time::sleep(self.run.shape()?.warm_up).await;
        load.measure();
        Ok(load)
    }

    async fn end(&self, load: Load) -> Result<Driven> {
        let driven = load.end().await?;
        match driven.refusal {
            Some(status) => Err(Failure(format!("a read was answered {status}"))),
            None => Ok(driven),
        }
    }

    async fn rotate(&self) -> Result<()> {
        self.post("rotate").await.map(drop)
    }

    /// Moves everything; how long that took.
    async fn rewrap(&self) -> Result<Duration> {
        let begun = Instant::now();
        let body = self.post("rewrap").await?;
        let took = begun.elapsed();
        let keys: Keys = serde_json::from_slice(&body).context("a census")?;
        let current = keys.terms.iter().find(|term| term.state == "current");
        let moved = current.map_or(0, |term| term.versions);
        if moved != self.run.options.versions as u64 {
            return Err(Failure(format!("{moved} versions are under the new term")));
        }
        Ok(took)
    }

    async fn post(&self, what: &str) -> Result<Bytes> {
        let node = &self.stage.node;
        let path = uri(&format!("/api/v1/keys/{PROJECT}/{MOVED}/{what}"))?;
        let mut connection = Connection::open(&self.run.client, node.address).await?;
        let asked = request(Method::POST, &path, &node.root, Bytes::new());
        connection.ask(asked).await
    }
}
