//! Two nodes make the same thing at once, or the last that there may be: one wins, and the other hears why.

use coffer::model::Token;
use serde_json::json;

use crate::support::cluster::{Cluster, ask};

const ROUNDS: usize = 12;

/// The two answers, the better first.
async fn both(
    first: crate::support::client::Call,
    second: crate::support::client::Call,
) -> [crate::support::client::Answer; 2] {
    let (first, second) = tokio::join!(first.into_future(), second.into_future());
    if first.status() < second.status() {
        [first, second]
    } else {
        [second, first]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_make_the_same_environment_and_the_same_path() {
    let (cluster, a, b) = Cluster::with_two().await;
    for round in 0..ROUNDS {
        let body = json!({ "name": format!("e{round}") });
        let path = "/projects/payments/environments";
        let [won, lost] = both(
            a.post(path, body.clone(), &cluster.root),
            b.post(path, body, &cluster.root),
        )
        .await;
        won.is(201);
        assert_eq!(lost.status(), 409, "{}", lost.text());
        let path = format!("/secrets/payments/e{round}/same?if_version=0");
        let body = |value: &str| json!({ "fields": { "v": value } });
        let [won, lost] = both(
            a.put(&path, body("a"), &cluster.root),
            b.put(&path, body("b"), &cluster.root),
        )
        .await;
        won.is(201);
        lost.is_problem(412, "precondition-failed");
        let secret = format!("payments/e{round}/same");
        assert_eq!(
            cluster.value(&a, &secret).await,
            cluster.value(&b, &secret).await
        );
        assert_eq!(cluster.version(&b, &secret).await, 1);
    }
    cluster.bundle(&a).await;
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_make_the_last_allowed_child() {
    let (cluster, a, b) = Cluster::with_two().await;
    let parent = cluster
        .child(&a, &cluster.root, "read:payments/prod/**")
        .await;
    // They are counted by row, not opened: as many as are allowed, but one.
    cluster
        .alter(&format!(
            "INSERT INTO document (kind, id, space, name, grave, due, sealed)
             SELECT kind, decode(lpad(to_hex(n), 32, '0'), 'hex'), '\\x{}', 'x' || n, grave, {}, sealed
             FROM document, generate_series(1, {}) n WHERE id = '\\x{}'",
            parent.id.replace('-', ""),
            i64::MAX,
            Token::CHILDREN_MAX - 1,
            parent.id.replace('-', "")
        ))
        .await;
    let body = || ask("read:payments/prod/**");
    let [won, lost] = both(
        a.post("/tokens", body(), &parent),
        b.post("/tokens", body(), &parent),
    )
    .await;
    won.is(201);
    lost.is_problem(409, "too-many-children");
    a.post("/tokens", body(), &parent)
        .await
        .is_problem(409, "too-many-children");
    b.post("/tokens", body(), &parent)
        .await
        .is_problem(409, "too-many-children");
    cluster.bundle(&a).await;
}
