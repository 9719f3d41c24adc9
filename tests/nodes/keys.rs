//! Terms of an environment's key end on one node while another writes: no write is lost under a term that is gone. And
//! what a killed node has begun to encrypt anew, another one ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::client::Client;
use crate::support::cluster::{Cluster, on_both};

const KEYS: &str = "/keys/payments/prod";
const TERMS: u32 = 8;
const WRITERS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_decided_under_a_term_that_is_destroyed_meanwhile_is_kept() {
    let (cluster, a, b) = Cluster::with_two().await;
    let root = &cluster.root;
    // Its places lie in A's cache, with the key that goes.
    a.get(KEYS, root).await.is(200);
    a.arm("decided=stop");
    let write = json!({ "fields": { "v": "late" } });
    let call = a.put("/secrets/payments/prod/late", write, root);
    let call = tokio::spawn(async move { call.await });
    a.stopped().await;
    b.post(&format!("{KEYS}/rotate"), json!({}), root)
        .await
        .is(200);
    b.post(&format!("{KEYS}/destroy"), json!({ "term": 1 }), root)
        .await
        .is(200);
    a.go_on();
    call.await.expect("no panic").is(201);
    for node in [&a, &b] {
        assert_eq!(cluster.value(node, "payments/prod/late").await, "late");
        let terms = node.get(KEYS, root).await.is(200).json()["terms"].clone();
        assert_eq!(terms[0]["state"], "destroyed");
        assert_eq!(terms[1]["versions"], 1);
    }
    a.met("decided").await;
    cluster.bundle(&b).await;
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_decided_before_a_reencryption_moves_no_old_data_key() {
    let (cluster, a, b) = Cluster::with_two().await;
    let root = &cluster.root;
    for secret in 0..6 {
        cluster
            .set(&a, &format!("payments/prod/s{secret}"), "1")
            .await;
    }
    a.post(&format!("{KEYS}/rotate"), json!({}), root)
        .await
        .is(200);
    cluster
        .alter("CREATE SCHEMA kept; CREATE TABLE kept.version AS TABLE version")
        .await;
    a.arm("decided=stop");
    let call = a.post(&format!("{KEYS}/rewrap"), json!({}), root);
    let call = tokio::spawn(async move { call.await });
    a.stopped().await;
    b.post(&format!("{KEYS}/reencrypt"), json!({}), root)
        .await
        .is(200);
    a.go_on();
    let keys = call.await.expect("no panic").is(200).json();
    let versions = |at: usize| keys["terms"][at]["versions"].clone();
    assert_eq!([versions(0), versions(1), versions(2)], [0, 0, 6], "{keys}");
    let same = "SELECT COUNT(*) FROM version v JOIN kept.version k
        ON v.id = k.id OR v.sealed = k.sealed OR v.wrapped = k.wrapped";
    assert_eq!(cluster.number(same).await, 0, "something is as it was");
    for secret in 0..6 {
        let secret = format!("payments/prod/s{secret}");
        assert_eq!(cluster.value(&a, &secret).await, "1");
    }
    a.met("decided").await;
    cluster.check().await;
}

/// Versions of each secret: together more than two decisions take.
const VERSIONS: u32 = 15;
const SECRETS: u32 = 30;

on_both! {
    async fn a_reencryption_whose_node_is_killed_goes_on(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        let root = &cluster.root;
        for version in 1..=VERSIONS {
            for secret in 0..SECRETS {
                cluster.set(&a, &format!("payments/prod/s{secret}"), format!("{secret}.{version}")).await;
            }
        }
        let all = VERSIONS * SECRETS;
        // It is begun, and one step of three is done.
        a.arm("after commit=kill:1");
        let reencrypt = format!("{KEYS}/reencrypt");
        a.post(&reencrypt, json!({}), root).sent().await.expect_err("it is killed");
        assert_eq!(a.ended().await.code, None);
        a.met("after commit").await;
        let other = match engine {
            coffer::store::Engine::Postgres => "b",
            coffer::store::Engine::Sqlite => "a",
        };
        let b = cluster.start(other).await;
        let terms = b.get(KEYS, root).await.is(200).json()["terms"].clone();
        let left = terms[0]["versions"].as_u64().expect("a number");
        assert!(0 < left && left < u64::from(all), "{terms}");
        // A rewrap would take old data keys for new ones.
        b.post(&format!("{KEYS}/rewrap"), json!({}), root).await.is_problem(409, "reencrypting");
        cluster.set(&b, "payments/prod/s0", "newer").await;
        // Another term meanwhile is in nobody's way.
        b.post(&format!("{KEYS}/rotate"), json!({}), root).await.is(200);
        let terms = b.post(&reencrypt, json!({}), root).await.is(200).json()["terms"].clone();
        assert_eq!(terms.as_array().map(Vec::len), Some(3), "it was not begun anew: {terms}");
        assert_eq!([&terms[0]["versions"], &terms[2]["versions"]], [&json!(0), &json!(left)], "{terms}");
        for version in 1..=VERSIONS {
            for secret in 0..SECRETS {
                let path = format!("/secrets/payments/prod/s{secret}?version={version}");
                let read = b.get(&path, root).await.is(200).json();
                assert_eq!(read["fields"]["v"], format!("{secret}.{version}"));
            }
        }
        assert_eq!(cluster.value(&b, "payments/prod/s0").await, "newer");
        assert_eq!(b.end().await.code, Some(0));
        cluster.check().await;
    }
}

/// Writes rising numbers until told to stop; what was written last.
async fn write(
    client: Client,
    root: crate::support::client::Token,
    name: usize,
    done: Arc<AtomicBool>,
) -> u64 {
    let path = format!("/secrets/payments/prod/w{name}");
    let mut number = 0;
    while !done.load(Ordering::SeqCst) {
        number += 1;
        let body = json!({ "fields": { "v": number.to_string() } });
        let written = client.put(&path, body, &root).await;
        assert!(matches!(written.status(), 200 | 201), "{}", written.text());
        let read = client.get(&path, &root).await.is(200).json();
        assert_eq!(read["fields"]["v"], number.to_string());
    }
    number
}

on_both! {
    async fn terms_end_while_others_write(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        let b = match engine {
            coffer::store::Engine::Postgres => Some(cluster.start("b").await),
            coffer::store::Engine::Sqlite => None,
        };
        let other = b.as_ref().unwrap_or(&a);
        let root = &cluster.root;
        let done = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS).map(|name| {
            let node = if name % 2 == 0 { &a } else { other };
            tokio::spawn(write(Client::clone(node), root.clone(), name, Arc::clone(&done)))
        }).collect();
        for term in 1..=TERMS {
            // Each of the two begins one term. What is old by then moves; nothing becomes old again.
            let verbs: &[&str] = if term % 2 == 0 { &["reencrypt"] } else { &["rotate", "rewrap"] };
            for verb in verbs {
                other.post(&format!("{KEYS}/{verb}"), json!({}), root).await.is(200);
            }
            other.post(&format!("{KEYS}/destroy"), json!({ "term": term }), root).await.is(200);
        }
        done.store(true, Ordering::SeqCst);
        for (name, writer) in writers.into_iter().enumerate() {
            let last = writer.await.expect("every write is answered");
            let path = format!("/secrets/payments/prod/w{name}");
            for version in 1..=last.min(50) {
                let at = last + 1 - version;
                let read = a.get(&format!("{path}?version={at}"), root).await.is(200).json();
                assert_eq!(read["fields"]["v"], at.to_string());
            }
        }
        cluster.bundle(&a).await;
        if let Some(b) = b {
            assert_eq!(b.end().await.code, Some(0));
        }
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}
