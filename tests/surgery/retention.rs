//! Retention beside others and beside a database writer: what they did to the log is not made past mending, nothing goes
//! that was not looked at, and nobody is told that a log is damaged which is not.

use coffer::door::{Cut, Pruner};
use coffer::jobs::prune_records;
use coffer::model::{Refusal, Ttl};
use coffer::operations::audit::PruneRecords;
use coffer::store::{DatabaseUrl, Engine};

use super::rows::Knife;
use crate::support::vault::{TestVault, both_engines};

const RETENTION: Ttl = Ttl::days(90);

/// A segment in the middle is gone.
const DELETE: &str =
    "DELETE FROM segment WHERE first = (SELECT MAX(first) FROM segment WHERE first < 12)";

/// A segment in the middle holds its records under another one's summary.
const SWAP: &str = "UPDATE segment SET sealed = (SELECT sealed FROM segment WHERE first = 0) \
    WHERE first = (SELECT MAX(first) FROM segment WHERE first < 12)";

/// Runs statements beside the server.
async fn cut(v: &TestVault, statements: &[&str]) {
    let mut knife = Knife::at(v.url()).await;
    for statement in statements {
        knife.run(statement).await.expect(statement);
    }
    knife.close().await;
}

/// Records of writes of the secret that there are.
async fn writes(v: &TestVault) -> usize {
    let log = v.audit().await;
    let is = |record: &&crate::support::records::Record| {
        record.text("action") == Some("write") && record.text("resource") == Some(SECRET)
    };
    log.all().iter().filter(is).count()
}

const SECRET: &str = "payments/prod/s0";

/// A secret that was read, in one segment; and young records behind it, half a day before that one is old.
async fn old_and_young(v: &TestVault) {
    v.set(SECRET, "a", "1").await;
    for _ in 0..5 {
        v.get("/secrets/payments/prod/s0", &v.root).await.is(200);
    }
    assert_eq!(v.merge(8).await, 1);
    v.advance(Ttl::days(2));
    for _ in 0..8 {
        v.set("payments/prod/young", "a", "1").await;
    }
    v.advance(Ttl::days(89));
    v.advance(Ttl::seconds(43_200));
}

/// What a pruner would do next, said already.
async fn next(v: &TestVault, pruner: &mut Pruner) -> Cut {
    let mut plan = pruner.plan().await.expect("a plan").expect("ranges");
    let cut = pruner.next_cut(&mut plan).await.expect("a cut");
    let cut = cut.expect("a range");
    let said = v.door().run_system("retention", PruneRecords::of(&cut));
    said.await.expect("a record");
    cut
}

/// The bundle verifies, and the store agrees with it.
async fn is_whole(v: TestVault) {
    v.verify().await;
    let (_, said) = v.check().await;
    assert_eq!(said, Vec::<String>::new());
}

