//! A node is killed at each point of a commit, under load, and started again: whoever was answered was told the truth.

use coffer::store::Engine;

use super::load::{Load, holds};
use crate::support::cluster::{Cluster, on_both};
use crate::support::eventually;

const CLIENTS: usize = 8;
/// Answers before the point is armed, so that the node is well at work.
const ANSWERS_BEFORE: usize = 60;

/// Kills a node there while it works, starts it again, and looks at everything.
async fn killed_at(engine: Engine, point: &str) {
    let (cluster, a) = Cluster::with_one(engine).await;
    let load = Load::start(&cluster, &a, "k", CLIENTS);
    eventually("answers", || async {
        (load.told.count() > ANSWERS_BEFORE).then_some(())
    })
    .await;
    a.arm(&format!("{point}=kill:7"));
    let ended = a.ended().await;
    assert_eq!(ended.code, None, "{ended:?}");
    a.met(point).await;
    let (told, written) = load.end().await;
    let a = cluster.start("a").await;
    holds(&cluster, &a, &told, &written).await;
    let load = Load::start(&cluster, &a, "again", 2);
    eventually("answers", || async {
        (load.told.count() > 4).then_some(())
    })
    .await;
    let (again, _) = load.end().await;
    let records = cluster.bundle(&a).await;
    again.is_in(&records);
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}

on_both! {
    async fn killed_before_the_head_moves(engine: Engine) {
        killed_at(engine, "before head").await;
    }

    async fn killed_after_the_head_moved(engine: Engine) {
        killed_at(engine, "after head").await;
    }

    async fn killed_before_the_commit(engine: Engine) {
        killed_at(engine, "in commit").await;
    }

    async fn killed_after_the_commit(engine: Engine) {
        killed_at(engine, "after commit").await;
    }

    async fn killed_with_a_decision_on_its_way(engine: Engine) {
        killed_at(engine, "decided").await;
    }

    async fn killed_while_it_loads(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        cluster.set(&a, "payments/prod/k", "1").await;
        // What nobody has asked for yet is loaded.
        a.arm("loaded=kill");
        a.get("/secrets/payments/prod/other", &cluster.root).sent().await.expect_err("it is killed");
        assert_eq!(a.ended().await.code, None);
        a.met("loaded").await;
        let a = cluster.start("a").await;
        assert_eq!(cluster.value(&a, "payments/prod/k").await, "1");
        cluster.bundle(&a).await;
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}
