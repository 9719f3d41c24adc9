//! `bench size`: what a store of very many secrets costs beside one of a thousand, on the same engine.
//! Reads of the two alternate in shuffled rounds; pages, starts and memory are taken of both in turn.
//!
//! Invariant: both stores are read, listed and started in the same ways, and a figure's name says how many secrets there were.

use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::client::{Connection, request};
use crate::failure::{Context, Failure, Result};
use crate::figures::{Figure, Goal, Rounds};
use crate::fill::{One, each};
use crate::load::Flow;
use crate::log::Count;
use crate::options::Engine;
use crate::process;
use crate::quiet::settle;
use crate::rounds::{Seen, measure};
use crate::run::Run;
use crate::setting::Setting;
use crate::stage::Stage;
use crate::usage::Used;
use crate::world::{PROJECT, Size, Traffic, secret_at, uri};

/// Secrets of the small store, and of the large one those that are read in the rounds.
const FEW: usize = 1_000;
/// Secrets below the one prefix that is listed in both, and how many of them a page has.
const LISTED: usize = 300;
const PAGE: usize = 100;
/// Pages of each store.
const PAGES: usize = 101;
/// CPU of a read among many secrets against one among few, at most: the same, within what rounds can tell.
const READ_RATIO_MAX: f64 = 1.1;
/// Time of a page among many against one among few, at most.
const PAGE_RATIO_MAX: f64 = 1.25;
/// Memory of an idle server, and of one that has read more than its cache holds, in MiB.
const IDLE_MAX: f64 = 40.0;
const MEMORY_MAX: f64 = 200.0;
/// Milliseconds from the start until the server is ready.
const START_MAX: f64 = 200.0;
/// Secrets that are read once each: more than the cache holds.
const WALKED_MAX: usize = 400_000;
/// How long a server lies idle before its memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// Measures each engine.
pub async fn run(run: &Run) -> Result<()> {
    let (mut figures, mut lines) = (Vec::new(), Vec::new());
    for engine in run.engines()? {
        let pair = Pair::prepare(run, engine).await?;
        let (told, said) = pair.measure().await?;
        figures.extend(told);
        lines.extend(said);
    }
    run.say_figures(&figures);
    run.say("");
    lines.iter().for_each(|line| run.say(line));
    Ok(())
}

/// One engine twice.
struct Pair<'a> {
    run: &'a Run,
    engine: Engine,
    few: Stage,
    many: Stage,
    /// Secrets of the large one.
    count: usize,
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<IgnoredAny>,
}

impl<'a> Pair<'a> {
    async fn prepare(run: &'a Run, engine: Engine) -> Result<Self> {
        let (few, many) = match engine {
            Engine::Sqlite => ("sqlite-few", "sqlite-many"),
            Engine::Postgresql => ("postgresql-few", "postgresql-many"),
        };
        let size = Size {
            secrets: FEW,
            tokens: run.options.tokens,
        };
        let stage = async |name| Stage::of_size(run, Setting::named(engine, name), size).await;
        let mut pair = Self {
            run,
            engine,
            few: stage(few).await?,
            many: stage(many).await?,
            count: run.options.many.max(FEW),
            figures: Vec::new(),
        };
        run.say_conditions(pair.few.example.1.len());
        pair.fill().await?;
        Ok(pair)
    }

