//! A token is revoked on one node while another decides something with it: it is decided again and refused, and nothing
//! lands after the answer.

use coffer::store::Engine;
use reqwest::Method;
use serde_json::json;

use crate::support::client::Token;
use crate::support::cluster::{Cluster, ask};
use crate::support::node::Node;

const SECRET: &str = "/secrets/payments/prod/late";

/// What is on its way on A while B revokes.
#[derive(Clone, Copy)]
enum Late {
    Write,
    Child,
    Read,
}

/// Tokens stored as children of this one.
async fn children(cluster: &Cluster, token: &Token) -> i64 {
    let id = token.id.replace('-', "");
    cluster
        .number(&format!(
            "SELECT COUNT(*) FROM document WHERE space = '\\x{id}'"
        ))
        .await
}

/// Revokes `revoked` on B while A has decided with `used`.
async fn late(
    cluster: &Cluster,
    (a, b): (&Node, &Node),
    late: Late,
    used: &Token,
    revoked: &Token,
) {
    // The grant lies in A's cache, and A has nothing else on its way.
    a.call(Method::GET, "/tokens/self").by(used).await.is(200);
    a.arm("decided=stop");
    let call = match late {
        Late::Write => a.put(SECRET, json!({ "fields": { "v": "late" } }), used),
        Late::Child => a.post("/tokens", ask("read:payments/prod/**"), used),
        Late::Read => a.get("/secrets/payments/prod/there", used),
    };
    let call = tokio::spawn(async move { call.await });
    a.stopped().await;
    let path = format!("/tokens/{}", revoked.id);
    let answered = b.delete(&path, &cluster.root).await;
    assert!(
        matches!(answered.status(), 200 | 204),
        "{}",
        answered.text()
    );
    let before = children(cluster, used).await;
    a.go_on();
    let answer = call.await.expect("no panic");
    answer.is_problem(401, "token-revoked");
    assert_eq!(
        children(cluster, used).await,
        before,
        "nothing lands after the answer"
    );
    b.get(SECRET, &cluster.root)
        .await
        .is_problem(404, "not-found");
    a.get(SECRET, &cluster.root)
        .await
        .is_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_revoked_on_another_node_while_something_is_decided_with_it() {
    let (cluster, a, b) = Cluster::with_two().await;
    assert_eq!(cluster.engine, Engine::Postgres);
    cluster.set(&a, "payments/prod/there", "1").await;
    let scopes = "read,write:payments/prod/**";
    for kind in [Late::Write, Late::Child, Late::Read] {
        let token = cluster.child(&a, &cluster.root, scopes).await;
        late(&cluster, (&a, &b), kind, &token, &token).await;
        // Its ancestor ends it as well.
        let parent = cluster.child(&a, &cluster.root, scopes).await;
        let token = cluster.child(&a, &parent, scopes).await;
        late(&cluster, (&a, &b), kind, &token, &parent).await;
    }
    a.met("decided").await;
    let records = cluster.bundle(&b).await;
    let refused = |action, resource| records.count("-", action, resource, "refused: token-revoked");
    assert_eq!(refused("write", "payments/prod/late"), 2);
    assert_eq!(refused("read", "payments/prod/there"), 2);
    assert_eq!(
        records.count("app/root", "write", "payments/prod/late", "allowed"),
        0
    );
    cluster.check().await;
}
