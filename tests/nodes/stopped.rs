//! A node that stands still where it hurts: holding the world, or with a batch of reads on its way that a claim overtakes.
//! The others go on, and whoever comes back is clean, or fenced and gone.

use coffer::store::Engine;
use serde_json::json;

use crate::ledger::load::Told;
use crate::support::cluster::{Cluster, Start};

const SECRET: &str = "/secrets/payments/prod/one";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_stopped_while_it_holds_the_world_delays_writes_alone() {
    let (cluster, a, b) = Cluster::with_two().await;
    let told = Told::default();
    cluster.set(&a, "payments/prod/one", "0").await;
    a.arm("after head=stop");
    let call = a.put(SECRET, json!({ "fields": { "v": "a" } }), &cluster.root);
    let of_a = tokio::spawn(async move { call.await });
    a.stopped().await;
    let call = b.put(
        "/secrets/payments/prod/two",
        json!({ "fields": { "v": "b" } }),
        &cluster.root,
    );
    let of_b = tokio::spawn(async move { call.await });
    let mut reads = 0;
    while !of_b.is_finished() {
        let read = b.get(SECRET, &cluster.root).await;
        told.note(&read);
        assert_eq!(read.is(200).json()["fields"]["v"], "0");
        reads += 1;
    }
    assert!(reads > 0, "reads go on while a write waits");
    let written = of_b.await.expect("no panic");
    told.note(&written);
    written.is(201);
    a.go_on();
    let written = of_a.await.expect("no panic");
    told.note(&written);
    assert!(matches!(written.status(), 200 | 503), "{}", written.text());
    a.met("after head").await;
    let value = if written.status() == 200 { "a" } else { "0" };
    assert_eq!(cluster.value(&b, "payments/prod/one").await, value);
    assert_eq!(cluster.value(&a, "payments/prod/two").await, "b");
    told.is_in(&cluster.bundle(&a).await);
    told.is_in(&cluster.bundle(&b).await);
    cluster.check().await;
}

/// Somebody takes the stream of a node that stands before it sends a batch of reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_overtakes_a_batch_of_reads_leaves_nothing_of_it() {
    overtaken("before head=stop", 503).await;
}

/// The same, but the batch was stored, and only its answer was lost: it is found by its own lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_stored_before_its_stream_was_lost_is_answered() {
    overtaken("after commit=stop,commit reported failed=fail", 200).await;
}

async fn overtaken(points: &str, status: u16) {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    cluster.set(&a, "payments/prod/one", "1").await;
    cluster.value(&a, "payments/prod/one").await;
    a.arm(points);
    let call = a.get(SECRET, &cluster.root);
    let call = tokio::spawn(async move { call.await });
    a.stopped().await;
    let sizes = "SELECT CAST(SUM(size) AS BIGINT) FROM stream";
    let before = cluster.number(sizes).await;
    let start = Start {
        state: Some("other"),
        ..Start::default()
    };
    let other = cluster.start_with("a", start).await;
    a.go_on();
    let answer = call.await.expect("no panic");
    let told = Told::default();
    told.note(&answer);
    assert_eq!(answer.status(), status, "{}", answer.text());
    let id = answer.header("x-request-id").expect("an id").to_owned();
    let ended = a.ended().await;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let records = cluster.bundle(&other).await;
    told.is_in(&records);
    let found = records
        .all()
        .iter()
        .filter(|record| record.text("id") == Some(&*id))
        .count();
    assert_eq!(found, usize::from(status == 200));
    let segments = "SELECT CAST(SUM(count) AS BIGINT) FROM segment";
    assert_eq!(cluster.number(segments).await, cluster.number(sizes).await);
    assert!(cluster.number(sizes).await > before);
    cluster.check().await;
}
