//! A node is killed at random while it works, at a point of a commit or anywhere, and started again, many times over:
//! every acknowledged write is there with its record, and no record tells of what is not.

use coffer::store::Engine;

use super::{Chance, rounds};
use crate::ledger::load::{Load, holds};
use crate::support::cluster::{Cluster, PROCESS, Start, on_both};
use crate::support::eventually;
use crate::support::node::Node;

const CLIENTS: usize = 8;
/// Answers after which a node may be killed.
const ANSWERS_MAX: usize = 200;
/// Passes of a point before it kills.
const PASSES_MAX: usize = 40;
/// Rounds after which another cluster is begun: each round reads the whole log.
const ROUNDS_EACH: usize = 20;
/// Points that every commit passes.
const POINTS: [&str; 5] = [
    "before head",
    "after head",
    "in commit",
    "after commit",
    "decided",
];

/// Kills a node again and again that was configured with these lines.
async fn killed_again_and_again(engine: Engine, config: &str) {
    let start = Start {
        config,
        ..Start::default()
    };
    let mut chance = Chance::new(&format!("killed at random, {engine} {config:?}"));
    let rounds = rounds(2);
    let (mut cluster, mut a) = begin(engine, &start).await;
    for round in 1..=rounds {
        let load = Load::start(&cluster, &a, &format!("r{round}-"), CLIENTS);
        let answers = chance.below(ANSWERS_MAX);
        eventually("answers", || async {
            (load.told.count() > answers).then_some(())
        })
        .await;
        match POINTS.get(chance.below(POINTS.len() + 2)) {
            Some(point) => {
                a.arm(&format!("{point}=kill:{}", chance.below(PASSES_MAX)));
                assert_eq!(a.ended().await.code, None, "killed at {point}");
            }
            None => a.kill().await,
        }
        let (told, written) = load.end().await;
        a = cluster.start_with("a", start.clone()).await;
        holds(&cluster, &a, &told, &written).await;
        if round % ROUNDS_EACH == 0 || round == rounds {
            assert_eq!(a.end().await.code, Some(0));
            cluster.check().await;
            (cluster, a) = begin(engine, &start).await;
        }
    }
}

async fn begin(engine: Engine, start: &Start<'_>) -> (Cluster, Node) {
    let cluster = Cluster::new(engine).await;
    let a = cluster.start_with("a", start.clone()).await;
    cluster.place(&a, "payments/prod").await;
    (cluster, a)
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
