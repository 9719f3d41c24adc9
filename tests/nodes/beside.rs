//! Reads beside a node that writes as fast as it can: nothing is locked, and nobody is sent back twice.
//! An attempt is counted where it is made, by points that print each time they are passed.

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::node::Node;

/// Who writes at a time, the first two of them the secret that is read.
const WRITERS: usize = 4;
const WRITES: usize = 100;

/// Points of a read that was sent back once, and of one that was sent back after that.
const SENT_BACK: &str = "sent back";
const SENT_BACK_AGAIN: &str = "sent back again";

/// Writes to a node as fast as it can.
fn writing(cluster: &Cluster, b: &Node) -> JoinSet<()> {
    let mut writing = JoinSet::new();
    for number in 0..WRITERS {
        let (client, root) = (Client::clone(b), cluster.root.clone());
        let secret = match number {
            0 | 1 => "one".to_owned(),
            _ => format!("w{number}"),
        };
        writing.spawn(async move {
            let path = format!("/secrets/payments/prod/{secret}");
            for count in 0..WRITES {
                let body = json!({ "fields": { "v": count.to_string() } });
                let written = client.put(&path, body, &root).await;
                assert!(matches!(written.status(), 200 | 201), "{}", written.text());
            }
        });
    }
    writing
}

/// Whether writers are still at it.
fn goes_on(writing: &mut JoinSet<()>) -> bool {
    while let Some(done) = writing.try_join_next() {
        done.expect("no panic");
    }
    !writing.is_empty()
}

/// Two nodes, and the two secrets, on which A's attempts are counted.
async fn counted(points: &str) -> (Cluster, Node, Node) {
    let (cluster, a, b) = Cluster::with_two().await;
    for secret in ["payments/prod/one", "payments/prod/other"] {
        cluster.set(&b, secret, "1").await;
    }
    let all = u32::MAX;
    a.arm(&format!(
        "{SENT_BACK}=plant:0:{all},{SENT_BACK_AGAIN}=plant:0:{all}{points}"
    ));
    (cluster, a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_while_another_node_writes_as_fast_as_it_can() {
    let (cluster, a, b) = counted("").await;
    let mut writing = writing(&cluster, &b);
    let mut reads = 0;
    let mut last = 0;
    while goes_on(&mut writing) {
        assert_eq!(cluster.value(&a, "payments/prod/other").await, "1");
        let version = cluster.version(&a, "payments/prod/one").await;
        assert!(version >= last, "a read goes back");
        (last, reads) = (version, reads + 1);
    }
    assert!(reads > 10 && last > 1, "{reads} reads up to {last}");
    cluster.bundle(&a).await;
    cluster.check().await;
    let counted = a.metrics().await;
    let again = |how: &str| {
        counted.value(&format!(
            "coffer_ledger_decided_again_total{{how=\"{how}\"}}"
        ))
    };
    let linked = ["statements", "statement_records"]
        .map(|what| counted.value(&format!("coffer_ledger_second_{what}_total")));
    assert!(linked[0] > 0.0 && linked[1] >= linked[0], "{linked:?}");
    // Once it has ended, everything that it printed was heard.
    a.kill().await;
    assert!(a.hits(SENT_BACK) > 0, "no read met a write");
    assert_eq!(
        (again("sent-back"), again("sent-back-again")),
        (a.hits(SENT_BACK) as f64, 0.0)
    );
    assert_eq!(a.hits(SENT_BACK_AGAIN), 0, "two attempts are enough");
}

/// The rule above finds a read that does not rest on its snapshot alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_doubted_is_found() {
    let (cluster, a, b) = counted(",a snapshot doubted=plant").await;
    let mut writing = writing(&cluster, &b);
    while goes_on(&mut writing) && a.hits(SENT_BACK_AGAIN) == 0 {
        // Sent back too often it is told to come back.
        a.get("/secrets/payments/prod/one", &cluster.root).await;
    }
    a.kill().await;
    assert!(a.hits(SENT_BACK_AGAIN) > 0, "nobody was sent back twice");
}
