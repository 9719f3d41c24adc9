//! A sync fails in the middle of the work, and goes well again later. What was on its way is not told as stored, and what
//! is told afterwards does not rest on pages that were never written: it outlives a power cut.
//! The disk is `disk.c`, preloaded into the real server, and into a real PostgreSQL.

use std::path::Path;
use std::process::Command;

use coffer::store::Engine;
use tempfile::TempDir;

use super::load::{Load, holds};
use crate::support::cluster::{Cluster, Start};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::postgres::Server;

const CLIENTS: usize = 6;
/// Answers in which the write-ahead log is copied back into the file at least once.
const ANSWERS: usize = 1_200;

/// What is preloaded, and the folder by which it is told to fail.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ledger/disk.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]);
        cc.arg(folder.path().join("disk.so")).args([source, "-ldl"]);
        let built = cc.output().expect("there is a C compiler");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        // PostgreSQL is another user.
        let mut open = Command::new("chmod");
        let opened = open.arg("0777").arg(folder.path());
        let opened = opened.arg(folder.path().join("disk.so")).status();
        assert!(opened.expect("chmod runs").success());
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    fn fail(&self) {
        std::fs::write(self.path("fail"), "").expect("a file is written");
    }

    fn mend(&self) {
        std::fs::remove_file(self.path("fail")).expect("it is there");
    }

    fn exists(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }

    /// What is on the disk of a SQLite cluster, taken as all that is synced.
    fn keep(&self, cluster: &Cluster) {
        for end in ["db", "db-wal"] {
            let file = cluster.path(&format!("coffer.{end}"));
            if file.exists() {
                std::fs::copy(file, self.path(&format!("kept.{end}"))).expect("a copy");
            }
        }
    }

    /// The power is cut: of the database only what was synced is left.
    fn cut_power(&self, cluster: &Cluster) {
        for end in ["db", "db-wal", "db-shm"] {
            let file = cluster.path(&format!("coffer.{end}"));
            let kept = self.path(&format!("kept.{end}"));
            if Path::new(&kept).exists() {
                std::fs::copy(kept, file).expect("a copy");
            } else if file.exists() {
                std::fs::remove_file(file).expect("it goes");
            }
        }
    }

    /// A node on this disk.
    async fn start(&self, cluster: &Cluster) -> Node {
        let (shim, folder) = (self.path("disk.so"), self.path(""));
        let env = [("LD_PRELOAD", &*shim), ("COFFER_DISK", &*folder)];
        let start = Start {
            env: &env,
            ..Start::default()
        };
        cluster.start_with("a", start).await
    }

    /// A SQLite cluster whose one node runs on this disk.
    async fn sqlite(&self) -> (Cluster, Node) {
        let cluster = Cluster::new(Engine::Sqlite).await;
        self.keep(&cluster);
        let a = self.start(&cluster).await;
        cluster.place(&a, "payments/prod").await;
        (cluster, a)
    }
}

async fn answers(load: &Load, more: usize) {
    let before = load.told.count();
    eventually("answers", || async {
        (load.told.count() > before + more).then_some(())
    })
    .await;
}

/// Nothing is stored any more, and the node says so.
async fn is_unready(cluster: &Cluster, a: &Node) {
    eventually("it is not ready", || async {
        (cluster.get_ready(a).await == 503).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_of_sqlite_that_fail_for_a_while_take_nothing_with_them() {
    let disk = Disk::new();
    let (cluster, a) = disk.sqlite().await;
    let load = Load::start(&cluster, &a, "s", CLIENTS);
    for _ in 0..3 {
        answers(&load, 60).await;
        disk.fail();
        is_unready(&cluster, &a).await;
        disk.mend();
    }
    answers(&load, ANSWERS).await;
    a.kill().await;
    let (told, written) = load.end().await;
    disk.cut_power(&cluster);
    let a = cluster.start("a").await;
    holds(&cluster, &a, &told, &written).await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}

/// What a process that ended left in the log is still read by the next one, and may never have been written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_after_a_failed_sync_builds_on_nothing_that_was_not_written() {
    let disk = Disk::new();
    let (cluster, a) = disk.sqlite().await;
    let load = Load::start(&cluster, &a, "s", CLIENTS);
    answers(&load, 60).await;
    disk.fail();
    is_unready(&cluster, &a).await;
    a.kill().await;
    let (told, written) = load.end().await;
    // It does not begin on a disk that still fails.
    let (shim, folder) = (disk.path("disk.so"), disk.path(""));
    let env = [("LD_PRELOAD", &*shim), ("COFFER_DISK", &*folder)];
    let failing = Start {
        env: &env,
        ..Start::default()
    };
    let ended = cluster.try_start("a", failing).await.err();
    assert_eq!(ended.expect("it does not start").code, Some(1));
    disk.mend();
    let a = disk.start(&cluster).await;
    let load = Load::start(&cluster, &a, "t", CLIENTS);
    answers(&load, 60).await;
    a.kill().await;
    let (again, written_again) = load.end().await;
    disk.cut_power(&cluster);
    let a = cluster.start("a").await;
    holds(&cluster, &a, &told, &written).await;
    holds(&cluster, &a, &again, &written_again).await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}

/// PostgreSQL ends all its processes when a sync fails, and recovers from what it has written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_of_postgresql_that_fails_is_a_crash_that_is_survived() {
    let disk = Disk::new();
    let (shim, folder) = (disk.path("disk.so"), disk.path(""));
    let server = Server::start_with(true, &[("LD_PRELOAD", &shim), ("COFFER_DISK", &folder)]);
    let cluster = Cluster::on(server.url.clone()).await;
    let a = cluster.start("a").await;
    cluster.place(&a, "payments/prod").await;
    let load = Load::start(&cluster, &a, "s", CLIENTS);
    for _ in 0..3 {
        answers(&load, 60).await;
        std::fs::write(disk.path("once"), "").expect("a file is written");
        eventually("a sync failed", || async {
            (!disk.exists("once")).then_some(())
        })
        .await;
    }
    answers(&load, 200).await;
    let (told, written) = load.end().await;
    let log = std::fs::read_to_string(server.folder.join("log")).expect("a log");
    let panics = log
        .lines()
        .filter(|line| line.contains("PANIC:  could not f"));
    assert!(panics.count() > 0, "{log}");
    assert!(
        log.contains("database system was not properly shut down"),
        "{log}"
    );
    holds(&cluster, &a, &told, &written).await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}
