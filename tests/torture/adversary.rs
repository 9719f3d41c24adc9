//! Whoever can write to the database does anything to it, at random and again and again: between starts, and under a
//! server that works. What is served is what was true at some time of that very path and version; what is not the newest
//! truth, or missing, is named by `check`; and the good copy that is put back is whole.
//!
//! Invariant: each act is printed before it is done, and whatever it leads to is undone before the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::acts::{Act, Sight, lay_aside, must_be_named};
use super::truths::{Callers, Clients, Current, LIMITED, PATHS, Truths};
use super::{Chance, rounds};
use crate::support::client::Client;
use crate::support::cluster::{Cluster, Start, on_both};
use crate::support::eventually;
use crate::support::node::{Ended, Node, text};
use crate::surgery::rows::{Knife, Rows, Table};
use crate::surgery::structure::mend;

const CLIENTS: usize = 4;
/// Rounds after which another cluster is begun: each round reads the whole log more than once.
const ROUNDS_EACH: usize = 25;
/// Of so many rounds, one goes on with the history first.
const GROWS_EACH: usize = 4;
/// What is done to the history each time, at most.
const STEPS_MAX: usize = 40;
/// States of the past that an adversary has kept, at most.
const OLDS_MAX: usize = 6;
/// Answers before what is done under a server that works, at most.
const ANSWERS_MAX: usize = 40;
/// The same after it: a server that stores nothing lets each wait for some time.
const ANSWERS_AFTER_MAX: usize = 8;
/// Tries to find something to be done that the database takes.
const TRIES: usize = 20;

on_both! {
    async fn adversary(engine: Engine) {
        let mut chance = Chance::new(&format!("adversary, {engine}"));
        let rounds = rounds(4);
        let mut tally = Tally::default();
        let mut ground = Ground::new(engine, &mut chance).await;
        for round in 1..=rounds {
            if round % ROUNDS_EACH == 0 {
                ground = Ground::new(engine, &mut chance).await;
            } else if chance.below(GROWS_EACH) == 0 {
                ground.grow(&mut chance).await;
            }
            let title = format!("round {round}, {engine}");
            if chance.below(2) == 0 {
                ground.between_starts(&mut chance, &title, &mut tally).await;
            } else {
                ground.under_load(&mut chance, &title, &mut tally).await;
            }
            ground.put_back().await;
        }
        tally.print(&format!("adversary, {engine}, {rounds} rounds"));
        assert_eq!(tally.of("done"), rounds, "each round did something");
    }
}

/// A cluster whose server does not run, with its good copy and its past.
struct Ground {
    cluster: Cluster,
    truths: Arc<Truths>,
    callers: Callers,
    tables: Vec<Table>,
    good: Rows,
    /// What each path says on the good copy.
    current: Current,
    /// First those of its own past, then those of histories that were not gone on with.
    olds: Vec<Rows>,
    own_olds: usize,
}

impl Ground {
    async fn new(engine: coffer::store::Engine, chance: &mut Chance) -> Self {
        let (cluster, a) = Cluster::with_one(engine).await;
        let made = a.post(
            "/projects/payments/environments",
            json!({ "name": "test" }),
            &cluster.root,
        );
        made.await.is(201);
        let read = format!("list,read:{LIMITED}**");
        let limited = cluster.child(&a, &cluster.root, &read).await;
        assert_eq!(a.end().await.code, Some(0));
        let callers = Callers {
            root: cluster.root.clone(),
            limited,
        };
        let mut knife = Knife::at(&cluster.database_url()).await;
        let tables = knife.tables().await;
        knife.close().await;
        let mut ground = Self {
            cluster,
            truths: Arc::default(),
            callers,
            tables,
            good: Rows::new(),
            current: Current::new(),
            olds: Vec::new(),
            own_olds: 0,
        };
        ground.grow(chance).await;
        ground.grow(chance).await;
        ground
    }

    /// Goes on with the history, and keeps what it leaves.
    async fn grow(&mut self, chance: &mut Chance) {
        let a = self.start().await.expect("a good copy is started on");
        for _ in 0..1 + chance.below(STEPS_MAX) {
            self.step(&a, chance).await;
        }
        if chance.below(2) == 0 {
            let seen = || async {
                let told = a.metrics().await;
                let count = |outcome| {
                    told.value(&format!("coffer_log_merges_total{{outcome=\"{outcome}\"}}"))
                };
                assert_eq!(count("refused"), 0.0, "what was signed is not merged");
                (count("merged") > 0.0).then_some(())
            };
            // There is enough to be merged once each path was written and read.
            for path in PATHS.repeat(2) {
                self.truths.write(&a, path, &self.callers.root).await;
            }
            eventually("a merge", seen).await;
        }
        (self.current, _) = self.truths.ask(&a, &self.callers).await;
        assert_eq!(a.end().await.code, Some(0));
        self.cluster.check().await;
        let now = self.rows().await;
        let before = std::mem::replace(&mut self.good, now);
        if !before.is_empty() {
            self.olds.insert(0, before);
            self.olds.truncate(OLDS_MAX);
            self.own_olds = OLDS_MAX.min(self.own_olds + 1);
        }
        self.cluster.keep_state("a", "good");
    }

