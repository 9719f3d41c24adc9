//! SQLite's write-ahead log is copied back beside the writers. When that fails, what is there is served, the operator can see
//! it, and the next look copies.

use coffer::store::Engine;

use crate::support::cluster::{Cluster, Start};
use crate::support::eventually;

/// Of the longest values that there are, so many that the log has to be copied.
const WRITES: usize = 80;
const VALUE: usize = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_not_copied_is_counted_and_copied_later() {
    let cluster = Cluster::new(Engine::Sqlite).await;
    let start = Start {
        points: "log not copied yet=fail",
        ..Start::default()
    };
    let a = cluster.start_with("a", start).await;
    cluster.place(&a, "payments/prod").await;
    let copies = |outcome: &str| format!("coffer_sqlite_log_copies_total{{outcome=\"{outcome}\"}}");
    let before = a.metrics().await;
    assert_eq!(
        [
            before.value(&copies("copied")),
            before.value(&copies("failed"))
        ],
        [0.0, 0.0]
    );
    for number in 0..WRITES {
        let secret = format!("payments/prod/s{number}");
        cluster.set(&a, &secret, "x".repeat(VALUE)).await;
    }
    let failed = || async { (a.metrics().await.value(&copies("failed")) > 0.0).then_some(()) };
    eventually("it fails", failed).await;
    assert_eq!(cluster.value(&a, "payments/prod/s0").await.len(), VALUE);
    let copied = || async {
        let now = a.metrics().await;
        let few = now.value("coffer_sqlite_log_pages") < 1_000.0;
        (few && now.value(&copies("copied")) > 0.0).then_some(())
    };
    eventually("it is copied later", copied).await;
    a.met("log not copied yet").await;
    assert_eq!(a.metrics().await.value(&copies("failed")), 1.0);
    let bundle = cluster.bundle(&a).await;
    let written = (0..WRITES).map(|number| {
        let secret = format!("payments/prod/s{number}");
        bundle.count("app/root", "write", &secret, "allowed")
    });
    assert_eq!(written.sum::<usize>(), WRITES);
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}
