//! The database shows a node another history than its own: an older one restored under it, with a sequence that is lower,
//! equal or already higher again, or notes that were taken away or forged. Nothing is served from it unnoticed.
//! A writer of the database stands for the failover and the pooler: no connection ends, so none can be a warning.

use coffer::store::Engine;
use serde_json::json;

use crate::support::client::Answer;
use crate::support::cluster::{Cluster, Start};
use crate::support::eventually;
use crate::support::history::{SEQ, keep, restore};

const ONE: &str = "/secrets/payments/prod/one";
/// The notes that a node follows at once where `few notes` is planted.
const FEW_NOTES: i64 = 4;
/// Where the other history's sequence stands when the node meets it.
#[derive(Clone, Copy, Debug)]
enum Seq {
    Lower,
    Equal,
    Higher,
}

/// Another node goes on from the restored store, up to there; `one` is `c` in its history.
async fn go_on_elsewhere(cluster: &Cluster, seq: Seq, own: i64) {
    let c = cluster.start("c").await;
    cluster.set(&c, "payments/prod/one", "c").await;
    let to = match seq {
        Seq::Lower => own - 1,
        Seq::Equal => own,
        Seq::Higher => own + 4,
    };
    while cluster.number(SEQ).await < to {
        cluster.set(&c, "payments/prod/else", "c").await;
    }
    c.kill().await;
    let now = cluster.number(SEQ).await;
    assert_eq!(
        now.cmp(&own) as i8,
        seq as i8 - 1,
        "{seq:?}: {now} of {own}"
    );
}

async fn noticed(answer: Result<Answer, reqwest::Error>) {
    // A connection that ends is an answer as well.
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 503, "{}", answer.text());
    }
}