    /// Something legitimate.
    async fn step(&self, a: &Node, chance: &mut Chance) {
        let (path, root) = (*chance.one_of(&PATHS), &self.callers.root);
        match chance.below(16) {
            0 => drop(a.delete(&format!("/secrets/{path}"), root).await),
            1 => {
                let versions = json!({ "versions": [1] });
                a.post(&format!("/destroy/{path}"), versions, root).await;
            }
            at @ 2..=4 => {
                let what = ["rotate", "rewrap", "reencrypt"][at - 2];
                let place = ["payments/prod", "payments/test"][chance.below(2)];
                a.post(&format!("/keys/{place}/{what}"), json!({}), root)
                    .await;
            }
            5 => {
                let token = self.cluster.child(a, root, "read:payments/**").await;
                if chance.below(2) == 0 {
                    a.delete(&format!("/tokens/{}", token.id), root).await;
                }
            }
            6..=7 => {
                let read = a.get(&format!("/secrets/{path}"), root).await;
                self.truths.hold(path, &read);
            }
            _ => drop(self.truths.write(a, path, root).await),
        }
    }

    /// Something is done while no server runs; one is started on what is left.
    async fn between_starts(&mut self, chance: &mut Chance, title: &str, tally: &mut Tally) {
        let aside = lay_aside(&self.cluster, chance).await;
        let mut knife = Knife::at(&self.cluster.database_url()).await;
        let act = self.act(&mut knife, chance, title, "between starts", tally);
        let act = act.await;
        let after = knife.rows(&self.tables).await;
        knife.close().await;
        if let Some(aside) = aside {
            aside.put_back().await;
        }
        let (named, began) = (self.check(tally).await, self.truths.writes());
        let must = must_be_named(&self.sight(&self.good), &after);
        assert!(named || !must, "check names nothing");
        let Ok(a) = self.start().await else {
            return tally.add("starts refused");
        };
        let mut past = self.olds.iter().take(self.own_olds);
        let is_past = past.any(|old| *old == after);
        assert!(!is_past, "a start on a database that is set back");
        let (current, told) = self.truths.ask(&a, &self.callers).await;
        tally.count("answers that told something", told);
        if !named && !act.is_whole() {
            self.is_newest(&current, began, false);
        }
        let clients = self.clients(&a, chance);
        clients.answered(chance.below(ANSWERS_MAX)).await;
        clients.end().await;
        self.settle(a, &act, began, chance, tally).await;
    }

    /// Something is done while a server works.
    async fn under_load(&mut self, chance: &mut Chance, title: &str, tally: &mut Tally) {
        let a = self.start().await.expect("a good copy is started on");
        let (clients, began) = (self.clients(&a, chance), self.truths.writes());
        clients.answered(chance.below(ANSWERS_MAX)).await;
        let mut knife = Knife::at(&self.cluster.database_url()).await;
        let act = self.act(&mut knife, chance, title, "under load", tally);
        let act = act.await;
        knife.close().await;
        clients.answered(1 + chance.below(ANSWERS_AFTER_MAX)).await;
        if act.is_whole() {
            let code = a.ended().await.code;
            assert_ne!(code, Some(0), "it goes on on a database set back");
        }
        let (_, told) = self.truths.ask(&a, &self.callers).await;
        tally.count("answers that told something", told);
        clients.end().await;
        self.settle(a, &act, began, chance, tally).await;
    }

