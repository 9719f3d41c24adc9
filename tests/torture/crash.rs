//! A node is killed at random while it works, at any point that a server under load passes or at any time, and started again,
//! many times over: every acknowledged change is there with its record, no change lacks one, and no record tells of what is
//! not. Some starts are killed as well.
//!
//! Points of a refresh are on the way of one token at a time: `tests/nodes/connections.rs` kills at each of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use coffer::model::Ttl;
use coffer::store::Engine;
use serde_json::json;
use tokio::time::timeout;

use super::changes::Changes;
use super::{Chance, held, rounds};
use crate::ledger::load::{Load, holds};
use crate::support::cluster::{Cluster, PROCESS, Start, on_both};
use crate::support::eventually;
use crate::support::node::Node;

const CLIENTS: usize = 6;
/// Answers after which a node may be killed.
const ANSWERS_MAX: usize = 200;
/// Passes of a point that many pass before it kills.
const PASSES_MAX: usize = 40;
/// Rounds after which another cluster is begun: each round reads the whole log.
const ROUNDS_EACH: usize = 10;
/// One round in so many kills at no point at all, and one start in so many is killed.
const ONE_IN: usize = 4;
/// How long a point is waited for that not every commit passes; then the node is killed wherever it is.
const REACHED_MAX: Duration = Duration::from_secs(5);
/// The same of a rotation: the lease that a killed node held has to run out first.
const TURNED_MAX: Duration = Duration::from_secs(20);
/// What is rotated by the scheduler, and how often, in seconds.
const TURNING: &str = "payments/prod/turning";
const EVERY: u64 = 60;

/// A point at which a node is killed under load.
struct Point {
    name: &'static str,
    /// It kills at one of the first so many passes.
    passes: usize,
    /// When it is passed.
    comes: Comes,
}

#[derive(PartialEq)]
enum Comes {
    /// By every load, so often that it is never missed.
    Always,
    /// By most.
    Mostly,
    /// Once this is armed as well.
    With(&'static str),
    /// Once the clock has moved to the next rotation.
    Turning,
    /// On SQLite alone.
    Copying,
}

const fn point(name: &'static str, passes: usize, comes: Comes) -> Point {
    Point {
        name,
        passes,
        comes,
    }
}

const POINTS: [Point; 17] = [
    point("before head", PASSES_MAX, Comes::Always),
    point("after head", PASSES_MAX, Comes::Always),
    point("in commit", PASSES_MAX, Comes::Always),
    point("after commit", PASSES_MAX, Comes::Always),
    point("commit reported failed", PASSES_MAX, Comes::Always),
    point("decided", PASSES_MAX, Comes::Always),
    point("loaded", PASSES_MAX, Comes::Always),
    point("versions listed", 3, Comes::Mostly),
    point("sent back", 3, Comes::Mostly),
    point(
        "sent back again",
        1,
        Comes::With("a snapshot doubted=plant"),
    ),
    point("merged", 3, Comes::Mostly),
    point("probe", 1, Comes::Mostly),
    point("after claim", 1, Comes::With("before head=fail")),
    point("log not copied yet", 1, Comes::Copying),
    point("lease taken", 1, Comes::Turning),
    point("rotation decided", 1, Comes::Turning),
    point("rotation done", 1, Comes::Turning),
];

/// Points that a start passes.
const STARTING: [&str; 5] = [
    "listening",
    "in commit",
    "after commit",
    "probe",
    "turn over",
];

/// What a run has done.
#[derive(Default)]
struct Summary {
    killed: BTreeMap<String, usize>,
    missed: BTreeMap<String, usize>,
    acknowledged: usize,
    unknown: usize,
}

impl Summary {
    fn counts(&mut self, at: &str, reached: bool) {
        let counts = if reached {
            &mut self.killed
        } else {
            &mut self.missed
        };
        *counts.entry(at.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, usize>| {
            let each = counts.iter().map(|(at, times)| format!("{at} {times}"));
            each.collect::<Vec<_>>().join(", ")
        };
        let (acknowledged, unknown) = (self.acknowledged, self.unknown);
        write!(f, "killed: {}; ", list(&self.killed))?;
        if !self.missed.is_empty() {
            write!(f, "armed and never reached: {}; ", list(&self.missed))?;
        }
        write!(f, "changes: {acknowledged} acknowledged, {unknown} unknown")
    }
}

/// A cluster, and what is done to its node.
struct Run<'a> {
    cluster: Cluster,
    start: Start<'a>,
    chance: Chance,
    summary: Summary,
    /// How far the clock was moved, in periods of the rotation.
    turns: u64,
}

/// Kills a node again and again that was configured with these lines.
async fn killed_again_and_again(engine: Engine, config: &str) {
    let name = format!("killed at random, {engine} {config:?}");
    let start = Start {
        config,
        points: "small segments=plant",
        ..Start::default()
    };
    let mut run = Run {
        cluster: Cluster::new(engine).await,
        start,
        chance: Chance::new(&name),
        summary: Summary::default(),
        turns: 0,
    };
    let rounds = rounds(2);
    let mut a = run.begin().await;
    for round in 1..=rounds {
        a = run.round(a, &format!("r{round}-")).await;
        if round % ROUNDS_EACH == 0 || round == rounds {
            assert_eq!(a.end().await.code, Some(0));
            run.cluster.check().await;
            if round == rounds {
                break;
            }
            run.cluster = Cluster::new(engine).await;
            a = run.begin().await;
        }
    }
    eprintln!("{name}, {rounds} rounds: {}", run.summary);
}

impl Run<'_> {
    async fn begin(&mut self) -> Node {
        self.turns = 0;
        let a = self.cluster.start_with("a", self.start.clone()).await;
        self.cluster.place(&a, "payments/prod").await;
        let policy = json!({ "every": EVERY, "grace": 1 });
        let path = format!("/rotations/{TURNING}");
        a.put(&path, policy, &self.cluster.root).await.is(201);
        a
    }

