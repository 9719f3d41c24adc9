//! A bundle is exported while all nodes write: it verifies, by Coffer's own verifier and by the independent one, and holds
//! what was answered before it was asked for.

use std::process::Command;

use crate::ledger::load::{Load, Told, holds};
use crate::support::client::{Answer, Client};
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::node::{Node, text};
use crate::support::records::Records;

const ROUNDS: usize = 8;

/// A bundle asked for on this node, verified.
async fn bundle(cluster: &Cluster, node: &Node, key: &str) -> Answer {
    let bundle = node.get("/audit/bundle", &cluster.root).await.is(200);
    let verifier = key.parse().expect("a key");
    let report = coffer_audit_log::verify(bundle.bytes(), &verifier).expect("it verifies");
    assert_eq!(report.streams.len(), 2);
    bundle
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_exported_while_all_nodes_write_verifies() {
    let (cluster, a, b) = Cluster::with_two().await;
    let key = a.get("/audit/key", &cluster.root).await.is(200).json();
    let key = key["key"].as_str().expect("text");
    let loads = [
        Load::start(&cluster, &a, "a", 6),
        Load::start(&cluster, &b, "b", 6),
    ];
    let busy = || async {
        loads
            .iter()
            .all(|load| load.told.count() > 40)
            .then_some(())
    };
    eventually("both are at work", busy).await;
    let mut last = String::new();
    for round in 0..ROUNDS {
        let node = [&a, &b][round % 2];
        let before = loads.iter().map(|load| load.told.count()).sum::<usize>();
        // A write that was answered by the other node is in it.
        let told = Told::default();
        let read = Client::get([&b, &a][round % 2], "/tokens/self", &cluster.root).await;
        told.note(&read.is(200));
        let bundle = bundle(&cluster, node, key).await;
        told.is_in(&Records::of_bundle(&bundle.text()));
        // The newest records and the lines alone stop at their heads as well.
        let newest = node
            .get("/audit/records?limit=50", &cluster.root)
            .await
            .is(200);
        assert_eq!(newest.text().lines().count(), 50);
        node.get("/audit/export", &cluster.root).await.is(200);
        assert!(
            loads.iter().map(|load| load.told.count()).sum::<usize>() > before,
            "they went on"
        );
        last = bundle.text();
    }
    for (load, node) in loads.into_iter().zip([&a, &b]) {
        let (told, written) = load.end().await;
        holds(&cluster, node, &told, &written).await;
    }
    cluster.check().await;
    let file = cluster.path("last.bundle");
    std::fs::write(&file, last).expect("a file");
    // `scripts/test` makes a Python with what the verifier needs; a plain one may have it too.
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python");
    let python = if std::path::Path::new(own).exists() {
        own
    } else {
        "python3"
    };
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/verify_bundle.py"
    );
    let verified = Command::new(python)
        .arg(script)
        .arg(&file)
        .arg(key)
        .output();
    let verified = verified.expect("there is a Python");
    assert!(verified.status.success(), "{}", text(&verified.stderr));
}
