//! Retention: what is old goes and leaves its hashes; what says how something came to be that still lives, stays.

use std::collections::BTreeSet;

use coffer::jobs::prune_records;
use coffer::model::{Refusal, Ttl};
use coffer::operations::audit::PruneRecords;

use crate::support::client::Token;
use crate::support::records::Record;
use crate::support::vault::{TestVault, both_engines};

const RETENTION: Ttl = Ttl::days(90);

/// Old enough, however few they are.
const OLD: Ttl = Ttl::days(92);

async fn prune(v: &TestVault) -> Result<u64, Refusal> {
    let mut pruner = v.door().pruner(RETENTION);
    prune_records(v.door(), &mut pruner, true, || false).await
}

/// Prunes, and says how many records went.
async fn pruned(v: &TestVault) -> u64 {
    prune(v).await.expect("a log that can be pruned")
}

/// What a record is of, and its number.
fn named(record: &Record) -> (u64, String) {
    let text = |key| record.text(key).expect("text").to_owned();
    let index = text("index").parse().expect("a number");
    (index, format!("{} {}", text("action"), text("resource")))
}

async fn names(v: &TestVault) -> Vec<(u64, String)> {
    v.audit().await.all().iter().map(named).collect()
}

/// Reads and writes by a token that will be dead.
async fn some_of_everything(v: &TestVault) -> Token {
    let reader = v.token("read:payments/**", Ttl::seconds(300)).await;
    for number in 0..4 {
        let secret = format!("payments/prod/s{number}");
        v.set(&secret, "a", "1").await;
        v.set(&secret, "a", "2").await;
        for _ in 0..8 {
            v.get(&format!("/secrets/{secret}"), &reader).await.is(200);
        }
    }
    reader
}

