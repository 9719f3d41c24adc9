//! The disk fills in the middle of a batch: nothing of it is stored, and what is asked next is whole or refused.
//! On SQLite the file may not grow any more; on PostgreSQL the statement that would need room fails as it does then.

use coffer::store::Engine;
use serde_json::json;

use super::load::{Load, holds};
use crate::support::cluster::{Cluster, Start};
use crate::support::eventually;
use crate::support::node::Node;

/// Pages that a SQLite file may have, a little more than it has after its first commits.
const PAGES: &str = "160";

/// Fails as PostgreSQL does when there is no room: in most inserts of a segment, note or version. A constraint does it,
/// since triggers are refused; each in a transaction of its own, so that the node's locks and these have no order.
const FULL: &str = "
    CREATE SEQUENCE filling;
    CREATE FUNCTION fill() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('filling') % 5 < 3 THEN
            RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
        END IF;
        RETURN TRUE;
    END $$;
    BEGIN; ALTER TABLE segment ADD CONSTRAINT filling CHECK (fill()) NOT VALID; COMMIT;
    BEGIN; ALTER TABLE version ADD CONSTRAINT filling CHECK (fill()) NOT VALID; COMMIT;
    BEGIN; ALTER TABLE note ADD CONSTRAINT filling CHECK (fill()) NOT VALID; COMMIT;";

const FREED: &str = "
    BEGIN; ALTER TABLE segment DROP CONSTRAINT filling; COMMIT;
    BEGIN; ALTER TABLE version DROP CONSTRAINT filling; COMMIT;
    BEGIN; ALTER TABLE note DROP CONSTRAINT filling; COMMIT;";

/// Writes secrets of some size until one is refused.
async fn fill(cluster: &Cluster, a: &Node) {
    let mut number = 0;
    eventually("the disk is full", || {
        number += 1;
        let body = json!({ "fields": { "v": "1", "fill": "x".repeat(20_000) } });
        let written = a.put(
            &format!("/secrets/payments/prod/fill{number}"),
            body,
            &cluster.root,
        );
        async move { (written.await.status() == 503).then_some(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_sqlite_stores_nothing_half() {
    let cluster = Cluster::new(Engine::Sqlite).await;
    let env = &[("COFFER_SQLITE_PAGES_MAX", PAGES)][..];
    let a = cluster
        .start_with(
            "a",
            Start {
                env,
                ..Start::default()
            },
        )
        .await;
    cluster.place(&a, "payments/prod").await;
    let load = Load::start(&cluster, &a, "d", 6);
    eventually("answers", || async {
        (load.told.count() > 20).then_some(())
    })
    .await;
    fill(&cluster, &a).await;
    let before = load.told.count();
    eventually("more answers", || async {
        (load.told.count() > before + 30).then_some(())
    })
    .await;
    let (told, written) = load.end().await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
    let a = cluster.start("a").await;
    holds(&cluster, &a, &told, &written).await;
    cluster.set(&a, "payments/prod/after", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_postgresql_stores_nothing_half() {
    let (cluster, a) = Cluster::with_one(Engine::Postgres).await;
    let load = Load::start(&cluster, &a, "d", 6);
    eventually("answers", || async {
        (load.told.count() > 20).then_some(())
    })
    .await;
    cluster.alter(FULL).await;
    let before = load.told.count();
    eventually("more answers", || async {
        (load.told.count() > before + 60).then_some(())
    })
    .await;
    assert!(
        cluster.number("SELECT last_value FROM filling").await > 10,
        "it was full"
    );
    cluster.alter(FREED).await;
    let before = load.told.count();
    eventually("more answers", || async {
        (load.told.count() > before + 30).then_some(())
    })
    .await;
    let (told, written) = load.end().await;
    holds(&cluster, &a, &told, &written).await;
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}
