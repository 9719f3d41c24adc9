//! The log through the door: its newest records, its export, its heads, its key, and a bundle that verifies offline.
//! Every look at it is in it.

use coffer::model::Ttl;
use coffer_audit_log::{VerifierKey, verify};
use serde_json::{Value, json};

use crate::support::vault::{TestVault, both_engines};

async fn key(v: &TestVault) -> VerifierKey {
    let key = v.get("/audit/key", &v.root).await.is(200).json();
    key["key"]
        .as_str()
        .expect("text")
        .parse()
        .expect("a verifier key")
}

both_engines! {
    async fn a_bundle_verifies_without_the_server(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        v.get("/secrets/payments/prod/stripe", &v.root).await.is(200);
        let key = key(&v).await;
        let bundle = v.get("/audit/bundle", &v.root).await.is(200);
        assert_eq!(bundle.header("content-type"), Some("text/plain; charset=utf-8"));
        let report = verify(bundle.bytes(), &key).expect("it verifies");
        let records: u64 = report.streams.iter().map(|stream| stream.size).sum();
        let in_log = v.audit().await.all().len() as u64;
        assert_eq!((report.streams.len(), records), (1, in_log), "up to the bundle's own record");
        assert!(bundle.text().contains(r#""resource":"payments/prod/stripe""#));
        let again = v.get("/audit/bundle", &v.root).await.is(200);
        let mut damaged = again.bytes().to_vec();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        verify(&damaged[..], &key).expect_err("a flipped bit");
        verify(&again.bytes()[..again.bytes().len() - 1], &key).expect_err("a lost byte");
    }

    async fn every_look_is_recorded(v: TestVault) {
        for path in ["/audit/records", "/audit/export", "/audit/export?format=jsonl", "/audit/bundle", "/audit/head", "/audit/key"] {
            v.get(path, &v.root).await.is(200);
            let records = v.audit().await;
            let record = records.last_is("audit", "sys/audit", "allowed");
            assert_eq!(record.text("principal"), Some("app/root"), "{path}");
        }
    }

    async fn the_newest_records_are_the_last_lines_of_the_export(v: TestVault) {
        for number in 0..5 {
            v.set(&format!("payments/prod/s{number}"), "a", "1").await;
        }
        let newest = v.get("/audit/records?limit=3", &v.root).await.is(200);
        assert_eq!(newest.header("content-type"), Some("application/jsonl"));
        let export = v.get("/audit/export", &v.root).await.is(200).text();
        let (newest, export) = (newest.text(), export.lines().collect::<Vec<_>>());
        let newest: Vec<&str> = newest.lines().collect();
        assert_eq!(newest, export[export.len() - 4..export.len() - 1]);
        assert!(newest[2].contains("sys/audit") && newest[1].contains("payments/prod/s4"), "{newest:?}");
        for bad in ["records?limit=0", "records?limit=1001", "records?limit=x", "records?x=1", "export?format=csv", "export?format=", "bundle?x=1"] {
            v.get(&format!("/audit/{bad}"), &v.root).await.is_problem(400, "bad-request");
        }
    }

    async fn a_record_holds_what_surface_says_and_no_more(v: TestVault) {
        v.set("payments/prod/stripe", "a", "hunter2").await;
        let export = v.get("/audit/export", &v.root).await.is(200).text();
        assert!(!export.contains("hunter2") && !export.contains(&v.root.text));
        let line: Value = export.lines().rev().nth(1).and_then(|line| serde_json::from_str(line).ok()).expect("a record");
        let keys: Vec<&String> = line.as_object().expect("an object").keys().collect();
        assert_eq!(keys, [
            "action", "as_of", "digest", "format", "id", "index", "outcome", "principal", "request", "resource", "salt", "scope", "source", "stream",
            "time", "token", "user_agent", "verdict", "version",
        ]);
        assert_eq!((&line["format"], &line["verdict"]), (&json!(1), &json!("allowed")));
        assert_eq!(line["outcome"], json!({ "code": "ok", "status": 201 }));
    }

    async fn heads_are_signed_and_grow(v: TestVault) {
        let key = key(&v).await;
        let heads = v.get("/audit/head", &v.root).await.is(200).json();
        let first = heads["heads"][0].clone();
        let note = first["note"].as_str().expect("text");
        let head = coffer_audit_log::open_note(note, &key).expect("it is signed");
        assert_eq!((json!(head.size), json!(head.root.to_string())), (first["size"].clone(), first["root"].clone()));
        v.set("payments/prod/stripe", "a", "1").await;
        let later = v.get("/audit/head", &v.root).await.is(200).json();
        assert!(later["heads"][0]["size"].as_u64() > first["size"].as_u64());
        assert_eq!(later["heads"][0]["stream"], first["stream"]);
    }

    async fn the_log_goes_on_after_a_restart_and_verifies_as_one(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        let v = v.restart().await;
        v.get("/secrets/payments/prod/stripe", &v.root).await.is(200);
        let v = v.restart().await;
        let key = key(&v).await;
        let bundle = v.get("/audit/bundle", &v.root).await.is(200);
        let report = verify(bundle.bytes(), &key).expect("it verifies");
        assert_eq!(report.streams.len(), 1);
        let counts = v.audit().await.counts();
        let count = |action: &str| {
            let kind = ["app/root", action, "payments/prod/stripe", "allowed"].map(str::to_owned);
            let [principal, action, resource, outcome] = kind;
            counts.get(&(principal, action, resource, outcome)).copied()
        };
        assert_eq!((count("write"), count("read")), (Some(1), Some(1)));
    }

    async fn the_log_is_for_who_may_audit(v: TestVault) {
        let auditor = v.token("audit:sys/audit", Ttl::seconds(300)).await;
        let reader = v.token("read:**", Ttl::seconds(300)).await;
        let other = v.token("list:sys/audit", Ttl::seconds(300)).await;
        for path in ["/audit/records", "/audit/export", "/audit/bundle", "/audit/head", "/audit/key"] {
            v.get(path, &auditor).await.is(200);
            v.get(path, &reader).await.is_problem(404, "not-found");
            v.audit().await.last_is("audit", "sys/audit", "refused: not-found");
            v.get(path, &other).await.is_problem(403, "forbidden");
            v.audit().await.last_is("audit", "sys/audit", "refused: forbidden");
        }
        v.get("/secrets/payments/prod/stripe", &auditor).await.is_problem(404, "not-found");
    }
}
