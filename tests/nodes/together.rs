//! Two nodes on one PostgreSQL: each with its own stream, and what one answered holds on the other.

use coffer::store::Engine;
use coffer_audit_log::{VerifierKey, verify};
use serde_json::json;

use super::alone::make_place;
use crate::support::client::Token;
use crate::support::eventually;
use crate::support::node::{Cluster, Node};

const STRIPE: &str = "/secrets/payments/prod/stripe";

async fn two() -> (Cluster, Node, Node) {
    let c = Cluster::new(Engine::Postgres).await;
    let (a, b) = (c.node("a").await, c.node("b").await);
    assert_ne!(a.process(), b.process(), "two processes");
    make_place(&a, &c).await;
    (c, a, b)
}

async fn child(node: &Node, scopes: &[&str], maker: &Token) -> Token {
    let asked = json!({ "scopes": scopes, "ttl": 3600 });
    let made = node.post("/tokens", asked, maker).await.is(201).json();
    let text = |key: &str| made[key].as_str().expect("text").to_owned();
    Token {
        text: text("token"),
        id: text("id"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_on_one_node_is_read_on_the_other_from_then_on() {
    let (c, a, b) = two().await;
    for version in 1..=50_u64 {
        let (writer, reader) = if version % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let body = json!({ "fields": { "a": version.to_string() } });
        assert_eq!(
            writer.put(STRIPE, body, &c.root).await.json()["version"],
            version
        );
        let read = reader.get(STRIPE, &c.root).await.is(200).json();
        assert_eq!(
            read["version"], version,
            "never older than what was answered"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_on_one_node_holds_on_the_other_from_then_on() {
    let (c, a, b) = two().await;
    a.put(STRIPE, json!({ "fields": { "a": "1" } }), &c.root)
        .await
        .is(201);
    for _ in 0..20 {
        let token = child(&a, &["read,write:payments/prod/**"], &c.root).await;
        b.get(STRIPE, &token).await.is(200);
        a.delete(&format!("/tokens/{}", token.id), &c.root)
            .await
            .is(204);
        b.get(STRIPE, &token).await.is_problem(401, "token-revoked");
        b.put(STRIPE, json!({ "fields": { "a": "2" } }), &token)
            .await
            .is_problem(401, "token-revoked");
    }
    assert_eq!(a.get(STRIPE, &c.root).await.is(200).json()["version"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_makes_the_same_thing_and_the_other_is_told() {
    let (c, a, b) = two().await;
    for number in 0..10 {
        let make = |node: &Node| {
            let body = json!({ "fields": { "a": "1" } });
            node.put(
                &format!("/secrets/payments/prod/s{number}?if_version=0"),
                body,
                &c.root,
            )
        };
        let (one, other) = tokio::join!(make(&a).sent(), make(&b).sent());
        let mut statuses = [one, other].map(|answer| answer.expect("both answer").status());
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 412]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_of_two_streams_verifies() {
    let (c, a, b) = two().await;
    for node in [&a, &b] {
        node.put(STRIPE, json!({ "fields": { "a": "1" } }), &c.root)
            .await;
    }
    let key = a.get("/audit/key", &c.root).await.is(200).json();
    let key: VerifierKey = key["key"]
        .as_str()
        .and_then(|key| key.parse().ok())
        .expect("a key");
    for node in [&a, &b] {
        let bundle = node.get("/audit/bundle", &c.root).await.is(200);
        let report = verify(bundle.bytes(), &key).expect("it verifies");
        assert_eq!(report.streams.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_keeps_nobody_from_reading_and_writing() {
    let (c, a, b) = two().await;
    a.put(STRIPE, json!({ "fields": { "a": "1" } }), &c.root)
        .await
        .is(201);
    a.stand_still();
    for _ in 0..5 {
        b.get(STRIPE, &c.root).await.is(200);
    }
    let body = || json!({ "fields": { "a": "2" } });
    eventually("a write while another node stands still", || async {
        (b.put(STRIPE, body(), &c.root).await.status() == 200).then_some(())
    })
    .await;
    a.go_on();
    let read = eventually("the node is back, or has ended", || async {
        a.get(STRIPE, &c.root)
            .sent()
            .await
            .ok()
            .filter(|answer| answer.status() != 503)
    });
    assert_eq!(
        read.await.is(200).json()["fields"]["a"],
        "2",
        "nothing old is served"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_living_node_rotates_what_the_killed_one_would_have() {
    let (c, a, b) = two().await;
    a.put(
        "/rotations/payments/prod/stripe",
        json!({ "every": 3600 }),
        &c.root,
    )
    .await
    .is(201);
    a.kill();
    c.set_clock(coffer::model::Ttl::seconds(3601));
    eventually("the rotation", || async {
        let read = b.get(STRIPE, &c.root).await.is(200).json();
        (read["version"] == 2).then_some(())
    })
    .await;
    let log = b.get("/audit/export", &c.root).await.is(200).text();
    let rotated =
        |line: &&str| line.contains("system/scheduler") && line.contains("payments/prod/stripe");
    assert_eq!(log.lines().filter(rotated).count(), 1);
}
