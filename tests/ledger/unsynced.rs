//! `durability = "process"`: a power cut takes reads that did not wait for the disk, and nothing else; that is recorded, and
//! the node goes on. What is missing beyond that, or in a run that promised more, is an older database as ever.
//!
//! A power cut is a store put back to where it was after its last change: on SQLite its files, on PostgreSQL its tables.

use coffer::store::Engine;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::load::Load;
use crate::support::cluster::{Cluster, PROCESS, Start, on_both};
use crate::support::eventually;
use crate::support::history::{keep, restore};
use crate::support::node::{Ended, Node};
use crate::support::postgres::Server;
use crate::support::records::{Record, Records};

const ONE: &str = "payments/prod/one";
/// Nothing but a change, and what the node itself has to say, waits for the disk.
const NOT_WAITED: &str = "disk not waited for=plant";
/// Crashes of PostgreSQL of which one at least takes something: a probe, which waits for the disk, seldom comes in between.
const CRASHES_MAX: usize = 10;

/// A cluster with one node, a secret, and a kept copy of the store.
async fn with_copy(engine: Engine, config: &str) -> (Cluster, Node) {
    let cluster = Cluster::new(engine).await;
    let start = Start {
        points: NOT_WAITED,
        config,
        ..Start::default()
    };
    let a = cluster.start_with("a", start).await;
    cluster.place(&a, "payments/prod").await;
    cluster.set(&a, ONE, "1").await;
    match engine {
        Engine::Sqlite => copy(&cluster, "coffer.db", "kept.db"),
        Engine::Postgres => keep(&cluster).await,
    }
    (cluster, a)
}

/// The power is cut: the store is what it was when it was kept.
async fn cut(cluster: &Cluster) {
    match cluster.engine {
        Engine::Sqlite => copy(cluster, "kept.db", "coffer.db"),
        Engine::Postgres => restore(cluster).await,
    }
}

/// A SQLite database with its log. Nobody writes it meanwhile; the index of the log is made again.
fn copy(cluster: &Cluster, from: &str, to: &str) {
    for ending in ["", "-wal"] {
        let [from, to] = [from, to].map(|name| cluster.path(&format!("{name}{ending}")));
        std::fs::copy(from, to).expect("a file is copied");
    }
    let _ = std::fs::remove_file(cluster.path(&format!("{to}-shm")));
}

/// Reads until the node has kept a head of reads that did not wait; sizes of what it acknowledged and of what waited.
async fn read_on(cluster: &Cluster, node: &Node) -> (u64, u64) {
    eventually("a head is kept that did not wait", || async {
        assert_eq!(cluster.value(node, ONE).await, "1");
        unsynced(cluster)
    })
    .await
}

fn unsynced(cluster: &Cluster) -> Option<(u64, u64)> {
    let (head, synced) = kept(cluster);
    synced.map(|synced| (head, synced))
}

/// The sizes in the state directory: of the last head, and of what waited for the disk if that is not all.
fn kept(cluster: &Cluster) -> (u64, Option<u64>) {
    let text = std::fs::read_to_string(cluster.path("a.state").join("head")).unwrap_or_default();
    let number = |text: &str| text.parse().expect("a number");
    let head = text.lines().nth(1).map_or(0, number);
    let synced = text.lines().find_map(|line| line.strip_prefix("synced "));
    let synced = synced.and_then(|line| line.split(' ').next());
    (head, synced.map(number))
}

/// The records that say that reads are lost.
fn lost(records: &Records) -> Vec<&Record> {
    let told = |record: &&Record| record.outcome() == "allowed: reads-lost";
    records.all().iter().filter(told).collect()
}

fn is_lost(record: &Record, acknowledged: u64, found: u64) {
    assert_eq!(record.text("principal"), Some("system/ledger"));
    assert_eq!(record.text("resource"), Some("sys/status"));
    let said = |key: &str| record.member("metadata")[key].as_str().map(str::to_owned);
    assert_eq!(said("found"), Some(found.to_string()));
    assert_eq!(said("acknowledged"), Some(acknowledged.to_string()));
}

/// A start that is refused.
async fn refused(cluster: &Cluster, config: &str) -> Ended {
    let start = Start {
        config,
        ..Start::default()
    };
    let ended = cluster.try_start("a", start).await;
    ended.err().expect("it is refused")
}

/// A start with this word.
async fn started(cluster: &Cluster, config: &str) -> Node {
    let start = Start {
        config,
        ..Start::default()
    };
    cluster.start_with("a", start).await
}