    /// Ends a server, in good order or not. If `check` finds nothing in what it leaves, nothing is missing there, and
    /// nothing older is believed.
    async fn settle(
        &mut self,
        a: Node,
        act: &Act,
        began: u64,
        chance: &mut Chance,
        tally: &mut Tally,
    ) {
        assert!(!a.has_said("panicked at"), "a server panics");
        if chance.below(2) == 0 || act.is_whole() {
            // As `kill -9` does, if it has not ended.
            drop(a);
        } else {
            let code = a.end().await.code;
            assert!(matches!(code, Some(0..=9)), "{code:?}");
        }
        let named = self.check(tally).await;
        if !named && !act.is_whole() {
            match self.start().await {
                Ok(a) => {
                    let (current, _) = self.truths.ask(&a, &self.callers).await;
                    self.is_newest(&current, began, true);
                }
                Err(ended) => {
                    let sentence = ended.sentence;
                    assert!(sentence.contains("Rollback suspected"), "{sentence}");
                }
            }
        }
        if chance.below(GROWS_EACH) == 0 {
            // Of a history that is not gone on with.
            let rows = self.rows().await;
            self.olds.push(rows);
            self.olds.truncate(OLDS_MAX);
        }
    }

    /// What is told is no older than the good copy; and it is `all` of it.
    fn is_newest(&self, current: &Current, began: u64, all: bool) {
        let number = |value: &String| -> u64 {
            let (_, number) = value.rsplit_once(' ').expect("a path and a number");
            number.parse().expect("a number")
        };
        for (path, value) in current {
            let good = &self.current[path];
            let fine = match (good, value) {
                (None, None) => true,
                (Some(_), None) => !all,
                (None, Some(value)) => number(value) > began,
                (Some(good), Some(value)) => value == good || number(value) > began,
            };
            assert!(
                fine,
                "{path} says {value:?}, was {good:?}, and check names nothing"
            );
        }
    }

    /// Does something that the database takes.
    async fn act(
        &self,
        knife: &mut Knife,
        chance: &mut Chance,
        title: &str,
        when: &str,
        tally: &mut Tally,
    ) -> Act {
        for _ in 0..TRIES {
            let now = knife.rows(&self.tables).await;
            let Some(act) = Act::of(chance, &self.sight(&now)) else {
                continue;
            };
            eprintln!("{title}, {when}: {}: {}", act.kind, act.what);
            if act.on(knife).await {
                tally.add("done");
                tally.add(&format!("{when}: {}", act.kind));
                return act;
            }
            eprintln!("{title}, {when}: the database does not take it");
        }
        panic!("nothing could be done");
    }

    fn sight<'a>(&'a self, now: &'a Rows) -> Sight<'a> {
        Sight {
            tables: &self.tables,
            now,
            olds: &self.olds,
        }
    }

    fn clients(&self, a: &Node, chance: &mut Chance) -> Clients {
        let client = Client::clone(a);
        Clients::start(&client, &self.truths, &self.callers, chance, CLIENTS)
    }

    /// Whether `check` names something; it names something or nothing, and nothing else becomes of it, but where both numbers
    /// of the schema were changed to the same: then it says that the store is a newer server's.
    async fn check(&self, tally: &mut Tally) -> bool {
        let checked = self.cluster.run("a", &["check"]).await;
        let (code, out, err) = (
            checked.status.code(),
            text(&checked.stdout),
            text(&checked.stderr),
        );
        let newer = code == Some(1) && err.contains("The store has schema ");
        assert!(matches!(code, Some(0 | 6)) || newer, "{code:?}: {out}{err}");
        let named = code != Some(0);
        tally.add(if named { "named" } else { "not named" });
        named
    }

    async fn start(&self) -> Result<Node, Ended> {
        let small = Start {
            points: "small segments=plant",
            ..Start::default()
        };
        let started = self.cluster.try_start("a", small).await;
        started.inspect_err(|ended| {
            assert!(matches!(ended.code, Some(1..=9)), "{ended:?}");
        })
    }

    async fn rows(&self) -> Rows {
        let mut knife = Knife::at(&self.cluster.database_url()).await;
        let rows = knife.rows(&self.tables).await;
        knife.close().await;
        rows
    }

    /// The good copy is whole again.
    async fn put_back(&self) {
        mend(&self.cluster).await;
        let mut knife = Knife::at(&self.cluster.database_url()).await;
        let set = knife.set(&self.tables, &self.good).await;
        set.expect("it can be put back");
        knife.close().await;
        self.cluster.put_state_back("a", "good");
        self.cluster.check().await;
    }
}

/// What came of it all.
#[derive(Default)]
struct Tally(BTreeMap<String, usize>);

impl Tally {
    fn add(&mut self, what: &str) {
        self.count(what, 1);
    }

    fn count(&mut self, what: &str, more: usize) {
        *self.0.entry(what.to_owned()).or_default() += more;
    }

    fn of(&self, what: &str) -> usize {
        self.0.get(what).copied().unwrap_or(0)
    }

    fn print(&self, title: &str) {
        eprintln!("{title}:");
        for (what, count) in &self.0 {
            eprintln!("{count:>7}  {what}");
        }
    }
}
