//! Asking the log: each condition alone and together, in both orders, before and after segments were merged.
//! What is found is compared with what an export says, line by line.

use coffer::door::RecordFilter;
use coffer::model::Ttl;
use serde_json::Value;

use crate::support::client::Token;
use crate::support::vault::{TestVault, both_engines};

/// The lines of an export, which is the last of them.
async fn lines(v: &TestVault) -> Vec<String> {
    let export = v.get("/audit/export", &v.root).await.is(200).text();
    export.lines().map(str::to_owned).collect()
}

/// What a query finds, in the order in which it comes.
async fn found(v: &TestVault, query: &str) -> Vec<String> {
    let path = format!("/audit/records?{query}");
    let answer = v.get(&path, &v.root).await.is(200).text();
    answer.lines().map(str::to_owned).collect()
}

/// The lines of which this is true.
fn of(lines: &[String], is: impl Fn(&Value) -> bool) -> Vec<String> {
    let is = |line: &&String| is(&serde_json::from_str(line).expect("a record"));
    lines.iter().filter(is).cloned().collect()
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_default()
}

/// Some of everything, by two callers.
async fn some_of_everything(v: &TestVault) -> Token {
    v.place("shop/dev").await;
    let reader = v.token("read:payments/**", Ttl::seconds(300)).await;
    for number in 0..6 {
        v.set(&format!("payments/prod/s{number}"), "a", "1").await;
        v.set(&format!("shop/dev/s{number}"), "a", "1").await;
        let path = format!("/secrets/payments/prod/s{number}");
        v.get(&path, &reader).await.is(200);
        let path = format!("/secrets/shop/dev/s{number}");
        v.get(&path, &reader).await.is_problem(404, "not-found");
    }
    v.get("/secrets/payments/prod/none", &v.root)
        .await
        .is_problem(404, "not-found");
    reader
}

