//! A value rotates by the scheduler of a built server alone, on time under a clock moved by hand, on whichever node lives.
//! The node that has begun is killed at every point on the way: the rotation happens once.

use coffer::model::Ttl;
use coffer::store::Engine;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::cluster::{Cluster, on_both};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::records::Record;

const SECRET: &str = "payments/prod/stripe";
const EVERY: u64 = 3_600;
const GRACE: u64 = 600;

/// Points on the way of a rotation; the first commit that a point of a commit meets is the lease's, hence the skip.
const POINTS: [(&str, &str); 7] = [
    ("lease taken", "lease taken=kill"),
    ("rotation decided", "rotation decided=kill"),
    ("before head", "before head=kill:1"),
    ("after head", "after head=kill:1"),
    ("in commit", "in commit=kill:1"),
    ("after commit", "after commit=kill:1"),
    ("rotation done", "rotation done=kill"),
];

async fn value(cluster: &Cluster, node: &Node, query: &str) -> String {
    let read = node
        .get(&format!("/secrets/{SECRET}{query}"), &cluster.root)
        .await;
    read.is(200).json()["fields"]["value"]
        .as_str()
        .expect("text")
        .to_owned()
}

/// A cluster with a secret that is due after [`EVERY`], and its first value.
async fn due_later(engine: Engine) -> (Cluster, Node, String) {
    let (cluster, a) = Cluster::with_one(engine).await;
    let policy = json!({ "every": EVERY, "grace": GRACE });
    a.put(&format!("/rotations/{SECRET}"), policy, &cluster.root)
        .await
        .is(201);
    let old = value(&cluster, &a, "").await;
    (cluster, a, old)
}

/// It has rotated once; the old value reads as `previous` until its grace ends.
async fn rotated_once(cluster: &Cluster, node: &Node, old: &str, clock: u64) {
    let new = eventually("the rotation", || async {
        Some(value(cluster, node, "").await).filter(|value| value != old)
    })
    .await;
    assert_eq!(value(cluster, node, "?previous=true").await, old);
    cluster.set_clock(Ttl::seconds(clock + GRACE - 60));
    assert_eq!(value(cluster, node, "?previous=true").await, old);
    cluster.set_clock(Ttl::seconds(clock + GRACE + 60));
    let previous = format!("/secrets/{SECRET}?previous=true");
    node.get(&previous, &cluster.root)
        .await
        .is_problem(404, "not-found");
    assert_eq!(value(cluster, node, "").await, new);
    assert_eq!(cluster.version(node, SECRET).await, 2);
    let records = cluster.bundle(node).await;
    assert_eq!(
        records.count("system/scheduler", "rotate", SECRET, "allowed"),
        1
    );
}

/// The node that begins is killed there, and the other one, or the same one started again, ends it.
async fn killed_at(engine: Engine, (point, armed): (&'static str, &'static str)) {
    let (cluster, a, old) = due_later(engine).await;
    let b = match engine {
        Engine::Postgres => {
            let b = cluster.start("b").await;
            assert_ne!(a.pid, b.pid);
            // It stands by: who begins is known.
            b.stop().await;
            Some(b)
        }
        Engine::Sqlite => None,
    };
    a.arm(armed);
    cluster.set_clock(Ttl::seconds(EVERY + 10));
    assert_eq!(a.ended().await.code, None, "killed at {point}");
    a.met(point).await;
    drop(a);
    // Past the dead node's lease.
    let clock = EVERY + 40;
    cluster.set_clock(Ttl::seconds(clock));
    let node = match b {
        Some(b) => {
            b.go_on();
            b
        }
        None => cluster.start("a").await,
    };
    rotated_once(&cluster, &node, &old, clock).await;
    assert_eq!(node.end().await.code, Some(0));
    cluster.check().await;
}

async fn killed_at_each(engine: Engine) {
    let mut killing = JoinSet::new();
    for point in POINTS {
        killing.spawn(killed_at(engine, point));
    }
    while let Some(killed) = killing.join_next().await {
        killed.expect("it ends once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_whose_node_is_killed_ends_once_on_the_other() {
    killed_at_each(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_whose_node_is_killed_ends_once_when_it_is_back() {
    killed_at_each(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_comes_on_time_and_once_beside_another_node() {
    let (cluster, a, old) = due_later(Engine::Postgres).await;
    let b = cluster.start("b").await;
    assert_ne!(a.pid, b.pid);
    cluster.set_clock(Ttl::seconds(EVERY - 60));
    assert_eq!(value(&cluster, &b, "").await, old, "not before its time");
    let clock = EVERY + 10;
    cluster.set_clock(Ttl::seconds(clock));
    rotated_once(&cluster, &b, &old, clock).await;
    assert_eq!(cluster.version(&a, SECRET).await, 2);
}

on_both! {
    /// What is not due costs nothing: turns of the scheduler leave neither a lease nor a record.
    async fn a_scheduler_with_nothing_to_do_writes_nothing(engine: Engine) {
        let (cluster, a, old) = due_later(engine).await;
        cluster.set_clock(Ttl::seconds(EVERY + 10));
        rotated_once(&cluster, &a, &old, EVERY + 10).await;
        // The turn that rotated may not be over yet: the first end that is seen may be its.
        a.arm("turn over=plant");
        let turns = async |many: usize| {
            let turned = || async { (a.hits("turn over") >= many).then_some(()) };
            eventually("turns of the scheduler", turned).await;
        };
        turns(1).await;
        let scheduled = async || {
            let records = cluster.bundle(&a).await;
            let by = |record: &&Record| record.text("principal") == Some("system/scheduler");
            records.all().iter().filter(by).count()
        };
        let before = scheduled().await;
        assert!(before > 0, "it has rotated");
        turns(a.hits("turn over") + 2).await;
        assert_eq!(scheduled().await, before);
    }
}