on_both! {
    async fn a_power_cut_takes_reads_and_the_next_start_says_so(engine: Engine) {
        let (cluster, a) = with_copy(engine, PROCESS).await;
        read_on(&cluster, &a).await;
        a.kill().await;
        let (acknowledged, found) = unsynced(&cluster).expect("nothing waited since");
        cut(&cluster).await;
        let a = started(&cluster, PROCESS).await;
        assert_eq!(cluster.value(&a, ONE).await, "1");
        let records = cluster.bundle(&a).await;
        let told = lost(&records);
        assert_eq!(told.len(), 1, "{told:?}");
        is_lost(told[0], acknowledged, found);
        // What comes after the loss has the indexes of what was lost.
        assert_eq!(told[0].text("index"), Some(&*found.to_string()));
        assert_eq!(a.metrics().await.value("coffer_log_lost_records_total"), (acknowledged - found) as f64);
        assert_eq!(a.end().await.code, Some(0));
        let a = started(&cluster, PROCESS).await;
        assert_eq!(lost(&cluster.bundle(&a).await).len(), 1, "it is said once");
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }

    /// What the run before had promised counts, and not what this one promises.
    async fn a_start_with_the_stronger_word_says_so_as_well(engine: Engine) {
        let (cluster, a) = with_copy(engine, PROCESS).await;
        read_on(&cluster, &a).await;
        a.kill().await;
        let (acknowledged, found) = unsynced(&cluster).expect("nothing waited since");
        cut(&cluster).await;
        let a = started(&cluster, "").await;
        let records = cluster.bundle(&a).await;
        is_lost(lost(&records)[0], acknowledged, found);
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }

    async fn a_change_is_not_lost_with_the_reads_unnoticed(engine: Engine) {
        let (cluster, a) = with_copy(engine, PROCESS).await;
        let (_, before) = read_on(&cluster, &a).await;
        cluster.set(&a, "payments/prod/two", "2").await;
        eventually("a head of later reads is kept", || async {
            cluster.value(&a, ONE).await;
            kept(&cluster).1.filter(|synced| *synced > before)
        })
        .await;
        a.kill().await;
        cut(&cluster).await;
        let ended = refused(&cluster, PROCESS).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.sentence.contains("Rollback suspected"), "{ended:?}");
    }

    async fn reads_that_waited_are_not_lost_unnoticed(engine: Engine) {
        let (cluster, a) = with_copy(engine, "").await;
        let (before, _) = eventually("a head is kept", || async {
            Some(kept(&cluster)).filter(|kept| kept.0 > 0)
        })
        .await;
        eventually("a head of later reads is kept", || async {
            cluster.value(&a, ONE).await;
            let (head, synced) = kept(&cluster);
            assert_eq!(synced, None);
            (head > before).then_some(())
        })
        .await;
        a.kill().await;
        cut(&cluster).await;
        let ended = refused(&cluster, PROCESS).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.sentence.contains("Rollback suspected"), "{ended:?}");
    }

    async fn what_is_left_over_is_brought_to_the_disk(engine: Engine) {
        let cluster = Cluster::new(engine).await;
        let a = started(&cluster, PROCESS).await;
        cluster.place(&a, "payments/prod").await;
        cluster.set(&a, ONE, "1").await;
        cluster.value(&a, ONE).await;
        let metrics = a.metrics().await;
        let read = metrics.value("coffer_log_head_records");
        eventually("everything has waited", || async {
            let (head, synced) = kept(&cluster);
            (head as f64 >= read && synced.is_none()).then_some(())
        })
        .await;
        assert_eq!(cluster.version(&a, ONE).await, 1);
    }

    async fn an_orderly_end_waits_for_the_disk(engine: Engine) {
        let (cluster, a) = with_copy(engine, PROCESS).await;
        read_on(&cluster, &a).await;
        let records = cluster.bundle(&a).await;
        let mode = "allowed: durability-process";
        assert_eq!(records.count("system/ledger", "audit", "sys/status", mode), 1);
        assert_eq!(a.end().await.code, Some(0));
        let (head, synced) = kept(&cluster);
        assert!(head > records.all().len() as u64);
        assert_eq!(synced, None);
    }
}