    /// Kills the node under load, and looks at what another start finds.
    async fn round(&mut self, a: Node, name: &str) -> Node {
        let load = Load::start(&self.cluster, &a, name, CLIENTS);
        let changes = Changes::start(&self.cluster, &a, &load.told, name);
        let answers = self.chance.below(ANSWERS_MAX);
        eventually("answers", || async {
            (load.told.count() > answers).then_some(())
        })
        .await;
        self.kill(a).await;
        let (told, written) = load.end().await;
        let knows = changes.end().await;
        let (acknowledged, unknown) = told.changes();
        self.summary.acknowledged += acknowledged;
        self.summary.unknown += unknown;

        let a = self.start_again().await;
        held::ask_again(&self.cluster, &a, &told, &knows).await;
        let records = holds(&self.cluster, &a, &told, &written).await;
        held::hold(&self.cluster, &a, &records, &knows).await;
        self.turned(&a).await;
        a
    }

    async fn kill(&mut self, a: Node) {
        if self.chance.below(ONE_IN) == 0 {
            a.kill().await;
            return self.summary.counts("anywhere", true);
        }
        let sqlite = self.cluster.engine == Engine::Sqlite;
        let passed = POINTS
            .iter()
            .filter(|point| sqlite || point.comes != Comes::Copying);
        let passed: Vec<&Point> = passed.collect();
        let point = *self.chance.one_of(&passed);
        let kill = format!("{}=kill:{}", point.name, self.chance.below(point.passes));
        a.arm(&match point.comes {
            Comes::With(cause) => format!("{cause},{kill}"),
            _ => kill,
        });
        if point.comes == Comes::Turning {
            self.turns += 1;
            let ahead = Ttl::seconds(EVERY * self.turns);
            self.cluster.set_clock(ahead);
        }
        let reached = match point.comes {
            Comes::Always => Some(a.ended().await),
            Comes::Turning => timeout(TURNED_MAX, a.ended()).await.ok(),
            _ => timeout(REACHED_MAX, a.ended()).await.ok(),
        };
        match &reached {
            Some(ended) => {
                assert_eq!(ended.code, None, "killed at {}: {ended:?}", point.name);
                assert_eq!(a.hits(point.name), 1, "{}: {ended:?}", point.name);
            }
            None => a.kill().await,
        }
        self.summary.counts(point.name, reached.is_some());
    }

    /// Starts the node, now and then not at the first go.
    async fn start_again(&mut self) -> Node {
        while self.chance.below(ONE_IN) == 0 {
            let name = *self.chance.one_of(&STARTING);
            let points = format!("{},{name}=kill", self.start.points);
            let start = Start {
                points: &points,
                ..self.start.clone()
            };
            let ended = match self.cluster.try_start("a", start).await {
                Ok(a) => timeout(REACHED_MAX, a.ended()).await.ok(),
                Err(ended) => Some(ended),
            };
            if let Some(ended) = &ended {
                assert_eq!(ended.code, None, "killed at {name}: {ended:?}");
            }
            let at = format!("{name} of a start");
            self.summary.counts(&at, ended.is_some());
        }
        self.cluster.start_with("a", self.start.clone()).await
    }

    /// What the scheduler turns has a version for each record of one.
    async fn turned(&self, a: &Node) {
        let mut version = self.cluster.version(a, TURNING).await;
        let records = loop {
            let records = self.cluster.bundle(a).await;
            // It may have turned just now.
            let later = self.cluster.version(a, TURNING).await;
            if std::mem::replace(&mut version, later) == later {
                break records;
            }
        };
        let count = |who: &str, action: &str| records.count(who, action, TURNING, "allowed");
        let recorded = count("app/root", "write") + count("system/scheduler", "rotate");
        assert_eq!(version, recorded as u64, "{TURNING}");
    }
}

on_both! {
    async fn killed_at_random(engine: Engine) {
        killed_again_and_again(engine, "").await;
    }

    /// The reads that were answered are there as well: it is the process that ends, and not the machine.
    async fn killed_at_random_while_reads_do_not_wait(engine: Engine) {
        killed_again_and_again(engine, PROCESS).await;
    }
}
