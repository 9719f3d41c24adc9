//! A write that is sent to two nodes under one key is done by one of them, and answered alike by both.

use serde_json::json;

use crate::support::client::{Call, Client};
use crate::support::cluster::Cluster;

const NAME: &str = "payments/prod/once";

fn set(node: &Client, cluster: &Cluster, key: &str) -> Call {
    let body = json!({ "fields": { "v": "1" } });
    let call = node.put(&format!("/secrets/{NAME}"), body, &cluster.root);
    call.header("idempotency-key", key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_used_on_two_nodes_is_used_once() {
    let (cluster, a, b) = Cluster::with_two().await;
    // Decided on A, and not stored yet, while B does it. Two orphans have nothing in common but the key.
    let orphan = |node: &Client| {
        let body = json!({ "scopes": ["read:payments/**"], "ttl": 60, "orphan": true });
        let call = node.post("/tokens", body, &cluster.root);
        call.header("idempotency-key", "k")
    };
    a.arm("decided=stop");
    let call = orphan(&a);
    let call = tokio::spawn(async move { call.await });
    a.stopped().await;
    let made = orphan(&b).await.is(201).json();
    a.go_on();
    let again = call.await.expect("no panic").is_problem(409, "token-shown");
    a.met("decided").await;
    assert!(again.detail().contains(made["id"].as_str().expect("text")));
    let tokens = a.get("/tokens", &cluster.root).await.is(200).json();
    assert_eq!(tokens["tokens"].as_array().map(Vec::len), Some(2));
    // And at once, as it comes.
    cluster.set(&a, NAME, "0").await;
    for round in 2..12u64 {
        let key = format!("round-{round}");
        let (one, two) = (set(&a, &cluster, &key), set(&b, &cluster, &key));
        let (one, two) = tokio::join!(one.into_future(), two.into_future());
        let (one, two) = (one.is(200), two.is(200));
        assert_eq!(one.json()["version"], round);
        assert_eq!((one.bytes(), one.etag()), (two.bytes(), two.etag()));
        let repeats = [&one, &two].map(|answer| answer.header("idempotency-replayed").is_some());
        assert_ne!(repeats[0], repeats[1]);
    }
    assert_eq!(cluster.version(&a, NAME).await, 11);
    let records = cluster.bundle(&b).await;
    assert_eq!(records.count("app/root", "write", NAME, "allowed"), 21);
    cluster.check().await;
}