/// A database that comes back without the last reads under a running node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_goes_on_without_the_reads() {
    let (cluster, a) = with_copy(Engine::Postgres, PROCESS).await;
    let (acknowledged, found) = read_on(&cluster, &a).await;
    a.stop().await;
    restore(&cluster).await;
    a.go_on();
    eventually("a read", || async {
        let read = a.get(&format!("/secrets/{ONE}"), &cluster.root).await;
        (read.status() == 200).then_some(())
    })
    .await;
    let records = cluster.bundle(&a).await;
    let told = lost(&records);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].text("index"), Some(&*found.to_string()));
    let said = told[0].member("metadata")["acknowledged"].as_str();
    let said: u64 = said.expect("a number").parse().expect("a number");
    assert!(said >= acknowledged, "{said} of {acknowledged}");
    cluster.set(&a, ONE, "2").await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}

/// The same where a change is missing, and where reads had waited: the node stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_stops_when_more_is_missing() {
    for (config, changed) in [(PROCESS, true), ("", false)] {
        let (cluster, a) = with_copy(Engine::Postgres, config).await;
        if changed {
            cluster.set(&a, "payments/prod/two", "2").await;
        }
        cluster.value(&a, ONE).await;
        a.stop().await;
        restore(&cluster).await;
        a.go_on();
        let _ = a
            .get(&format!("/secrets/{ONE}"), &cluster.root)
            .sent()
            .await;
        let ended = a.ended().await;
        assert_eq!(ended.code, Some(5), "{config} {ended:?}");
    }
}

/// PostgreSQL itself ends while nothing has brought its log to the disk: what it loses is told, and nothing else is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_crashes_may_lose_reads() {
    let server = Server::start(false);
    let cluster = Cluster::on(server.url.clone()).await;
    let start = Start {
        points: NOT_WAITED,
        config: PROCESS,
        ..Start::default()
    };
    let a = cluster.start_with("a", start).await;
    cluster.place(&a, "payments/prod").await;
    let mut crashes = 0;
    loop {
        crashes += 1;
        cluster.set(&a, ONE, crashes.to_string()).await;
        let writer = log_writer(&server.url).await;
        signal("-STOP", writer);
        for _ in 0..20 {
            assert_eq!(cluster.value(&a, ONE).await, crashes.to_string());
        }
        signal("-KILL", writer);
        eventually("PostgreSQL ends its sessions", || async {
            (log_writer(&server.url).await != writer).then_some(())
        })
        .await;
        eventually("a read", || async {
            let read = a.get(&format!("/secrets/{ONE}"), &cluster.root).await;
            (read.status() == 200).then(|| read.json()["fields"]["v"].clone())
        })
        .await;
        assert_eq!(cluster.value(&a, ONE).await, crashes.to_string());
        let records = eventually("a bundle", || cluster.try_bundle(&a)).await;
        let told = lost(&records).len();
        assert!(told <= crashes);
        if told > 0 {
            break;
        }
        assert!(crashes < CRASHES_MAX, "nothing was lost");
    }
    // What an auditor has seen is not lost any more, and its indexes are not used again.
    let writer = log_writer(&server.url).await;
    signal("-STOP", writer);
    cluster.value(&a, ONE).await;
    let seen = cluster.bundle(&a).await;
    signal("-KILL", writer);
    eventually("PostgreSQL ends its sessions", || async {
        (log_writer(&server.url).await != writer).then_some(())
    })
    .await;
    let now = eventually("a bundle", || cluster.try_bundle(&a)).await;
    assert_eq!(&now.all()[..seen.all().len()], seen.all());
    // And under load, whatever is lost: the log verifies, and what was written is there.
    let load = Load::start(&cluster, &a, "crash", 4);
    eventually("answers", || async {
        (load.told.count() > 40).then_some(())
    })
    .await;
    signal("-KILL", log_writer(&server.url).await);
    let (_, written) = load.end().await;
    for (secret, acknowledged, tried) in written {
        let value = eventually("a read", || async {
            let read = a.get(&format!("/secrets/{secret}"), &cluster.root).await;
            match read.status() {
                200 => Some(super::load::number_in(&read)),
                // Nothing that was tried has become anything.
                404 => Some(0),
                _ => None,
            }
        })
        .await;
        assert!((acknowledged..=tried).contains(&value), "{secret}: {value}");
    }
    eventually("a bundle", || cluster.try_bundle(&a)).await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}

/// The process of PostgreSQL that brings its log to the disk.
async fn log_writer(url: &str) -> i32 {
    eventually("PostgreSQL", || async {
        let mut connection = PgConnection::connect(url).await.ok()?;
        let query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'";
        let row = sqlx::query(query).fetch_one(&mut connection).await.ok()?;
        Some(row.get(0))
    })
    .await
}

fn signal(signal: &str, process: i32) {
    let mut kill = std::process::Command::new("kill");
    let sent = kill.args([signal, &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{signal}");
}
