//! What a node remembers while another node changes it: a load that is put in late, a decision that waits through the end of
//! the cache, an entry that is loaded anew in between. Decided again or true, never stale.

use coffer::store::Engine;
use tokio::task::JoinHandle;

use crate::support::client::Answer;
use crate::support::cluster::{Cluster, Start};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::proxy::{Mode, Proxy};

const ONE: &str = "/secrets/payments/prod/one";

/// Two nodes that know their callers and places, and a secret `one` that is `1` and that A has not loaded.
async fn warm() -> (Cluster, Node, Node) {
    let (cluster, a, b) = Cluster::with_two().await;
    for secret in ["payments/prod/one", "payments/prod/other"] {
        cluster.set(&b, secret, "1").await;
    }
    cluster.value(&a, "payments/prod/other").await;
    (cluster, a, b)
}

/// A read of `one` on A that is held where it is armed.
async fn held(cluster: &Cluster, a: &Node, point: &str) -> JoinHandle<Answer> {
    a.arm(&format!("{point}=hold"));
    let call = a.get(ONE, &cluster.root);
    let call = tokio::spawn(async move { call.await });
    a.met(point).await;
    call
}

async fn says(answer: JoinHandle<Answer>, value: &str) {
    let answer = answer.await.expect("no panic").is(200).json();
    assert_eq!(answer["fields"]["v"], value);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_from_before_a_change_is_not_put_in_after_it() {
    let (cluster, a, b) = warm().await;
    let read = held(&cluster, &a, "loaded").await;
    cluster.set(&b, "payments/prod/one", "2").await;
    // A follows the change while the load waits.
    cluster.value(&a, "payments/prod/other").await;
    a.go_on();
    says(read, "2").await;
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "2");
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_from_before_a_change_that_is_not_followed_yet_is_decided_again() {
    let (cluster, a, b) = warm().await;
    let read = held(&cluster, &a, "loaded").await;
    cluster.set(&b, "payments/prod/one", "2").await;
    a.go_on();
    says(read, "2").await;
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_loaded_anew_does_not_make_an_old_decision_true() {
    let (cluster, a, b) = warm().await;
    cluster.value(&a, "payments/prod/one").await;
    let read = held(&cluster, &a, "decided").await;
    cluster.set(&b, "payments/prod/one", "2").await;
    assert_eq!(
        cluster.value(&a, "payments/prod/one").await,
        "2",
        "dropped and loaded anew"
    );
    a.go_on();
    says(read, "2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_waits_while_the_cache_is_dropped_is_made_again() {
    let cluster = Cluster::new(Engine::Postgres).await;
    let (proxy, url) = Proxy::before(&cluster.url).await;
    let start = Start {
        url: Some(&url),
        ..Start::default()
    };
    let a = cluster.start_with("a", start).await;
    let b = cluster.start("b").await;
    cluster.place(&b, "payments/prod").await;
    cluster.set(&b, "payments/prod/one", "1").await;
    cluster.value(&a, "payments/prod/one").await;
    let read = held(&cluster, &a, "decided").await;
    cluster.set(&b, "payments/prod/one", "2").await;
    proxy.set(Mode::Cut);
    let lost = || async { a.has_said("the store cannot be reached").then_some(()) };
    eventually("the connection is missed", lost).await;
    proxy.set(Mode::Pass);
    let back = || async { (a.get(ONE, &cluster.root).await.status() == 200).then_some(()) };
    eventually("a new connection", back).await;
    a.go_on();
    says(read, "2").await;
}