/// Each condition finds what an export says, whatever came after.
async fn agree(v: &TestVault, reader: &Token) {
    let all = lines(v).await;
    let time = |at: usize| {
        let record: Value = serde_json::from_str(&all[at]).expect("a record");
        text(&record, "time").to_owned()
    };
    let (since, until) = (time(8), time(all.len() - 6));
    let only_reader = format!("token={}", reader.id);
    let ninth: Value = serde_json::from_str(&all[8]).expect("a record");
    let ninth = text(&ninth, "request").to_owned();
    let only_ninth = format!("request={ninth}");
    let not_by_nobody = format!("{only_ninth}&principal=app/nobody");
    type Is<'a> = &'a dyn Fn(&Value) -> bool;
    let cases: [(&str, Is<'_>); 14] = [
        ("principal=app/root&action=write,manage", &|r| {
            text(r, "principal") == "app/root" && ["write", "manage"].contains(&text(r, "action"))
        }),
        (&only_reader, &|r| text(r, "token") == reader.id),
        ("action=read&source=127.0.0.1", &|r| {
            text(r, "action") == "read" && text(r, "source") == "127.0.0.1"
        }),
        ("action=read&source=127.0.0.9", &|_| false),
        (&only_ninth, &|r| text(r, "request") == ninth),
        (&not_by_nobody, &|_| false),
        ("request=00000000000000aa-1", &|_| false),
        ("resource=shop/**&principal=app/root", &|r| {
            text(r, "resource").starts_with("shop/") || text(r, "resource") == "shop"
        }),
        ("resource=payments/prod/s3", &|r| {
            text(r, "resource") == "payments/prod/s3"
        }),
        ("verdict=refused", &|r| text(r, "verdict") == "refused"),
        ("outcome=404&verdict=allowed", &|r| {
            r["outcome"]["status"] == 404 && text(r, "verdict") == "allowed"
        }),
        ("outcome=not-found&action=read", &|r| {
            r["outcome"]["code"] == "not-found" && text(r, "action") == "read"
        }),
        ("outcome=no-such-code", &|_| false),
        ("principal=app/nobody", &|_| false),
    ];
    for (query, is) in cases {
        let mut wanted = of(&all, is);
        if query.starts_with("resource=shop/") {
            wanted = of(&wanted, |r| text(r, "principal") == "app/root");
        }
        assert_eq!(
            found(v, &format!("{query}&limit=1000")).await,
            wanted,
            "{query}"
        );
        wanted.reverse();
        let newest = format!("{query}&limit=1000&order=newest");
        assert_eq!(found(v, &newest).await, wanted, "{newest}");
        wanted.truncate(2);
        let two = format!("{query}&limit=2&order=newest");
        assert_eq!(found(v, &two).await, wanted, "{two}");
    }
    let within = found(v, &format!("since={since}&until={until}&limit=1000")).await;
    let is_within = |r: &Value| (&*since..&*until).contains(&text(r, "time"));
    assert_eq!(within, of(&all, is_within));
    assert!(!within.is_empty() && within.len() < all.len());
    assert_eq!(
        found(v, "until=3600").await,
        [""; 0],
        "nothing is an hour old"
    );
    assert_eq!(
        found(v, "since=3600&until=0&limit=1000").await[..all.len()],
        all
    );
}

both_engines! {
    async fn each_condition_finds_what_an_export_says(v: TestVault) {
        let reader = some_of_everything(&v).await;
        agree(&v, &reader).await;
        let before = lines(&v).await;
        assert!(v.merge(16).await > 1, "there is something to merge");
        assert_eq!(v.merge(16).await, 0, "and then there is not");
        assert_eq!(lines(&v).await[..before.len()], before, "every line is as it was");
        agree(&v, &reader).await;
        // Over segments merged a second time, into larger ones, by a node that knows nothing of the first.
        let v = v.restart().await;
        assert!(v.merge(64).await > 0);
        assert_eq!(lines(&v).await[..before.len()], before);
        agree(&v, &reader).await;
        let report = v.verify().await;
        assert_eq!(report.streams.len(), 1);
    }

    async fn looks_at_the_log_go_on_while_it_is_merged(v: TestVault) {
        for _ in 0..70 {
            v.get("/secrets/payments/prod/none", &v.root).await.is_problem(404, "not-found");
        }
        let all = lines(&v).await;
        let heads = v.door().heads().await.expect("heads");
        let mut export = v.door().export(heads.clone());
        let mut query = v.door().query(heads, RecordFilter::default(), 1_000);
        let mut exported = export.next_chunk().await.expect("a chunk").expect("records");
        let mut queried = query.next_chunk().await.expect("a chunk").expect("records");
        assert!(exported.len() < all.iter().map(|line| line.len() + 1).sum(), "there is more to come");
        assert!(v.merge(30).await > 1);
        while let Some(chunk) = export.next_chunk().await.expect("a chunk") {
            exported.extend(chunk);
        }
        while let Some(chunk) = query.next_chunk().await.expect("a chunk") {
            queried.extend(chunk);
        }
        let lines_of = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines_of(exported), all);
        let mut queried = lines_of(queried);
        queried.reverse();
        assert_eq!(queried, all);
    }

    async fn a_query_is_recorded_with_its_conditions(v: TestVault) {
        found(&v, "principal=app/root&resource=payments/**&action=read,write&since=2026-07-06T12:00:00Z&order=newest").await;
        let records = v.audit().await;
        let record = records.last_is("audit", "sys/audit", "allowed");
        let metadata = record.member("metadata");
        assert_eq!(metadata["coffer.audit"], "records");
        let conditions = "since=2026-07-06T12:00:00.000000Z&principal=app/root&action=read,write&resource=payments/**";
        assert_eq!(metadata["coffer.query"], conditions);
    }

    async fn conditions_that_can_mean_nothing_are_refused(v: TestVault) {
        let long = format!("principal={}", "x".repeat(769));
        for bad in [
            "since=yesterday", "since=2026-07-06", "until=2026-07-06T12:00:00%2B02:00", "principal=", "token=root", "source=here", "action=fly",
            "action=", "resource=a//b", "resource=**/x", "verdict=maybe", "outcome=99", "outcome=OK", "order=up", "order=newest&limit=100001",
            "limit=1001", "since=+5", "since=05", "outcome=+200", "outcome=0200", "outcome=-", "outcome=70000", "request=1", "request=00000000000000AA-1", "request=00000000000000aa-01", "source=::ffff:10.0.0.1",
            "source=2001:DB8::1", "action=read,read", &long,
        ] {
            v.get(&format!("/audit/records?{bad}"), &v.root).await.is_problem(400, "bad-request");
        }
    }
}
