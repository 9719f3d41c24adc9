//! A grant on a node whose disk, database or namesake is in the way: nothing is shown twice, lost or tried without end.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::*;

/// The answer lies in the spool of a state directory, and another run under the same name has a directory of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_only_the_name_does_not_send_what_may_be_spooled() {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    let s = Scene::imported(cluster, &a).await;
    a.arm("spooled=kill");
    // Close to the end of the token: it runs out within the ten minutes.
    s.set_clock(3_400);
    assert_eq!(a.ended().await.code, None);
    drop(a);
    let other = Start {
        state: Some("other"),
        ..Start::default()
    };
    let namesake = s.cluster.start_with("a", other).await;
    s.set_clock(3_700);
    let read = namesake.get(TOKEN, &s.cluster.root).await;
    read.is_problem(503, "token-refreshing");
    assert_eq!(s.provider.asked(), 2);
    assert_eq!(namesake.end().await.code, Some(0));
    let a = s.cluster.start("a").await;
    assert_eq!(s.token(&a).await["version"], 2);
    s.refreshes_are(2);
    s.goes_on(&a, 7_400).await;
    s.ends(a).await;
}

/// The disk takes no answer: a node that is told to stop waits until the store has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_spooled_is_concluded_before_a_stop() {
    let (cluster, a) = Cluster::with_one(Engine::Sqlite).await;
    let s = Scene::imported(cluster, &a).await;
    let spool = s.cluster.path("a.state").join("spool");
    std::fs::remove_dir(&spool).expect("an empty spool");
    std::fs::write(&spool, "").expect("no folder");
    a.arm("concluding=hold");
    s.set_clock(DUE);
    a.met("concluding").await;
    let pid = a.pid.to_string();
    let ending = tokio::spawn(a.end());
    sleep(Duration::from_secs(2)).await;
    assert!(!ending.is_finished(), "its answer is in memory alone");
    let continued = Command::new("kill").args(["-CONT", &pid]).status();
    assert!(continued.expect("kill runs").success());
    assert_eq!(ending.await.expect("it ends").code, Some(0));
    std::fs::remove_file(&spool).expect("the file");
    let a = s.cluster.start("a").await;
    assert_eq!(s.token_at_once(&a).await["version"], 2);
    s.refreshes_are(2);
    s.goes_on(&a, 7_400).await;
    s.ends(a).await;
}

/// A grant that does not open is not tried again and again: each try is two records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_does_not_open_waits_longer_each_time() {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    let s = Scene::imported(cluster, &a).await;
    s.cluster
        .alter(
            "DELETE FROM version WHERE LENGTH(sealed) = (SELECT MAX(LENGTH(sealed)) FROM version)",
        )
        .await;
    let tried = async || {
        let records = s.cluster.bundle(&a).await;
        records.count("system/refresher", "connect", PATH, "allowed: integrity")
    };
    s.set_clock(DUE);
    eventually("the first try", async || (tried().await == 1).then_some(())).await;
    for later in [15, 30, 45] {
        s.set_clock(DUE + later);
        sleep(Duration::from_millis(2_500)).await;
    }
    assert_eq!(tried().await, 1);
    s.set_clock(DUE + 75);
    eventually("the second try", async || {
        (tried().await == 2).then_some(())
    })
    .await;
    s.token_at_once(&a).await;
    assert_eq!(s.provider.asked(), 1);
    assert_eq!(a.end().await.code, Some(0));
}

/// Its rows are gone with it, and that is no damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_removed_during_a_rewrap_is_left_out() {
    let (cluster, a) = Cluster::with_one(Engine::Sqlite).await;
    let s = Scene::imported(cluster, &a).await;
    let keys = "/keys/payments/prod";
    let root = s.cluster.root.clone();
    a.post(&format!("{keys}/rotate"), json!({}), &root)
        .await
        .is(200);
    a.arm("versions listed=hold");
    let client = Client::clone(&a);
    let of = root.clone();
    let rewrap =
        tokio::spawn(async move { client.post(&format!("{keys}/rewrap"), json!({}), &of).await });
    a.met("versions listed").await;
    a.delete(GITHUB, &root).await.is(204);
    a.go_on();
    rewrap.await.expect("an answer").is(200);
    s.ends(a).await;
}