both_engines! {
    async fn a_merge_between_cut_and_carrying_out_loses_nothing(v: TestVault) {
        old_and_young(&v).await;
        {
            let mut pruner = v.door().pruner(RETENTION);
            let cut = next(&v, &mut pruner).await;
            assert!(v.merge(12).await > 0);
            assert!(!pruner.carry_out(cut).await.expect("the store answers"));
        }
        is_whole(v).await;
    }

    async fn two_who_prune_with_other_cutoffs_lose_nothing(v: TestVault) {
        old_and_young(&v).await;
        {
            let mut one = v.door().pruner(RETENTION);
            let early = next(&v, &mut one).await;
            let mut other = v.door().pruner(Ttl::days(88));
            let late = next(&v, &mut other).await;
            assert!(other.carry_out(late).await.expect("the store answers"));
            assert!(!one.carry_out(early).await.expect("the store answers"));
        }
        is_whole(v).await;
    }

    async fn a_bundle_that_is_pruned_under_its_reader_breaks_off(v: TestVault) {
        v.set(SECRET, "a", "1").await;
        for _ in 0..8 {
            v.get("/secrets/payments/prod/s0", &v.root).await.is(200);
        }
        v.advance(Ttl::days(92));
        let heads = v.door().heads().await.expect("heads");
        let mut reader = v.door().export_bundle(heads, &mut Vec::new()).expect("a reader");
        let mut pruner = v.door().pruner(RETENTION);
        let pruned = prune_records(v.door(), &mut pruner, true, || false).await;
        assert!(pruned.expect("a log that can be pruned") > 0);
        let end = loop {
            match reader.next_chunk().await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Err(Refusal::Unavailable(_))), "{end:?}");
        v.verify().await;
    }

    async fn an_older_head_does_not_launder_an_older_row(v: TestVault) {
        v.set(SECRET, "a", "old").await;
        cut(&v, &[
            "CREATE TABLE kept_stream AS SELECT * FROM stream",
            "CREATE TABLE kept_document AS SELECT * FROM document",
            "CREATE TABLE kept_version AS SELECT * FROM version",
        ]).await;
        v.set(SECRET, "a", "new").await;
        for _ in 0..4 {
            v.get("/secrets/payments/prod/s0", &v.root).await.is(200);
        }
        v.advance(Ttl::days(92));
        v.get("/secrets/payments/prod/s0", &v.root).await.is(200);
        let set = |from: &str| {
            let column = |name: &str| format!("{name} = (SELECT {name} FROM {from} e WHERE e.id = stream.id)");
            format!("UPDATE stream SET {}", ["size", "frontier", "head"].map(column).join(", "))
        };
        cut(&v, &["CREATE TABLE present_stream AS SELECT * FROM stream", &set("kept_stream")]).await;
        {
            let mut pruner = v.door().pruner(RETENTION);
            let plan = pruner.plan().await;
            cut(&v, &[&set("present_stream")]).await;
            if let Ok(Some(mut plan)) = plan {
                while let Some(cut) = pruner.next_cut(&mut plan).await.expect("a cut") {
                    v.door().run_system("retention", PruneRecords::of(&cut)).await.expect("a record");
                    assert!(pruner.carry_out(cut).await.expect("the store answers"));
                }
            }
        }
        // The older truth is put back, as if nothing had come after it.
        let v = v.restart_after(async |url| {
            let mut knife = Knife::at(url).await;
            for statement in [
                "UPDATE document SET sealed = (SELECT sealed FROM kept_document e WHERE e.kind = document.kind AND e.id = document.id) WHERE EXISTS (SELECT 1 FROM kept_document e WHERE e.kind = document.kind AND e.id = document.id)",
                "DELETE FROM version WHERE id NOT IN (SELECT id FROM kept_version)",
                "DROP TABLE kept_document", "DROP TABLE kept_stream", "DROP TABLE kept_version", "DROP TABLE present_stream",
            ] {
                knife.run(statement).await.expect(statement);
            }
            knife.close().await;
        }).await;
        v.verify().await;
        let (_, said) = v.check().await;
        assert!(!said.is_empty(), "check agrees with an older row that was put back");
    }

    async fn a_log_that_does_not_lead_to_its_heads_is_not_pruned(v: TestVault) {
        let mut v = v;
        for damage in [SWAP, DELETE] {
            for number in 0..8 {
                v.set(&format!("payments/prod/s{number}"), "a", "1").await;
                v.get(&format!("/secrets/payments/prod/s{number}"), &v.root).await.is(200);
            }
            v.advance(Ttl::days(92));
            v.set("payments/prod/new", "a", "1").await;
            v = v.restart_after(async |url| {
                let mut knife = Knife::at(url).await;
                knife.run(damage).await.expect("the damage can be done");
                knife.close().await;
            }).await;
            let pruned = {
                let mut pruner = v.door().pruner(Ttl::days(90));
                prune_records(v.door(), &mut pruner, true, || false).await
            };
            assert!(matches!(pruned, Err(Refusal::Tampered)), "{pruned:?}");
            let (again, said) = v.check().await;
            v = again;
            assert!(!said.is_empty() && said.iter().all(|line| line.contains("segment")), "{said:?}");
        }
    }
}

/// A true segment of another history, laid over records that another segment holds, is not hashed: nor is it heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_of_another_history_are_not_heard() {
    let v = TestVault::new(Engine::Sqlite).await;
    v.set(SECRET, "a", "1").await;
    for _ in 0..4 {
        v.get("/secrets/payments/prod/s0", &v.root).await.is(200);
    }
    v.advance(Ttl::days(92));
    let (v, other) = v.forked().await;
    let reads = 7;
    for _ in 0..reads {
        other
            .get("/secrets/payments/prod/s0", &other.root)
            .await
            .is(200);
    }
    // A change that never was in the history that counts.
    other.set(SECRET, "a", "2").await;
    for _ in 0..reads + 12 {
        v.get("/secrets/payments/prod/s0", &v.root).await.is(200);
    }
    assert!(v.merge(5).await > 0);
    let DatabaseUrl::Sqlite(from) = other.url() else {
        panic!("it is on SQLite");
    };
    cut(
        &v,
        &[
            &format!("ATTACH '{}' AS other", from.display()),
            "CREATE TABLE foreign_segment AS SELECT * FROM other.segment WHERE first = (SELECT MAX(first) FROM other.segment)",
            "INSERT INTO segment SELECT * FROM foreign_segment",
        ],
    )
    .await;
    assert_eq!(writes(&v).await, 1);
    {
        // Whether it stops or goes on, what made the living value stays.
        let mut pruner = v.door().pruner(RETENTION);
        let pruned = prune_records(v.door(), &mut pruner, true, || false).await;
        assert!(
            matches!(pruned, Ok(_) | Err(Refusal::Tampered)),
            "{pruned:?}"
        );
    }
    cut(
        &v,
        &[
            "DELETE FROM segment WHERE sealed IN (SELECT sealed FROM foreign_segment)",
            "DROP TABLE foreign_segment",
        ],
    )
    .await;
    v.verify().await;
    assert_eq!(writes(&v).await, 1);
    is_whole(v).await;
}
