//! Two who want the same place: two `init`, `serve` beside `init`, two migrations, two nodes of one name, two servers on
//! one SQLite file. One wins, and the other ends with one sentence.

use coffer::store::Engine;

use crate::support::cluster::{Cluster, Start};
use crate::support::node::{Ended, Node, text};

/// A command's one line on stderr.
fn sentence(stderr: &[u8]) -> String {
    let stderr = text(stderr);
    assert_eq!(stderr.lines().count(), 1, "one sentence: {stderr}");
    stderr.trim_end().to_owned()
}

/// Ended with 1 and a sentence that holds this.
fn refused(started: Result<Node, Ended>, part: &str) {
    match started {
        Ok(node) => panic!("process {} should not serve", node.pid),
        Err(ended) => {
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(
                ended.sentence.contains(part) && ended.sentence.ends_with('.'),
                "{ended:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_inits_one_founds_the_cluster() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let cluster = Cluster::unfounded(engine).await;
        let (first, second) = tokio::join!(cluster.init("a"), cluster.init("b"));
        let (won, lost, node) = match first.status.success() {
            true => (first, second, "a"),
            false => (second, first, "b"),
        };
        assert!(won.status.success(), "{}", text(&won.stderr));
        assert_eq!(lost.status.code(), Some(1), "{}", text(&lost.stderr));
        sentence(&lost.stderr);
        let other = if node == "a" { "b.token" } else { "a.token" };
        assert!(
            !cluster.path(other).exists(),
            "no token of a cluster that is not there"
        );
        let node = cluster.start(node).await;
        assert_eq!(cluster.get_ready(&node).await, 204);
    }
}

/// Nobody is told for a moment that an operator has to unseal it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_as_soon_as_it_listens_is_answered() {
    let (cluster, a) = Cluster::with_one(Engine::Sqlite).await;
    cluster.set(&a, "payments/prod/one", "1").await;
    assert_eq!(a.end().await.code, Some(0));
    let held = Start {
        points: "listening=hold",
        ..Start::default()
    };
    let a = cluster.start_with("a", held).await;
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "1");
    a.go_on();
    assert_eq!(a.end().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_beside_an_init_serves_what_was_founded_or_says_so() {
    let cluster = Cluster::unfounded(Engine::Postgres).await;
    refused(
        cluster.try_start("b", Start::default()).await,
        "coffer-server init",
    );
    let (founded, started) =
        tokio::join!(cluster.init("a"), cluster.try_start("b", Start::default()));
    assert!(founded.status.success(), "{}", text(&founded.stderr));
    match started {
        Ok(b) => assert_eq!(cluster.get_ready(&b).await, 204),
        started => refused(started, "."),
    }
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_migrations_at_once_are_one_after_the_other() {
    let cluster = Cluster::unfounded(Engine::Postgres).await;
    let (first, second) = tokio::join!(
        cluster.run("a", &["migrate"]),
        cluster.run("b", &["migrate"])
    );
    for ran in [first, second] {
        assert!(ran.status.success(), "{}", text(&ran.stderr));
    }
    assert_eq!(cluster.number("SELECT COUNT(*) FROM migration").await, 1);
    assert!(cluster.init("a").await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_meets_a_newer_schema_stops() {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    cluster.set(&a, "payments/prod/one", "1").await;
    cluster
        .alter("UPDATE migration SET schema = schema + 1; UPDATE world SET schema = schema + 1")
        .await;
    let ended = a.ended().await;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(a.has_said("migrated by a newer coffer-server"), "{ended:?}");
    drop(a);
    refused(cluster.try_start("a", Start::default()).await, "newer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_of_one_name_is_refused() {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    let other = Start {
        state: Some("other"),
        ..Start::default()
    };
    refused(cluster.try_start("a", other).await, "runs as the node a");
    refused(
        cluster.try_start("a", Start::default()).await,
        "uses the state directory",
    );
    cluster.set(&a, "payments/prod/one", "1").await;
    assert_eq!(cluster.get_ready(&a).await, 204);
    // Two that join under one name at the same moment: one founds the stream.
    let one = Start {
        state: Some("one"),
        ..Start::default()
    };
    let two = Start {
        state: Some("two"),
        ..Start::default()
    };
    let (one, two) = tokio::join!(cluster.try_start("b", one), cluster.try_start("b", two));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    let b = won.expect("one of them serves");
    refused(lost, "runs as the node b");
    assert_eq!(cluster.value(&b, "payments/prod/one").await, "1");
    assert_eq!(cluster.number("SELECT COUNT(*) FROM stream").await, 2);
    cluster.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_one_sqlite_file_is_refused() {
    let (cluster, a) = Cluster::with_one(Engine::Sqlite).await;
    refused(
        cluster.try_start("b", Start::default()).await,
        "Another process uses this database",
    );
    refused(
        cluster.try_start("a", Start::default()).await,
        "uses the state directory",
    );
    cluster.set(&a, "payments/prod/one", "1").await;
    let checked = cluster.run("b", &["check"]).await;
    assert_eq!(checked.status.code(), Some(1));
    assert!(sentence(&checked.stderr).contains("Another process uses this database"));
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}
