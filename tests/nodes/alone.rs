//! One built server: founded, started, killed, refused; on either database.

use coffer::model::Ttl;
use coffer::store::Engine;
use serde_json::json;

use crate::support::eventually;
use crate::support::node::{Cluster, Setup, said};

const STRIPE: &str = "/secrets/payments/prod/stripe";

/// Makes `payments/prod` on a node.
pub(super) async fn make_place(node: &crate::support::node::Node, cluster: &Cluster) {
    let root = &cluster.root;
    node.post("/projects", json!({ "name": "payments" }), root)
        .await
        .is(201);
    node.post(
        "/projects/payments/environments",
        json!({ "name": "prod" }),
        root,
    )
    .await
    .is(201);
}

/// Two tests of a story about built servers, one for each database.
macro_rules! both_engines {
    ($(async fn $name:ident($cluster:ident: Cluster) $body:block)+) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                story(Cluster::new(Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                story(Cluster::new(Engine::Postgres).await).await;
            }

            async fn story($cluster: Cluster) $body
        }
    )+};
}

both_engines! {
    async fn what_was_answered_survives_a_kill(c: Cluster) {
        let node = c.node("a").await;
        make_place(&node, &c).await;
        for version in 1..=5 {
            let body = json!({ "fields": { "a": version.to_string() } });
            let written = node.put(STRIPE, body, &c.root).await;
            assert_eq!(written.json()["version"], version);
        }
        let before = node.process();
        node.kill();
        let node = c.node("a").await;
        assert_ne!(node.process(), before);
        assert_eq!(node.get(STRIPE, &c.root).await.is(200).json()["fields"]["a"], "5");
        let log = node.get("/audit/export", &c.root).await.is(200).text();
        assert_eq!(log.matches(r#""action":"write""#).count(), 5);
        assert!(node.stop().await.success());
        let checked = c.run("check");
        assert!(checked.status.success(), "{}", said(&checked));
    }

    async fn a_cluster_is_founded_once(c: Cluster) {
        let again = c.run("init");
        assert!(!again.status.success());
        let node = c.node("a").await;
        node.get("/tokens/self", &c.root).await.is(200);
    }

    async fn a_value_rotates_by_the_clock_of_a_built_server(c: Cluster) {
        let node = c.node("a").await;
        make_place(&node, &c).await;
        node.put("/rotations/payments/prod/stripe", json!({ "every": 3600, "grace": 600 }), &c.root).await.is(201);
        let old = node.get(STRIPE, &c.root).await.is(200).json()["fields"].clone();
        let version = || async { node.get(STRIPE, &c.root).await.is(200).json()["version"].as_u64() };
        assert_eq!(version().await, Some(1));
        c.set_clock(Ttl::seconds(3601));
        eventually("the rotation", || async { version().await.filter(|version| *version == 2) }).await;
        let previous = node.get(&format!("{STRIPE}?previous=true"), &c.root).await.is(200).json();
        assert_eq!(previous["fields"], old);
        c.set_clock(Ttl::seconds(3601 + 660));
        node.get(&format!("{STRIPE}?previous=true"), &c.root).await.is_problem(404, "not-found");
        let log = node.get("/audit/export", &c.root).await.is(200).text();
        assert_eq!(log.matches(r#""principal":"system/scheduler","request""#).count(), log.matches("system/scheduler").count());
        assert_eq!(log.lines().filter(|line| line.contains("system/scheduler") && line.contains("payments/prod/stripe")).count(), 1);
    }

    async fn a_clock_that_stands_back_is_refused_unless_it_is_accepted(c: Cluster) {
        c.set_clock(Ttl::seconds(3600));
        let node = c.node("a").await;
        make_place(&node, &c).await;
        assert!(node.stop().await.success());
        c.set_clock(Ttl::seconds(0));
        let (status, said) = c.refused("a", Setup::default()).await;
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("--accept-clock"), "{said}");
        let accepting = Setup { arguments: vec!["--accept-clock"], ..Setup::default() };
        let node = c.node_with("a", accepting).await;
        let log = node.get("/audit/export", &c.root).await.is(200).text();
        assert!(log.contains("clock-accepted"), "it is recorded");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_a_sqlite_file_is_refused() {
    let c = Cluster::new(Engine::Sqlite).await;
    let _node = c.node("a").await;
    let (status, said) = c.refused("b", Setup::default()).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("Another process uses this database"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_with_the_same_state_directory_is_refused() {
    let c = Cluster::new(Engine::Postgres).await;
    let node = c.node("a").await;
    let (status, said) = c.refused("a", Setup::default()).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("coffer-server: "), "{said}");
    node.get("/tokens/self", &c.root).await.is(200);
}