    /// The rest of the many secrets, and in both stores those that are listed.
    async fn fill(&mut self) -> Result<()> {
        let begun = Instant::now();
        let world = self.many.world.clone();
        let put = move |at| One {
            method: "PUT",
            path: secret_at(at),
            body: world.body(at),
        };
        self.send(&self.many, FEW..self.count, put).await?;
        let rate = (self.count - FEW) as f64 / begun.elapsed().as_secs_f64();
        let (engine, count) = (self.engine.word(), self.count);
        let told = format!("{engine}: {count} secrets, written at {rate:.0} a second");
        self.run.progress(&told);
        for stage in [&self.few, &self.many] {
            let world = stage.world.clone();
            let put = move |at| One {
                method: "PUT",
                path: format!("/api/v1/secrets/{PROJECT}/e0/listed/key-{at:06}"),
                body: world.body(at),
            };
            self.send(stage, 0..LISTED, put).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        stage: &Stage,
        numbers: std::ops::Range<usize>,
        make: impl Fn(usize) -> One + Clone + Send + 'static,
    ) -> Result<()> {
        let to = (stage.node.address, stage.node.root_token()?);
        each(&self.run.client, to, numbers, make).await
    }

    async fn measure(mut self) -> Result<(Vec<Figure>, Vec<String>)> {
        // What the filling has left to do is no part of a start.
        let servers = [self.few.node.id(), self.many.node.id()];
        settle(&servers.into()).await?;
        self = self.starts().await?;
        self.idle().await?;
        let [few, many] = self.reads().await?;
        self.pages().await?;
        let walked = self.walk().await?;
        let listed = LISTED as u64;
        let (few_reads, many_reads) = (few.answers, many.answers + walked);
        let filled = (self.count - FEW) as u64;
        let mut lines = Vec::new();
        for (stage, reads, writes, count) in [
            (self.few, few_reads, listed, FEW),
            (self.many, many_reads, listed + filled, self.count),
        ] {
            let driven = Count {
                reads,
                writes,
                ..Count::default()
            };
            let ended = stage.end(self.run, driven).await?;
            let name = format!("size.unaccounted.{count}.{}", self.engine.word());
            let unaccounted = ended.unaccounted as f64;
            let goal = Goal::Exactly(0.0);
            self.figures.push(Figure::new(name, unaccounted, "", goal));
            lines.extend(ended.lines);
        }
        Ok((self.figures, lines))
    }

    /// From the start of a process to its first ready answer.
    async fn starts(mut self) -> Result<Self> {
        let (mut few, mut many) = (Rounds::default(), Rounds::default());
        for _ in 0..self.run.options.rounds {
            let took;
            (self.few, took) = self.few.restart(self.run).await?;
            few.push(took.as_secs_f64() * 1e3);
            let took;
            (self.many, took) = self.many.restart(self.run).await?;
            many.push(took.as_secs_f64() * 1e3);
        }
        self.say("ms until ready", &few, &many);
        self.figure("start", FEW, few.median(), "ms", Goal::None);
        let goal = Goal::AtMost(START_MAX);
        self.figure("start", self.count, many.median(), "ms", goal);
        Ok(self)
    }

    /// Memory of servers that have done nothing since their start.
    async fn idle(&mut self) -> Result<()> {
        tokio::time::sleep(IDLE).await;
        let few = process::memory(self.few.node.id())?.now_mib;
        let many = process::memory(self.many.node.id())?.now_mib;
        let goal = Goal::AtMost(IDLE_MAX);
        self.figure("memory_idle", FEW, few, "MiB", goal);
        self.figure("memory_idle", self.count, many, "MiB", goal);
        Ok(())
    }

    /// Reads of a thousand secrets, which are all there are or which lie among very many.
    async fn reads(&mut self) -> Result<[Seen; 2]> {
        let flow = Flow::flat_out(self.run.options.connections());
        let cases = [&self.few, &self.many].map(|stage| stage.case(Traffic::Reads, flow));
        let seen = measure(self.run, &cases).await?;
        let two = <[Seen; 2]>::try_from(seen).ok();
        let [few, many] = two.context("two stores were read")?;
        let (few_cpu, many_cpu) = (few.cpu_in_all(), many.cpu_in_all());
        self.say("µs CPU a read", &few_cpu, &many_cpu);
        let ratio = many_cpu.over(&few_cpu).median();
        let (few_us, many_us) = (few_cpu.median(), many_cpu.median());
        self.figure("read_cpu", FEW, few_us, "µs", Goal::None);
        self.figure("read_cpu", self.count, many_us, "µs", Goal::None);
        let goal = Goal::AtMost(READ_RATIO_MAX);
        self.figure("read_cpu_ratio", self.count, ratio, "× few", goal);
        Ok([few, many])
    }

    /// A page of the same hundred names in both.
    async fn pages(&mut self) -> Result<()> {
        let (mut few, mut many) = (Rounds::default(), Rounds::default());
        for _ in 0..PAGES {
            few.push(self.page(&self.few).await?);
            many.push(self.page(&self.many).await?);
        }
        self.say("ms a page of a hundred", &few, &many);
        let ratio = many.median() / few.median();
        self.figure("page", FEW, few.median(), "ms", Goal::None);
        self.figure("page", self.count, many.median(), "ms", Goal::None);
        let goal = Goal::AtMost(PAGE_RATIO_MAX);
        self.figure("page_ratio", self.count, ratio, "× few", goal);
        Ok(())
    }

    async fn page(&self, stage: &Stage) -> Result<f64> {
        let mut connection = Connection::open(&self.run.client, stage.node.address).await?;
        let path = format!("/api/v1/secrets/{PROJECT}/e0?prefix=listed/&limit={PAGE}");
        let asked = request(Method::GET, &uri(&path)?, &stage.node.root, Bytes::new());
        let begun = Instant::now();
        let body = connection.ask(asked).await?;
        let took = begun.elapsed();
        let page: Page = serde_json::from_slice(&body).context("a page")?;
        if page.items.len() != PAGE {
            let found = page.items.len();
            return Err(Failure(format!("a page has {found} secrets")));
        }
        Ok(took.as_secs_f64() * 1e3)
    }

    /// Reads more secrets than the cache holds, each once; how many.
    async fn walk(&mut self) -> Result<u64> {
        let walked = self.count.min(WALKED_MAX);
        let stage = &self.many;
        let used = || Used::now(stage.node.id(), stage.postgres.as_ref());
        let before = used()?;
        let get = |at| One {
            method: "GET",
            path: secret_at(at),
            body: Bytes::new(),
        };
        self.send(stage, 0..walked, get).await?;
        let usage = used()?.since(&before);
        let cpu = usage.server_us(walked as f64) + usage.postgres_us(walked as f64);
        let memory = process::memory(stage.node.id())?.peak_mib;
        self.figure("read_uncached_cpu", self.count, cpu, "µs", Goal::None);
        let goal = Goal::AtMost(MEMORY_MAX);
        self.figure("memory_peak", self.count, memory, "MiB", goal);
        Ok(walked as u64)
    }

    fn figure(&mut self, what: &str, count: usize, value: f64, unit: &'static str, goal: Goal) {
        let name = format!("size.{what}.{count}.{}", self.engine.word());
        self.figures.push(Figure::new(name, value, unit, goal));
    }

    fn say(&self, what: &str, few: &Rounds, many: &Rounds) {
        let (engine, few, many, count) =
            (self.engine.word(), few.show(2), many.show(2), self.count);
        self.run.say(&format!(
            "{engine}: {what}: {few} among {FEW}, {many} among {count}"
        ));
    }
}
