//! A commit that fails, or whose outcome is lost: before the head moved, after it, while COMMIT is on its way, after it.
//! No acknowledged record is lost, none is doubled, and none is there without its change; for reads as for writes.

use coffer::store::Engine;
use serde_json::json;

use super::load::{Load, Told, holds};
use crate::support::cluster::{Cluster, Start, on_both};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::proxy::{Mode, Proxy};

const SECRET: &str = "payments/prod/one";
const PATH: &str = "/secrets/payments/prod/one";

/// What becomes of one write of `1` and one read that meet a fault each.
async fn failed_at(engine: Engine, point: &str, status: u16) {
    let (cluster, a) = Cluster::with_one(engine).await;
    let told = Told::default();
    cluster.set(&a, SECRET, "0").await;
    a.arm(&format!("{point}=fail"));
    let body = json!({ "fields": { "v": "1" } });
    let written = a
        .put(&format!("{PATH}?if_version=1"), body, &cluster.root)
        .await;
    assert_eq!(written.status(), status, "{}", written.text());
    told.note(&written);
    a.met(point).await;
    let version = if status == 200 { 2 } else { 1 };
    // Both of the read's look-ups and its record go through whatever came back.
    assert_eq!(cluster.version(&a, SECRET).await, version);
    if point != "after head" {
        a.arm(&format!("{point}=fail"));
        let read = a.get(PATH, &cluster.root).await;
        assert!(matches!(read.status(), 200 | 503), "{}", read.text());
        told.note(&read);
    }
    let records = cluster.bundle(&a).await;
    told.is_in(&records);
    let written = records.count("app/root", "write", SECRET, "allowed");
    assert_eq!(written as u64, version);
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}

on_both! {
    async fn a_write_that_fails_before_the_head_moves_is_not_there(engine: Engine) {
        failed_at(engine, "before head", 503).await;
    }

    async fn a_write_that_fails_after_the_head_moved_is_not_there(engine: Engine) {
        failed_at(engine, "after head", 503).await;
    }

    async fn a_commit_that_never_left_is_made_again(engine: Engine) {
        failed_at(engine, "in commit", 200).await;
    }

    async fn a_commit_that_is_reported_failed_and_had_happened_is_answered_once(engine: Engine) {
        failed_at(engine, "commit reported failed", 200).await;
        failed_at(engine, "after commit", 200).await;
    }

    /// The claim tells that the commit had happened, and then the store is lost once more: what it told still holds.
    async fn a_commit_that_a_claim_has_told_of_is_not_made_again(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        cluster.set(&a, SECRET, "0").await;
        for (point, version) in [("commit reported failed", 2), ("in commit", 3)] {
            a.arm(&format!("{point}=fail,after claim=fail"));
            let body = json!({ "fields": { "v": version.to_string() } });
            let path = format!("{PATH}?if_version={}", version - 1);
            let written = a.put(&path, body, &cluster.root).await.is(200).json();
            assert_eq!(written["version"], version, "{point}");
            a.met("after claim").await;
            assert_eq!(cluster.value(&a, SECRET).await, version.to_string());
        }
        let records = cluster.bundle(&a).await;
        assert_eq!(records.count("app/root", "write", SECRET, "allowed"), 3);
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }

    /// Every commit fails in its turn, stored and not stored, while many write and read.
    async fn commits_that_fail_under_load_lose_and_double_nothing(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        let load = Load::start(&cluster, &a, "f", 8);
        for round in 1..=3 {
            for point in ["commit reported failed", "in commit", "before head", "after head"] {
                let before = load.told.count();
                a.arm(&format!("{point}=fail:{round}:2"));
                eventually("answers", || async { (load.told.count() > before + 40).then_some(()) }).await;
                a.met(point).await;
            }
        }
        let (told, written) = load.end().await;
        holds(&cluster, &a, &told, &written).await;
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}

/// What happens to the connection while the node stands at a point of a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It is cut before the next bytes leave.
    Before,
    /// The next bytes arrive, and their answer is lost.
    Answer,
}

