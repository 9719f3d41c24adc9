//! Connections to PostgreSQL that are cut, held or answered into nothing, at the moments that matter.
//! Whatever a client was told is true; what it was not told has happened whole, or not at all.

use coffer::store::Engine;
use serde_json::json;

use super::alone::make_place;
use crate::support::eventually;
use crate::support::node::{Cluster, Node, Setup};
use crate::support::proxy::{Mode, Proxy};

const STRIPE: &str = "/secrets/payments/prod/stripe";

/// A node behind a proxy.
async fn behind_a_proxy() -> (Cluster, Proxy, Node) {
    let c = Cluster::new(Engine::Postgres).await;
    let (proxy, database) = Proxy::before(&c.database).await;
    let setup = Setup {
        database: Some(database),
        ..Setup::default()
    };
    let node = c.node_with("a", setup).await;
    make_place(&node, &c).await;
    node.put(STRIPE, json!({ "fields": { "a": "1" } }), &c.root)
        .await
        .is(201);
    (c, proxy, node)
}

/// Waits until the node records again, and gives the version that is read and the writes that are recorded.
async fn settled(c: &Cluster, node: &Node) -> (u64, u64) {
    let read = eventually("the node records again", || async {
        node.get(STRIPE, &c.root)
            .sent()
            .await
            .ok()
            .filter(|answer| answer.status() == 200)
    });
    let version = read.await.json()["version"].as_u64().expect("a number");
    let log = node.get("/audit/export", &c.root).await.is(200).text();
    let written = |line: &&str| {
        line.contains(r#""action":"write""#) && line.contains(r#""verdict":"allowed""#)
    };
    (version, log.lines().filter(written).count() as u64)
}

/// A write while the connection is lost at a moment: what it answered, and what is there afterwards.
async fn lost_at(moment: impl FnOnce(&Proxy), mode: Mode) {
    let (c, proxy, node) = behind_a_proxy().await;
    moment(&proxy);
    let body = json!({ "fields": { "a": "2" } });
    let writing = node.put(STRIPE, body, &c.root);
    let (answer, ()) = tokio::join!(writing.sent(), async {
        proxy.reached(mode).await;
        proxy.set(Mode::Cut);
        proxy.set(Mode::Pass);
    });
    let status = answer.expect("it is answered").status();
    let (version, recorded) = settled(&c, &node).await;
    assert_eq!(
        version, recorded,
        "a change and its record are there together"
    );
    match status {
        200 => assert_eq!(version, 2, "what was acknowledged is there"),
        503 => assert!(
            (1..=2).contains(&version),
            "it has happened once, or not at all"
        ),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_before_commit_arrives() {
    lost_at(|proxy| proxy.set_before("COMMIT", Mode::Cut), Mode::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_while_commit_is_answered() {
    lost_at(
        |proxy| proxy.set_after("COMMIT", Mode::SwallowAnswers),
        Mode::SwallowAnswers,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_with_commit_on_its_way() {
    lost_at(|proxy| proxy.set_before("COMMIT", Mode::Hold), Mode::Hold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_before_the_head_moves() {
    lost_at(
        |proxy| proxy.set_before("UPDATE world SET mark", Mode::Cut),
        Mode::Cut,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_served_from_memory_while_nothing_can_be_recorded() {
    let (c, proxy, node) = behind_a_proxy().await;
    let etag = node.get(STRIPE, &c.root).await.is(200).etag();
    proxy.set(Mode::Cut);
    node.get(STRIPE, &c.root)
        .await
        .is_problem(503, "unavailable");
    node.get(STRIPE, &c.root)
        .header("if-none-match", &etag)
        .await
        .is_problem(503, "unavailable");
    proxy.set(Mode::Pass);
    let (version, recorded) = settled(&c, &node).await;
    assert_eq!((version, recorded), (1, 1));
}
