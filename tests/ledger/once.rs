//! A write whose answer was lost, by a connection that was cut and by a server that died, is sent again and done once.

use std::process::Command;

use serde_json::json;

use crate::support::built::command_line;
use crate::support::cluster::{Cluster, on_both};
use crate::support::node::text;
use crate::support::proxy::{Mode, Proxy};

const NAME: &str = "payments/prod/once";

/// The built command line, with this server and this cluster's first token.
fn coffer(cluster: &Cluster, proxy: &Proxy) -> Command {
    let mut command = command_line();
    command.env("COFFER_ADDR", format!("https://{}", proxy.address));
    command.env("COFFER_CACERT", cluster.path("certificate.pem"));
    command.env("COFFER_TOKEN", &cluster.root.text);
    command
}

on_both! {
    async fn a_write_whose_answer_was_lost_is_done_once(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        let root = &cluster.root;
        // The command line's connection is cut once its write is stored, and before it is answered.
        let proxy = Proxy::start(a.address().to_string()).await;
        a.arm("after commit=stop");
        let mut set = coffer(&cluster, &proxy);
        set.args(["set", NAME, "v=1"]);
        let set = tokio::task::spawn_blocking(move || set.output());
        a.stopped().await;
        proxy.set(Mode::Cut);
        proxy.set(Mode::Pass);
        a.go_on();
        let set = set.await.expect("no panic").expect("it runs");
        assert!(set.status.success(), "{}", text(&set.stderr));
        assert_eq!(text(&set.stdout), format!("{NAME} version 1\n"));
        a.met("after commit").await;
        assert_eq!(cluster.version(&a, NAME).await, 1);

        // The server dies there.
        let body = json!({ "fields": { "v": "2" } });
        let path = format!("/secrets/{NAME}");
        a.arm("after commit=kill");
        let lost = a.put(&path, body.clone(), root).header("idempotency-key", "k");
        lost.sent().await.expect_err("it is killed");
        assert_eq!(a.ended().await.code, None);
        let a = cluster.start("a").await;
        let again = a.put(&path, body, root).header("idempotency-key", "k").await.is(200);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((again.json()["version"].clone(), cluster.version(&a, NAME).await), (json!(2), 2));

        let records = cluster.bundle(&a).await;
        let writes = records.all().iter().filter(|record| record.text("action") == Some("write"));
        let repeats = writes.map(|record| record.member("metadata")["coffer.repeats"].is_string());
        assert_eq!(repeats.collect::<Vec<_>>(), [false, true, false, true]);
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}
