//! Commands that meet in one batch: the second is decided on the first's result, under the lock if need be.
//! What is refused changes nothing, and what is answered is in the log once.

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::cluster::{Cluster, on_both};
use crate::support::eventually;
use crate::support::vault::both_engines;

const SECRET: &str = "payments/prod/one";
const PATH: &str = "/secrets/payments/prod/one";
/// Commands at once: more than a batch's third attempts can leave undecided.
const AT_ONCE: usize = 64;
/// Increments by each who counts.
const INCREMENTS: u64 = 8;

both_engines! {
    async fn of_many_who_make_one_secret_one_wins(v: TestVault) {
        let mut writing = JoinSet::new();
        for number in 0..AT_ONCE {
            let body = json!({ "fields": { "v": number.to_string() } });
            let call = v.put("/secrets/payments/prod/one?if_version=0", body, &v.root);
            writing.spawn(async move { (number, call.await) });
        }
        let (mut won, mut lost) = (Vec::new(), 0);
        while let Some(written) = writing.join_next().await {
            let (number, answer) = written.expect("no panic");
            match answer.status() {
                201 => won.push(number.to_string()),
                _ => {
                    answer.is_problem(412, "precondition-failed");
                    lost += 1;
                }
            }
        }
        assert_eq!((won.len(), lost), (1, AT_ONCE - 1));
        let read = v.get("/secrets/payments/prod/one", &v.root).await.is(200).json();
        assert_eq!((&read["version"], &read["fields"]["v"]), (&json!(1), &json!(won[0])));
        let records = v.audit().await;
        assert_eq!(records.count("app/root", "write", "payments/prod/one", "allowed"), 1);
        assert_eq!(records.count("app/root", "write", "payments/prod/one", "allowed: precondition-failed"), AT_ONCE - 1);
    }

    async fn counters_by_check_and_set_lose_nothing(v: TestVault) {
        const WHO: u64 = 16;
        v.set("payments/prod/count", "v", "0").await;
        let mut counting = JoinSet::new();
        for _ in 0..WHO {
            let (client, root) = (v.clone(), v.root.clone());
            counting.spawn(async move {
                let mut done = 0;
                while done < INCREMENTS {
                    let read = client.get("/secrets/payments/prod/count", &root).await.is(200).json();
                    let count: u64 = read["fields"]["v"].as_str().expect("text").parse().expect("a number");
                    let body = json!({ "fields": { "v": (count + 1).to_string() } });
                    let path = format!("/secrets/payments/prod/count?if_version={}", read["version"]);
                    match client.put(&path, body, &root).await.status() {
                        200 => done += 1,
                        status => assert_eq!(status, 412),
                    }
                }
            });
        }
        while let Some(done) = counting.join_next().await {
            done.expect("no panic");
        }
        let read = v.get("/secrets/payments/prod/count", &v.root).await.is(200).json();
        assert_eq!(read["fields"]["v"], (WHO * INCREMENTS).to_string());
        assert_eq!(read["version"], WHO * INCREMENTS + 1);
        let records = v.audit().await;
        let allowed = records.count("app/root", "write", "payments/prod/count", "allowed");
        assert_eq!(allowed as u64, WHO * INCREMENTS + 1);
    }

    async fn merges_of_one_secret_lose_no_field(v: TestVault) {
        v.set("payments/prod/merged", "v", "0").await;
        let mut merging = JoinSet::new();
        for number in 0..AT_ONCE {
            let body = json!({ "fields": { format!("f{number}"): number.to_string() } });
            let call = v.patch("/secrets/payments/prod/merged", body, &v.root);
            merging.spawn(async move { call.await.is(200).json()["version"].as_u64().expect("a number") });
        }
        let mut versions = merging.join_all().await;
        versions.sort_unstable();
        assert_eq!(versions, (2..AT_ONCE as u64 + 2).collect::<Vec<_>>(), "each on another's result");
        let read = v.get("/secrets/payments/prod/merged", &v.root).await.is(200).json();
        assert_eq!(read["fields"].as_object().expect("fields").len(), AT_ONCE + 1);
    }
}

on_both! {
    /// A write and, behind it in one batch, a deletion that was sent back twice: what the batch leaves is what is read.
    async fn what_a_batch_takes_away_again_is_not_remembered(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        cluster.set(&a, SECRET, "1").await;
        let decided = async |many: usize| {
            let met = || async { (a.hits("decided") >= many).then_some(()) };
            eventually("a decision", met).await;
        };
        a.arm("decided=hold");
        let call = a.delete(PATH, &cluster.root);
        let deletes = tokio::spawn(async move { call.await });
        decided(1).await;
        for attempt in 2..=3 {
            cluster.set(&a, SECRET, attempt.to_string()).await;
            a.arm("decided=hold");
            a.go_on();
            decided(attempt).await;
        }
        // The ledger stands, and the write is the first that it will find.
        a.arm("probe=hold,decided=plant:0:1");
        a.met("probe").await;
        let call = a.put(PATH, json!({ "fields": { "v": "last" } }), &cluster.root);
        let writes = tokio::spawn(async move { call.await });
        decided(4).await;
        a.go_on();
        writes.await.expect("no panic").is(200);
        deletes.await.expect("no panic").is(204);
        a.get(PATH, &cluster.root).await.is_problem(404, "not-found");
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}
