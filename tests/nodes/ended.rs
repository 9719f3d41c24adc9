//! PostgreSQL ends every session of a node, as a restart or a failover does, while nobody asks the node for anything.
//! Whoever asks next is answered from sessions that were made since.
//!
//! Invariant: nobody is refused for a session that ended before they asked.

use coffer::store::Engine;
use sqlx::{Connection as _, PgConnection};

use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::eventually;

const SESSIONS: &str = "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'coffer'";

const END: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'coffer'";

/// As many requests at once as there are to be sessions that read.
const AT_ONCE: usize = 8;

/// The processes of PostgreSQL that work for the node.
async fn sessions(cluster: &Cluster) -> Vec<i32> {
    let mut connection = PgConnection::connect(&cluster.url)
        .await
        .expect("PostgreSQL");
    let found: Option<Vec<i32>> = sqlx::query_scalar(SESSIONS)
        .fetch_one(&mut connection)
        .await
        .expect("sessions");
    found.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_after_all_sessions_ended_is_answered() {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    cluster.set(&a, "payments/prod/one", "1").await;
    let mut connection = PgConnection::connect(&cluster.url)
        .await
        .expect("PostgreSQL");
    let asked: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (client, root) = (Client::clone(&a), cluster.root.clone());
            tokio::spawn(async move { client.get("/audit/export", &root).await })
        })
        .collect();
    for asked in asked {
        asked.await.expect("no panic").is(200);
    }
    let before = sessions(&cluster).await;
    let ended: i64 = sqlx::query_scalar(END)
        .fetch_one(&mut connection)
        .await
        .expect("they end");
    assert!(ended > 1, "one that writes and some that read: {ended}");
    // The node says each second that it lives, so it notices by itself.
    let anew = || async {
        let now = sessions(&cluster).await;
        now.iter().any(|pid| !before.contains(pid)).then_some(())
    };
    eventually("a session made since", anew).await;
    for _ in 0..AT_ONCE {
        a.get("/audit/export", &cluster.root).await.is(200);
        assert_eq!(cluster.value(&a, "payments/prod/one").await, "1");
    }
    let records = cluster.bundle(&a).await;
    let count = |action, resource| records.count("app/root", action, resource, "allowed");
    assert_eq!(count("read", "payments/prod/one"), AT_ONCE);
    // And what the bundle itself asked for: the key, and the bundle.
    assert_eq!(count("audit", "sys/audit"), 2 * AT_ONCE + 2);
    cluster.check().await;
}
