//! Nothing is served from memory while nothing can be recorded: a read that needs no look-up waits for its record like any
//! other, and without one it has neither a value nor a 304.

use coffer::store::Engine;
use serde_json::json;

use super::load::Told;
use crate::support::cluster::{Cluster, Start};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::proxy::{Mode, Proxy};

const SECRET: &str = "payments/prod/one";
const PATH: &str = "/secrets/payments/prod/one";
const VALUE: &str = "kept in memory";

/// A read that was answered from memory a moment ago; its ETag.
async fn cached(cluster: &Cluster, a: &Node) -> String {
    cluster.set(a, SECRET, VALUE).await;
    assert_eq!(cluster.value(a, SECRET).await, VALUE);
    a.get(PATH, &cluster.root).await.is(200).etag()
}

/// Neither the value nor that it is still the same is said.
async fn says_nothing(cluster: &Cluster, a: &Node, etag: &str, told: &Told) {
    let read = a.get(PATH, &cluster.root).await;
    told.note(&read);
    assert!(!read.text().contains(VALUE), "{}", read.text());
    assert_eq!(read.header("etag"), None);
    read.is_problem(503, "unavailable");
    let same = a.get(PATH, &cluster.root).header("if-none-match", etag);
    let same = same.await;
    told.note(&same);
    assert_eq!(same.header("etag"), None);
    same.is_problem(503, "unavailable");
}

/// Reads that could not be recorded left no record, and the next ones are whole.
async fn is_back(cluster: &Cluster, a: &Node, told: &Told, answered: usize) {
    let back = || async { (a.get(PATH, &cluster.root).await.status() == 200).then_some(()) };
    eventually("the store is back", back).await;
    assert_eq!(cluster.value(a, SECRET).await, VALUE);
    let records = cluster.bundle(a).await;
    told.is_in(&records);
    let reads = records.count("app/root", "read", SECRET, "allowed");
    // One each for the two looks above, and for every one before the store was lost.
    assert_eq!(reads, answered + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_served_from_memory_while_postgresql_is_gone() {
    let cluster = Cluster::new(Engine::Postgres).await;
    let (proxy, url) = Proxy::before(&cluster.url).await;
    let start = Start {
        url: Some(&url),
        ..Start::default()
    };
    let a = cluster.start_with("a", start).await;
    cluster.place(&a, "payments/prod").await;
    let told = Told::default();
    let etag = cached(&cluster, &a).await;
    proxy.set(Mode::Cut);
    says_nothing(&cluster, &a, &etag, &told).await;
    let unready = || async { (cluster.get_ready(&a).await == 503).then_some(()) };
    eventually("it says that it is not ready", unready).await;
    let counted = a.metrics().await;
    let claims = |how: &str| format!("coffer_database_claims_total{{outcome=\"{how}\"}}");
    assert!(counted.value(&claims("failed")) > 0.0 && counted.value(&claims("held")) == 0.0);
    assert_eq!(counted.value("coffer_ready"), 0.0);
    says_nothing(&cluster, &a, &etag, &told).await;
    proxy.set(Mode::Pass);
    is_back(&cluster, &a, &told, 2).await;
    let counted = a.metrics().await;
    let resets = counted.value("coffer_cache_resets_total{reason=\"reconnect\"}");
    assert_eq!([counted.value(&claims("held")), resets], [1.0, 1.0]);
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_served_from_memory_while_sqlite_stores_nothing() {
    let (cluster, a) = Cluster::with_one(Engine::Sqlite).await;
    let told = Told::default();
    let etag = cached(&cluster, &a).await;
    a.arm(&format!("before head=fail:0:{}", u32::MAX));
    says_nothing(&cluster, &a, &etag, &told).await;
    a.met("before head").await;
    let body = json!({ "fields": { "v": "late" } });
    let late = a.put(PATH, body, &cluster.root).await;
    told.note(&late);
    late.is_problem(503, "unavailable");
    says_nothing(&cluster, &a, &etag, &told).await;
    a.arm("before head=fail:0:0");
    is_back(&cluster, &a, &told, 2).await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}
