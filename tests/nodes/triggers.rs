//! A writer of the database plants a trigger, which quietly leaves out what a statement says that it wrote. Nothing is
//! told as recorded, stored or revoked that is not, and no node starts on such a database.

use coffer::store::Engine;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::support::cluster::{Cluster, Start, on_both};
use crate::support::eventually;

const ONE: &str = "/secrets/payments/prod/one";

/// Makes rows of `table` vanish before they are inserted or changed.
async fn plant(cluster: &Cluster, table: &str) {
    alter(cluster, &match cluster.engine {
        Engine::Sqlite => format!(
            "CREATE TRIGGER vanish BEFORE INSERT ON {table} BEGIN SELECT RAISE(IGNORE); END;
             CREATE TRIGGER stay BEFORE UPDATE ON {table} BEGIN SELECT RAISE(IGNORE); END"
        ),
        Engine::Postgres => format!(
            "CREATE OR REPLACE FUNCTION leave_out() RETURNS trigger AS 'BEGIN RETURN NULL; END' LANGUAGE plpgsql;
             CREATE TRIGGER vanish BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION leave_out()"
        ),
    })
    .await;
}

/// Takes the triggers away again.
async fn remove(cluster: &Cluster, table: &str) {
    let script = match cluster.engine {
        Engine::Sqlite => "DROP TRIGGER vanish; DROP TRIGGER stay".to_owned(),
        Engine::Postgres => format!("DROP TRIGGER vanish ON {table}"),
    };
    alter(cluster, &script).await;
}

async fn alter(cluster: &Cluster, script: &str) {
    if cluster.engine == Engine::Postgres {
        return cluster.alter(script).await;
    }
    let connected = SqliteConnection::connect(&cluster.url).await;
    let mut connection = connected.expect("the file opens");
    let ran = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
    ran.execute(&mut connection).await.expect("a script");
    connection.close().await.expect("it ends");
}

on_both! {
    async fn records_that_vanish_take_their_answers_with_them(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        cluster.set(&a, "payments/prod/one", "1").await;
        assert_eq!(cluster.value(&a, "payments/prod/one").await, "1");
        plant(&cluster, "segment").await;
        let read = a.get(ONE, &cluster.root).await;
        assert_eq!(read.status(), 503, "{}", read.text());
        assert!(!read.text().contains("fields"));
        // The next start says what is wrong.
        a.kill().await;
        let refused = cluster.try_start("a", Start::default()).await.err().expect("it does not start");
        assert!(refused.sentence.contains("trigger"), "{refused:?}");
        remove(&cluster, "segment").await;
    }

    async fn a_revocation_that_vanishes_is_not_answered(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        cluster.set(&a, "payments/prod/one", "1").await;
        let child = cluster.child(&a, &cluster.root, "read:payments/**").await;
        plant(&cluster, "document").await;
        let path = format!("/tokens/{}", child.id);
        assert_eq!(a.delete(&path, &cluster.root).await.status(), 503);
        remove(&cluster, "document").await;
        eventually("it is ready again", || async {
            (cluster.get_ready(&a).await == 204).then_some(())
        })
        .await;
        a.delete(&path, &cluster.root).await.is(204);
        a.get(ONE, &child).await.is_problem(401, "token-revoked");
        cluster.set(&a, "payments/prod/one", "2").await;
        assert_eq!(cluster.value(&a, "payments/prod/one").await, "2");
        cluster.bundle(&a).await;
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}