both_engines! {
    async fn what_is_old_goes_but_what_made_what_lives(v: TestVault) {
        some_of_everything(&v).await;
        let before = names(&v).await;
        v.advance(Ttl::days(89));
        assert_eq!(pruned(&v).await, 0);
        v.advance(Ttl::days(3));
        let gone = pruned(&v).await;

        // What says how the living came to be is there, and the first record; no read is.
        let after = names(&v).await;
        let left: BTreeSet<_> = after.iter().cloned().collect();
        let old = before.len() as u64;
        for (index, what) in &before {
            let stays = *index == 0
                || what.starts_with("write payments/prod/")
                || what.starts_with("manage ");
            assert_eq!(left.contains(&(*index, what.clone())), stays, "{index} {what}");
        }
        let stayed = after.iter().filter(|(index, _)| *index < old).count() as u64;
        // The two exports that counted them are old by now as well, or not yet.
        assert!((old - stayed..=old - stayed + 1).contains(&gone), "{gone} of {old}");
        let log = v.audit().await;
        let pruning = log.all().iter().find(|record| record.text("resource") == Some("sys/retention"));
        let pruning = pruning.expect("a record of the pruning");
        assert_eq!(pruning.text("principal"), Some("system/retention"));
        assert_eq!(pruning.outcome(), "allowed");

        let report = v.verify().await;
        assert_eq!(report.streams.iter().map(|stream| stream.pruned).sum::<u64>(), gone);
        assert_eq!(pruned(&v).await, 0);
        let (v, said) = v.check().await;
        assert_eq!(said, Vec::<String>::new());
        v.verify().await;
    }

    async fn what_dies_later_goes_later(v: TestVault) {
        some_of_everything(&v).await;
        v.advance(OLD);
        let first = pruned(&v).await;
        v.delete("/secrets/payments/prod/s1", &v.root).await.is(204);
        v.post("/destroy/payments/prod/s2", serde_json::json!({ "versions": [1] }), &v.root)
            .await
            .is(200);
        v.advance(OLD);
        let second = pruned(&v).await;
        assert!(first > 0 && second > 0, "{first} and {second}");
        let left = names(&v).await;
        let writes = |of: &str| left.iter().filter(|(_, what)| what == of).count();
        // Each version of the others; of the deleted secret its versions, which could be had back.
        assert_eq!(writes("write payments/prod/s0"), 2);
        assert_eq!(writes("write payments/prod/s1"), 2);
        assert_eq!(writes("write payments/prod/s2"), 1);
        assert_eq!(v.verify().await.streams[0].pruned, first + second);
        let (v, said) = v.check().await;
        assert_eq!(said, Vec::<String>::new());
        assert_eq!(v.get("/secrets/payments/prod/s0", &v.root).await.is(200).json()["version"], 2);
    }

    async fn what_is_said_and_not_done_yet_is_done_later(v: TestVault) {
        some_of_everything(&v).await;
        v.advance(OLD);
        let (mut one, mut other) = (v.door().pruner(RETENTION), v.door().pruner(RETENTION));
        let mut plans = [
            one.plan().await.expect("a plan").expect("ranges"),
            other.plan().await.expect("a plan").expect("ranges"),
        ];
        let mut cuts = Vec::new();
        for plan in &mut plans {
            let cut = one.next_cut(plan).await.expect("a cut").expect("a range");
            v.door().run_system("retention", PruneRecords::of(&cut)).await.expect("a record");
            cuts.push(cut);
        }
        drop((one, other, plans));
        // As if its node had died here.
        assert_eq!(v.verify().await.streams[0].pruned, 0);
        let (v, said) = v.check().await;
        assert_eq!(said, Vec::<String>::new());
        for (cut, done) in cuts.into_iter().zip([true, false]) {
            let pruner = v.door().pruner(RETENTION);
            assert_eq!(pruner.carry_out(cut).await.expect("the store answers"), done);
        }
        assert!(v.verify().await.streams[0].pruned > 0);
        assert_eq!(pruned(&v).await, 0);
        let (_, said) = v.check().await;
        assert_eq!(said, Vec::<String>::new());
    }

    async fn an_export_that_is_overtaken_breaks_off(v: TestVault) {
        for _ in 0..3 {
            some_of_everything(&v).await;
        }
        v.advance(OLD);
        let heads = v.door().heads().await.expect("heads");
        let mut bundle = Vec::new();
        let mut reader = v.door().export_bundle(heads, &mut bundle).expect("a bundle");
        // The stream's head, then as many segments as are looked for at a time: of each request, one.
        for _ in 0..2 {
            assert!(reader.next_chunk().await.expect("it goes on").is_some());
        }
        assert!(pruned(&v).await > 0);
        let ended = async {
            loop {
                match reader.next_chunk().await {
                    Ok(Some(_)) => {}
                    end => break end,
                }
            }
        };
        let ended = ended.await;
        assert!(matches!(ended, Err(Refusal::Unavailable(_))), "{ended:?}");
        v.verify().await;
    }

    async fn a_pruned_log_is_asked_and_merged_and_goes_on(v: TestVault) {
        some_of_everything(&v).await;
        v.advance(OLD);
        some_of_everything(&v).await;
        let all = names(&v).await;
        pruned(&v).await;
        assert!(v.merge(8).await > 0);
        assert_eq!(pruned(&v).await, 0);
        let left = names(&v).await;
        let found = |query: &'static str| {
            let v = &v;
            async move {
                let path = format!("/audit/records?order=newest&limit=1000&{query}");
                v.get(&path, &v.root).await.is(200).text().lines().count()
            }
        };
        let reads = |names: &[(u64, String)]| {
            names.iter().filter(|(_, what)| what.starts_with("read ")).count()
        };
        assert_eq!(reads(&all), 2 * reads(&left));
        assert_eq!(found("action=read").await, reads(&left));
        assert_eq!(
            found("action=write&resource=payments/prod/s3").await,
            left.iter().filter(|(_, what)| what == "write payments/prod/s3").count()
        );
        let v = v.restart().await;
        v.merge(8).await;
        v.set("payments/prod/s9", "a", "1").await;
        v.verify().await;
        let (_, said) = v.check().await;
        assert_eq!(said, Vec::<String>::new());
    }
}
