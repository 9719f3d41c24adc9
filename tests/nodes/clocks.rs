//! A node whose clock stands before the last record of its log: refused with a sentence, unless the operator accepts it,
//! which is recorded. No record is ever older than the one before it.

use coffer::model::Ttl;
use coffer::store::Engine;

use crate::support::cluster::{Cluster, Start, on_both};
use crate::support::node::Node;

const SECRET: &str = "payments/prod/one";
/// A little more than a clock may stand back, and a little less.
const TOO_FAR: Ttl = Ttl::seconds(6 * 60);
const NEAR_ENOUGH: Ttl = Ttl::seconds(4 * 60);

/// How many records say that a clock was accepted; none is older than the one before it in its stream.
async fn accepted(cluster: &Cluster, node: &Node) -> usize {
    let records = cluster.bundle(node).await;
    let times: Vec<&str> = records
        .all()
        .iter()
        .map(|record| record.text("time").expect("a time"))
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    records.count(
        "system/ledger",
        "audit",
        "sys/status",
        "allowed: clock-accepted",
    )
}

/// A cluster whose only node has recorded something so far ahead of the machine's clock, and has ended.
async fn ahead_by(engine: Engine, span: Ttl) -> Cluster {
    let (cluster, a) = Cluster::with_one(engine).await;
    cluster.set_clock(span);
    cluster.set(&a, SECRET, "1").await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.set_clock(Ttl::seconds(0));
    cluster
}

on_both! {
    async fn a_clock_that_stands_back_is_refused(engine: Engine) {
        let cluster = ahead_by(engine, TOO_FAR).await;
        let refused = cluster.try_start("a", Start::default()).await.err().expect("it is refused");
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.sentence.contains("The clock stands") && refused.sentence.contains("--accept-clock"), "{refused:?}");
        let accepting = Start { args: &["--accept-clock"], ..Start::default() };
        let a = cluster.start_with("a", accepting).await;
        assert_eq!(cluster.value(&a, SECRET).await, "1");
        assert_eq!(accepted(&cluster, &a).await, 1, "it is recorded");
        assert_eq!(a.end().await.code, Some(0));
        // Accepting is for one start: the log still ends where that clock stood.
        let refused = cluster.try_start("a", Start::default()).await.err().expect("it is refused");
        assert!(refused.sentence.contains("The clock stands"), "{refused:?}");
        cluster.set_clock(TOO_FAR);
        let a = cluster.start("a").await;
        assert_eq!(accepted(&cluster, &a).await, 1, "nothing more had to be accepted");
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }

    async fn a_clock_that_stands_back_a_little_starts(engine: Engine) {
        let cluster = ahead_by(engine, NEAR_ENOUGH).await;
        let a = cluster.start("a").await;
        cluster.set(&a, SECRET, "2").await;
        assert_eq!(accepted(&cluster, &a).await, 0);
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}