/// A node whose connections to PostgreSQL go through a proxy.
async fn behind_a_proxy() -> (Cluster, Node, Proxy) {
    let cluster = Cluster::new(Engine::Postgres).await;
    let (proxy, url) = Proxy::before(&cluster.url).await;
    let start = Start {
        url: Some(&url),
        ..Start::default()
    };
    let a = cluster.start_with("a", start).await;
    cluster.place(&a, "payments/prod").await;
    cluster.set(&a, SECRET, "0").await;
    (cluster, a, proxy)
}

/// Stops the node at a point of the next commit, and loses the connection there.
async fn lose(cluster: &Cluster, a: &Node, proxy: &Proxy, (point, loss): (&str, Loss)) {
    a.stopped().await;
    a.met(point).await;
    let size = "SELECT CAST(SUM(size) AS BIGINT) FROM stream";
    let before = cluster.number(size).await;
    match loss {
        Loss::Before => proxy.set(Mode::Cut),
        Loss::Answer => proxy.set(Mode::SwallowAnswers),
    }
    a.go_on();
    if loss == Loss::Answer {
        let stored = || async { (cluster.number(size).await > before).then_some(()) };
        eventually("the batch is stored", stored).await;
        proxy.set(Mode::Cut);
    }
}

async fn lost_at(point: &str, loss: Loss) {
    let (cluster, a, proxy) = behind_a_proxy().await;
    let told = Told::default();
    for (reads, version) in [(false, 2), (true, 2)] {
        if reads && point == "after head" {
            continue;
        }
        a.arm(&format!("{point}=stop"));
        let body = json!({ "fields": { "v": "1" } });
        let call = if reads {
            a.get(PATH, &cluster.root)
        } else {
            a.put(&format!("{PATH}?if_version=1"), body, &cluster.root)
        };
        let call = tokio::spawn(async move { call.await });
        lose(&cluster, &a, &proxy, (point, loss)).await;
        proxy.set(Mode::Pass);
        let mut answer = call.await.expect("no panic");
        told.note(&answer);
        if answer.status() == 503 && !reads {
            // Nobody knows: who asks again is told.
            let body = json!({ "fields": { "v": "1" } });
            let again = || async {
                let call = a.put(&format!("{PATH}?if_version=1"), body.clone(), &cluster.root);
                Some(call.await).filter(|answer| answer.status() != 503)
            };
            answer = eventually("an answer", again).await;
            told.note(&answer);
            assert!(matches!(answer.status(), 200 | 412), "{}", answer.text());
        }
        let read = || async {
            let read = a.get(PATH, &cluster.root).await;
            (read.status() == 200).then(|| read.json()["version"].as_u64().expect("a number"))
        };
        assert_eq!(eventually("a read", read).await, version);
    }
    let records = cluster.bundle(&a).await;
    told.is_in(&records);
    assert_eq!(records.count("app/root", "write", SECRET, "allowed"), 2);
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_before_the_head_moves_loses_nothing() {
    lost_at("before head", Loss::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_after_the_head_moved_loses_nothing() {
    lost_at("after head", Loss::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_before_commit_arrives_loses_nothing() {
    lost_at("in commit", Loss::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_while_commit_is_answered_doubles_nothing() {
    lost_at("in commit", Loss::Answer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_after_commit_loses_nothing() {
    lost_at("after commit", Loss::Before).await;
}

/// What one claim told of an earlier batch says nothing of a later one, whose claim never came through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_tells_of_its_own_batch_alone() {
    let (cluster, a, proxy) = behind_a_proxy().await;
    for (number, loss) in [(1, Loss::Answer), (2, Loss::Before)] {
        a.arm("in commit=stop");
        let body = json!({ "fields": { "v": number.to_string() } });
        let call = a.put(
            &format!("/secrets/payments/prod/s{number}"),
            body,
            &cluster.root,
        );
        let call = tokio::spawn(async move { call.await });
        lose(&cluster, &a, &proxy, ("in commit", loss)).await;
        // The store stays away for longer than a client is held.
        call.await.expect("no panic").is_problem(503, "unavailable");
        proxy.set(Mode::Pass);
        let ready = || async { (cluster.get_ready(&a).await == 204).then_some(()) };
        eventually("the node is back", ready).await;
    }
    a.get("/secrets/payments/prod/s1", &cluster.root)
        .await
        .is(200);
    a.get("/secrets/payments/prod/s2", &cluster.root)
        .await
        .is_problem(404, "not-found");
    let records = cluster.bundle(&a).await;
    assert_eq!(
        records.count("app/root", "write", "payments/prod/s1", "allowed"),
        1
    );
    assert_eq!(
        records.count("app/root", "write", "payments/prod/s2", "allowed"),
        0
    );
}

/// A peer that is gone without a word does not hold the node for ever: the connection is given up, and a claim tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_never_comes_is_found_by_a_claim() {
    let (cluster, a, proxy) = behind_a_proxy().await;
    let told = Told::default();
    a.arm("in commit=stop");
    let body = json!({ "fields": { "v": "1" } });
    let call = a.put(&format!("{PATH}?if_version=1"), body, &cluster.root);
    let call = tokio::spawn(async move { call.await });
    a.stopped().await;
    let size = "SELECT CAST(SUM(size) AS BIGINT) FROM stream";
    let before = cluster.number(size).await;
    proxy.set(Mode::SwallowAnswers);
    a.go_on();
    let stored = || async { (cluster.number(size).await > before).then_some(()) };
    eventually("the batch is stored", stored).await;
    // New connections are answered; nobody ever says a word on the old ones again.
    proxy.set(Mode::Pass);
    let written = call.await.expect("no panic");
    told.note(&written);
    written.is(200);
    assert_eq!(cluster.version(&a, SECRET).await, 2);
    let records = cluster.bundle(&a).await;
    told.is_in(&records);
    assert_eq!(records.count("app/root", "write", SECRET, "allowed"), 2);
}

/// The proxy itself cuts, or holds, at the moment when a COMMIT is first spoken of on a connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_or_held_as_commit_comes_by_loses_nothing() {
    let (cluster, a, proxy) = behind_a_proxy().await;
    let told = Told::default();
    for (round, mode) in [Mode::Cut, Mode::Hold].into_iter().enumerate() {
        proxy.set(Mode::Cut);
        let lost = || async { (cluster.get_ready(&a).await == 503).then_some(()) };
        eventually("the connections are missed", lost).await;
        proxy.set(Mode::Pass);
        let ready = || async { (cluster.get_ready(&a).await == 204).then_some(()) };
        eventually("the node is back", ready).await;
        if mode == Mode::Cut {
            proxy.set_before(b"COMMIT", mode);
        } else {
            proxy.set_after(b"COMMIT", mode);
        }
        let put = |path: &str| a.put(path, json!({ "fields": { "v": "1" } }), &cluster.root);
        let path = format!("{PATH}?if_version={}", round + 1);
        let call = put(&path);
        let call = tokio::spawn(async move { call.await });
        proxy.reached(mode).await;
        proxy.set(Mode::Pass);
        let mut written = call.await.expect("no panic");
        told.note(&written);
        if written.status() == 503 {
            // The look that would have decided it again met a connection that was cut as well.
            let again = || async { Some(put(&path).await).filter(|answer| answer.status() != 503) };
            written = eventually("an answer", again).await;
            told.note(&written);
        }
        assert!(matches!(written.status(), 200 | 412), "{}", written.text());
        assert_eq!(cluster.version(&a, SECRET).await, round as u64 + 2);
    }
    told.is_in(&cluster.bundle(&a).await);
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}