/// A node that has acknowledged more than the restored store knows stops, and says why when it is started again.
async fn older(seq: Option<Seq>, writes: bool) {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    cluster.set(&a, "payments/prod/one", "1").await;
    keep(&cluster).await;
    for number in 2..10 {
        cluster
            .set(&a, "payments/prod/one", number.to_string())
            .await;
    }
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "9");
    a.stop().await;
    let own = cluster.number(SEQ).await;
    restore(&cluster).await;
    if let Some(seq) = seq {
        go_on_elsewhere(&cluster, seq, own).await;
    }
    a.go_on();
    let body = json!({ "fields": { "v": "late" } });
    if writes {
        noticed(a.put(ONE, body, &cluster.root).sent().await).await;
    } else {
        noticed(a.get(ONE, &cluster.root).sent().await).await;
    }
    noticed(a.get(ONE, &cluster.root).sent().await).await;
    let ended = a.ended().await;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let late = cluster
        .try_start("a", Start::default())
        .await
        .err()
        .expect("it is refused");
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(late.sentence.contains("Rollback suspected"), "{late:?}");
    let checked = cluster.run("a", &["check"]).await;
    let out = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(out.contains(", and the state directory tells of "), "{out}");
    assert_eq!(checked.status.code(), Some(6));
    let checked = cluster.run("a", &["check", "--accept-rollback"]).await;
    let out = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(!out.contains("state directory"), "{out}");
    let accepting = Start {
        args: &["--accept-rollback"],
        ..Start::default()
    };
    let a = cluster.start_with("a", accepting).await;
    let value = if seq.is_some() { "c" } else { "1" };
    assert_eq!(cluster.value(&a, "payments/prod/one").await, value);
    let records = cluster.bundle(&a).await;
    let accepted = records.count(
        "system/ledger",
        "audit",
        "sys/status",
        "allowed: rollback-accepted",
    );
    assert_eq!(accepted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_database_restored_under_a_running_node_is_noticed() {
    older(None, false).await;
    older(None, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_with_a_lower_sequence_is_noticed() {
    older(Some(Seq::Lower), true).await;
    followed(Seq::Lower).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_with_an_equal_sequence_is_noticed() {
    older(Some(Seq::Equal), false).await;
    followed(Seq::Equal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_with_a_higher_sequence_is_noticed() {
    older(Some(Seq::Higher), false).await;
    older(Some(Seq::Higher), true).await;
    followed(Seq::Higher).await;
}

/// The database is from before the node joined: it does not take a new place as if nothing had been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_from_before_a_node_joined_is_noticed() {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    keep(&cluster).await;
    let b = cluster.start("b").await;
    cluster.set(&b, "payments/prod/one", "1").await;
    assert_eq!(b.end().await.code, Some(0));
    a.kill().await;
    restore(&cluster).await;
    let refused = cluster
        .try_start("b", Start::default())
        .await
        .err()
        .expect("it is refused");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.sentence.contains("Rollback suspected"),
        "{refused:?}"
    );
    let accepting = Start {
        args: &["--accept-rollback"],
        ..Start::default()
    };
    let b = cluster.start_with("b", accepting).await;
    b.get(ONE, &cluster.root).await.is_problem(404, "not-found");
    let records = cluster.bundle(&b).await;
    let accepted = records.count(
        "system/ledger",
        "audit",
        "sys/status",
        "allowed: rollback-accepted",
    );
    assert_eq!(accepted, 1);
    assert_eq!(b.end().await.code, Some(0));
    cluster.start("b").await;
}

/// A node that has followed a history without saying anything in it has only its memory to lose.
async fn followed(seq: Seq) {
    let (cluster, a, b) = Cluster::with_two().await;
    cluster.set(&a, "payments/prod/one", "1").await;
    assert_eq!(cluster.value(&b, "payments/prod/one").await, "1");
    keep(&cluster).await;
    for number in 2..10 {
        cluster
            .set(&a, "payments/prod/other", number.to_string())
            .await;
    }
    // Each node's probe counts a beat, after which it has followed.
    let beats = "SELECT MIN(beat) FROM stream";
    let (own, before) = (cluster.number(SEQ).await, cluster.number(beats).await);
    let follows = || async { (cluster.number(beats).await > before + 1).then_some(()) };
    eventually("B follows", follows).await;
    b.stop().await;
    a.kill().await;
    restore(&cluster).await;
    go_on_elsewhere(&cluster, seq, own).await;
    b.go_on();
    assert_eq!(cluster.value(&b, "payments/prod/one").await, "c");
    let records = cluster.bundle(&b).await;
    let dropped = records.count(
        "system/ledger",
        "audit",
        "sys/status",
        "allowed: history-dropped",
    );
    assert_eq!(dropped, 1, "the matter is recorded");
    let counted = b.metrics().await;
    let resets = counted.value("coffer_cache_resets_total{reason=\"history\"}");
    assert_eq!(resets, 1.0);
}

/// B changes `one` while A stands, and somebody alters the notes of it before A goes on.
async fn altered(script: &str) {
    let (cluster, a, b) = Cluster::with_two().await;
    cluster.set(&b, "payments/prod/one", "1").await;
    let token = cluster
        .child(&a, &cluster.root, "read:payments/prod/**")
        .await;
    a.get(ONE, &token).await.is(200);
    a.stop().await;
    let from = cluster.number(SEQ).await;
    cluster.set(&b, "payments/prod/other", "1").await;
    cluster.set(&b, "payments/prod/one", "2").await;
    b.delete(&format!("/tokens/{}", token.id), &cluster.root)
        .await;
    cluster
        .alter(&script.replace("$W", &from.to_string()))
        .await;
    a.go_on();
    a.get(ONE, &token).await.is_problem(401, "token-revoked");
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "2");
    let records = cluster.bundle(&a).await;
    let dropped = records.count(
        "system/ledger",
        "audit",
        "sys/status",
        "allowed: history-dropped",
    );
    assert_eq!(dropped, 1, "{script}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_that_were_pruned_or_deleted_drop_the_cache() {
    altered("DELETE FROM note WHERE seq > $W").await;
    altered("DELETE FROM note WHERE seq = $W + 1").await;
    altered("DELETE FROM note WHERE seq = $W + 2").await;
    altered("DELETE FROM note WHERE seq = $W + 3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_that_were_forged_drop_the_cache() {
    altered("UPDATE note SET refs = '' WHERE seq > $W").await;
    altered("UPDATE note SET refs = (SELECT refs FROM note WHERE seq = $W + 1) WHERE seq > $W")
        .await;
    altered("UPDATE note SET mark = (SELECT mark FROM note WHERE seq = $W) WHERE seq = $W + 2")
        .await;
    altered("UPDATE note SET nonce = decode('00000000000000000000000000000000', 'hex') WHERE seq = $W + 3").await;
    altered(
        "DELETE FROM note WHERE seq = $W + 2; UPDATE note SET seq = seq - 1 WHERE seq = $W + 3",
    )
    .await;
}

/// A is behind by more than it follows: only the notes that it does not get say that `one` and its caller changed.
async fn cut(write: bool) {
    let cluster = Cluster::new(Engine::Postgres).await;
    let few = Start {
        points: "few notes=plant",
        ..Start::default()
    };
    let a = cluster.start_with("a", few).await;
    cluster.place(&a, "payments/prod").await;
    let b = cluster.start("b").await;
    for secret in ["payments/prod/one", "payments/prod/other"] {
        cluster.set(&b, secret, "1").await;
    }
    let scopes = "read:payments/prod/** write:payments/prod/**";
    let token = cluster.child(&a, &cluster.root, scopes).await;
    a.get(ONE, &token).await.is(200);
    let dropped = async || {
        let records = cluster.bundle(&a).await;
        records.count(
            "system/ledger",
            "audit",
            "sys/status",
            "allowed: history-dropped",
        )
    };
    let before = dropped().await;
    // As many as it follows, and nothing is dropped.
    a.stop().await;
    let from = cluster.number(SEQ).await;
    while cluster.number(SEQ).await < from + FEW_NOTES {
        cluster.set(&b, "payments/prod/other", "2").await;
    }
    a.go_on();
    assert_eq!(cluster.value(&a, "payments/prod/other").await, "2");
    assert_eq!(dropped().await, before, "the bound itself is followed");
    // One more than that.
    a.stop().await;
    for _ in 0..FEW_NOTES - 1 {
        cluster.set(&b, "payments/prod/other", "3").await;
    }
    cluster.set(&b, "payments/prod/one", "2").await;
    b.delete(&format!("/tokens/{}", token.id), &cluster.root)
        .await;
    a.go_on();
    if write {
        let late = json!({ "fields": { "v": "late" } });
        let late = a.put(ONE, late, &token).await;
        late.is_problem(401, "token-revoked");
    } else {
        a.get(ONE, &token).await.is_problem(401, "token-revoked");
    }
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "2");
    assert_eq!(cluster.value(&a, "payments/prod/other").await, "3");
    assert_eq!(dropped().await, before + 1, "the matter is recorded");
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_that_are_cut_at_the_bound_drop_the_cache() {
    cut(false).await;
    cut(true).await;
}
