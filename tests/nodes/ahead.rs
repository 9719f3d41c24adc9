//! A fact that a node has loaded before it followed to where it was loaded: used once the node's own history has gone through
//! there, mark included, and never when that place was of another history.
//! The node is held before it looks what changed, so that nothing but a load can be ahead of it.

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::client::Answer;
use crate::support::cluster::Cluster;
use crate::support::history::{SEQ, keep, restore};
use crate::support::node::Node;

const ONE: &str = "/secrets/payments/prod/one";

/// Two nodes and a secret `one` that is `1`; A knows its caller and its places, has not loaded `one`, and is held.
async fn held() -> (Cluster, Node, Node) {
    let (cluster, a, b) = Cluster::with_two().await;
    for secret in ["payments/prod/one", "payments/prod/other"] {
        cluster.set(&b, secret, "1").await;
    }
    cluster.value(&a, "payments/prod/other").await;
    a.arm("probe=hold");
    a.met("probe").await;
    (cluster, a, b)
}

/// A read of `one` on A that has been decided and waits to be recorded; the `many`th decision since the beginning.
async fn decided(cluster: &Cluster, a: &Node, many: usize) -> JoinHandle<Answer> {
    let call = a.get(ONE, &cluster.root);
    let call = tokio::spawn(async move { call.await });
    let decided = || async { (a.hits("decided") >= many).then_some(()) };
    crate::support::eventually("the read is decided", decided).await;
    call
}

async fn says(answer: JoinHandle<Answer>, value: &str) {
    let answer = answer.await.expect("no panic").is(200).json();
    assert_eq!(answer["fields"]["v"], value);
}

/// Changes up to this one, none of which touches `one`.
async fn go_on_to(cluster: &Cluster, node: &Node, seq: i64) {
    while cluster.number(SEQ).await < seq {
        cluster.set(node, "payments/prod/else", "1").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_loaded_ahead_is_used_once_it_was_followed_to() {
    let (cluster, a, b) = held().await;
    let own = cluster.number(SEQ).await;
    cluster.set(&b, "payments/prod/one", "2").await;
    go_on_to(&cluster, &b, own + 3).await;
    a.arm("decided=plant:0:9,sent back=plant:0:9");
    let loads = decided(&cluster, &a, 1).await;
    // What was loaded is in the cache now, and still ahead of A.
    let finds = decided(&cluster, &a, 2).await;
    assert!(!loads.is_finished() && !finds.is_finished());
    go_on_to(&cluster, &b, own + 5).await;
    a.go_on();
    says(loads, "2").await;
    says(finds, "2").await;
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "2");
    a.kill().await;
    assert_eq!(a.hits("sent back"), 0, "it was believed at once");
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_loaded_ahead_on_another_history_is_never_used() {
    let (cluster, a, b) = held().await;
    let own = cluster.number(SEQ).await;
    keep(&cluster).await;
    // The other history: `one` changes late in it.
    go_on_to(&cluster, &b, own + 5).await;
    cluster.set(&b, "payments/prod/one", "other").await;
    b.kill().await;
    a.arm("decided=plant:0:9");
    let loads = decided(&cluster, &a, 1).await;
    let finds = decided(&cluster, &a, 2).await;
    restore(&cluster).await;
    // A's own: `one` changes early, so that no note of it comes after the place where the entry was loaded.
    let c = cluster.start("c").await;
    cluster.set(&c, "payments/prod/one", "own").await;
    assert!(cluster.number(SEQ).await < own + 6);
    go_on_to(&cluster, &c, own + 9).await;
    a.go_on();
    says(loads, "own").await;
    says(finds, "own").await;
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "own");
    let guarded = a.put(
        &format!("{ONE}?if_version=2"),
        json!({ "fields": { "v": "next" } }),
        &cluster.root,
    );
    guarded.await.is(200);
    let records = cluster.bundle(&a).await;
    let dropped = records.count(
        "system/ledger",
        "audit",
        "sys/status",
        "allowed: history-dropped",
    );
    assert_eq!(dropped, 0, "A's own history went on: {records:?}");
    cluster.check().await;
}
