//! A whole story on PostgreSQL with three roles: the owner makes the tables and is gone, one role serves, another keeps
//! the log. The role that serves can do all that a server does, and PostgreSQL itself keeps it from erasing a record.

use std::process::Command;

use coffer::store::Engine;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::cluster::{Cluster, Start};
use crate::support::node::text;

const SERVER: &str = env!("CARGO_BIN_EXE_coffer-server");

/// A cluster that is not founded, with its roles.
struct Divided {
    cluster: Cluster,
    superuser: String,
    keeper: String,
    owner: String,
}

impl Divided {
    /// Makes the roles by what the command prints, and hands the server's URL to the cluster.
    async fn new() -> Self {
        let mut cluster = Cluster::unfounded(Engine::Postgres).await;
        let superuser = cluster.url.clone();
        let (server, database) = superuser.rsplit_once('/').expect("a database");
        let (_, address) = server.rsplit_once('@').expect("a role");
        let name = |role: &str| format!("{database}_{role}");
        let url = |role: &str| format!("postgres://{}@{address}/{database}", name(role));
        let mut roles = Command::new(SERVER);
        roles.args(["database", "roles"]);
        for role in ["owner", "server", "keeper"] {
            roles.args([format!("--{role}"), name(role)]);
        }
        let printed = roles.output().expect("it runs");
        assert!(printed.status.success(), "{}", text(&printed.stderr));
        sent(&superuser, &text(&printed.stdout)).await.expect("SQL");
        let (keeper, owner) = (url("keeper"), url("owner"));
        cluster.url = url("server");
        Self {
            cluster,
            keeper,
            owner,
            superuser,
        }
    }

    fn keeper_line(&self) -> String {
        format!("keeper_url = \"{}\"\n", self.keeper)
    }

    fn owner_line(&self) -> String {
        format!("owner_url = \"{}\"\n", self.owner)
    }
}

async fn sent(url: &str, script: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let ran = sqlx::raw_sql(AssertSqlSafe(script.to_owned()));
    ran.execute(&mut connection).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_by_three_roles() {
    let mut divided = Divided::new().await;
    // Without its owner nobody makes the tables.
    let ended = divided.cluster.init("a").await;
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("run `coffer-server migrate`"), "{said}");
    divided.cluster.database = divided.keeper_line() + &divided.owner_line();
    let migrated = divided.cluster.run("a", &["migrate"]).await;
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    divided.cluster.database = divided.keeper_line();
    let Divided {
        cluster, superuser, ..
    } = divided;
    // From here on nobody has the owner's URL: neither `init` nor `serve` nor `check`.
    let cluster = cluster.founded().await;
    let small = Start {
        points: "small segments=plant,merged=plant",
        ..Start::default()
    };
    let a = cluster.start_with("a", small).await;
    let b = cluster.start("b").await;
    cluster.place(&a, "payments/prod").await;
    for number in 0..20 {
        let node = if number % 2 == 0 { &a } else { &b };
        cluster
            .set(node, "payments/prod/one", number.to_string())
            .await;
        assert_eq!(
            cluster.value(&b, "payments/prod/one").await,
            number.to_string()
        );
    }
    let policy = json!({ "every": 3_600, "grace": 600 });
    a.put("/rotations/payments/prod/stripe", policy, &cluster.root)
        .await
        .is(201);
    let rotated = a.post("/rotate/payments/prod/stripe", json!({}), &cluster.root);
    rotated.await.is(200);
    let keys = "/keys/payments/prod";
    a.post(&format!("{keys}/rotate"), json!({}), &cluster.root)
        .await;
    a.post(&format!("{keys}/rewrap"), json!({}), &cluster.root)
        .await;
    let child = cluster.child(&a, &cluster.root, "read:payments/**").await;
    a.delete(&format!("/tokens/{}", child.id), &cluster.root)
        .await
        .is(204);
    b.get("/secrets/payments/prod/one", &child)
        .await
        .is_problem(401, "token-revoked");
    a.delete("/secrets/payments/prod/one", &cluster.root).await;
    // More records are there by now than one small segment takes.
    a.met("merged").await;
    let merged = cluster.bundle(&a).await;
    assert_eq!(
        merged.count("app/root", "write", "payments/prod/one", "allowed"),
        20
    );
    // Whoever has the server's URL, and whatever they send.
    let segments = "SELECT COUNT(*) FROM segment";
    let before = cluster.number(segments).await;
    for script in [
        "DELETE FROM segment",
        "UPDATE segment SET sealed = ''",
        "TRUNCATE segment",
        "DROP TABLE segment",
    ] {
        let refused = sent(&cluster.url, script).await.expect_err(script);
        let code = refused.into_database_error().expect("an answer");
        assert_eq!(code.code().as_deref(), Some("42501"), "{script}");
    }
    assert!(cluster.number(segments).await >= before);
    let records = cluster.bundle(&b).await;
    assert_eq!(
        records.count("app/root", "write", "payments/prod/one", "allowed"),
        20
    );
    for node in [a, b] {
        assert_eq!(node.end().await.code, Some(0));
    }
    cluster.check().await;
    // A right that somebody gave by hand is a server that does not start.
    let (_, database) = superuser.rsplit_once('/').expect("a database");
    let grant = format!("GRANT DELETE ON segment TO {database}_server");
    sent(&superuser, &grant).await.expect("a superuser may");
    let ended = cluster.try_start("a", Start::default()).await;
    let ended = ended.err().expect("it does not start");
    assert!(
        ended
            .sentence
            .contains("may change or delete audit records"),
        "{ended:?}"
    );
}

/// A node without the keeper's URL serves as any other, and leaves its segments as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_not_merge_serves() {
    let mut divided = Divided::new().await;
    divided.cluster.database = divided.keeper_line() + &divided.owner_line();
    let mut cluster = divided.cluster.founded().await;
    cluster.database.clear();
    let points = "small segments=plant,merged=plant";
    let start = Start {
        points,
        ..Start::default()
    };
    let a = cluster.start_with("a", start).await;
    assert!(a.has_said("they stay small"));
    cluster.place(&a, "payments/prod").await;
    for number in 0..40 {
        cluster
            .set(&a, "payments/prod/one", number.to_string())
            .await;
    }
    assert_eq!(cluster.value(&a, "payments/prod/one").await, "39");
    assert_eq!(a.hits("merged"), 0);
    assert!(!a.has_said("segments were not merged"));
    assert_eq!(a.end().await.code, Some(0));
    cluster.check().await;
}
