//! Groups A, D and F: two callers who take turns, the same names in two places, and what is remembered from one request to the
//! next: whoever asks is decided at each request, by who they are and where they look.

use coffer::model::Ttl;
use coffer::store::Engine;
use reqwest::Method;
use serde_json::json;

use super::garbage::Numbers;
use super::raw::{Raw, RawAnswer, head};
use crate::matrix::rows::{ROWS, Row};
use crate::support::client::Token;
use crate::support::provider::Provider;
use crate::support::vault::{TestVault, both_engines};

const HOUR: Ttl = Ttl::seconds(3600);

/// The same path, some of its characters encoded, in digits of either case.
fn spelt(numbers: &mut Numbers, path: &str) -> String {
    let part = |byte: u8, numbers: &mut Numbers| match (byte, numbers.below(4)) {
        (b'/', _) | (_, 0 | 1) => char::from(byte).to_string(),
        (byte, 2) => format!("%{byte:02x}"),
        (byte, _) => format!("%{byte:02X}"),
    };
    path.bytes().map(|byte| part(byte, numbers)).collect()
}

both_engines! {
    /// Two connections and two secrets of one name, in two places: each is its own place's.
    async fn replay_a14_the_same_name_in_two_places(v: TestVault) {
        v.place("shop/prod").await;
        let provider = Provider::start().await;
        let mut served = Vec::new();
        for project in ["payments", "shop"] {
            v.set(&format!("{project}/prod/github"), "value", project).await;
            v.post(&format!("/connections/{project}/prod/github-app"), provider.grant().import(), &v.root).await.is(201);
            let own = v.token(&format!("list,read,write,delete,connect:{project}/**"), HOUR).await;
            let read = v.get(&format!("/secrets/{project}/prod/github"), &own).await.is(200).json();
            assert_eq!(read["fields"]["value"], project);
            let token = v.get(&format!("/connections/{project}/prod/github-app/token"), &own).await.is(200).json();
            served.push(token["access_token"].clone());
            let other = if project == "shop" { "payments" } else { "shop" };
            for path in ["secrets/{}/prod/github", "connections/{}/prod/github-app/token", "history/{}/prod/github"] {
                let path = format!("/{}", path.replace("{}", other));
                v.get(&path, &own).await.is_problem(404, "not-found");
            }
            let taken = v.delete(&format!("/connections/{other}/prod/github-app"), &own);
            taken.await.is_problem(404, "not-found");
        }
        assert_ne!(served[0], served[1]);
        v.delete("/connections/shop/prod/github-app", &v.root).await.is(204);
        v.get("/connections/payments/prod/github-app/token", &v.root).await.is(200);
    }

    /// Two tenants on one server, each with the same names, keys and conditions, in turns: neither is given what is the other's.
    async fn replay_d21_two_tenants_in_turns(v: TestVault) {
        v.place("shop/prod").await;
        let payments = v.token("read,write:payments/**", HOUR).await;
        let shop = v.token("read,write:shop/**", HOUR).await;
        for round in 0..40 {
            let key = format!("key-{}", round / 2);
            for (project, own, other) in [("payments", &payments, "shop"), ("shop", &shop, "payments")] {
                let path = format!("/secrets/{project}/prod/same");
                let body = json!({ "fields": { "value": format!("{project} {}", round / 2) } });
                let written = v.put(&path, body, own).header("idempotency-key", &key).await;
                assert!(matches!(written.status(), 200 | 201), "{}", written.text());
                assert_eq!(written.header("idempotency-replayed").is_some(), round % 2 == 1);
                let read = v.get(&path, own).await.is(200);
                assert_eq!(read.json()["fields"]["value"], format!("{project} {}", round / 2));
                let foreign = v.get(&format!("/secrets/{other}/prod/same"), own).header("if-none-match", &read.etag());
                foreign.await.is_problem(404, "not-found");
            }
        }
        let records = v.audit().await;
        let foreign = records.all().iter().filter(|record| record.outcome().starts_with("refused"));
        assert_eq!(foreign.count(), 80);
    }

    /// The log is the cluster's: who may audit one project, or everything but the system, reads nothing of it.
    async fn replay_d24_a_log_that_others_may_read(v: TestVault) {
        v.place("shop/dev").await;
        v.set("payments/prod/stripe", "value", "1").await;
        for scopes in ["audit:shop/**", "audit:payments/**", "audit:**", "audit,list,read:shop/dev/sys/audit", "list,read,manage:sys/**"] {
            let auditor = v.token(scopes, HOUR).await;
            let (status, code) = if scopes.contains(":sys/") { (403, "forbidden") } else { (404, "not-found") };
            for path in ["/audit/records", "/audit/records?resource=shop/**", "/audit/records?order=newest&principal=app/root", "/audit/export", "/audit/bundle", "/audit/head", "/audit/key"] {
                v.get(path, &auditor).await.is_problem(status, code);
            }
        }
        let auditor = v.token("audit:sys/audit", HOUR).await;
        let found = v.get("/audit/records?limit=1000&resource=payments/**", &auditor).await.is(200).text();
        assert!(found.contains("payments/prod/stripe"));
        v.get("/secrets/payments/prod/stripe", &auditor).await.is_problem(404, "not-found");
    }

    /// Keys of requests that could run into each other if they were put together as text.
    async fn replay_f03_keys_that_run_into_each_other(v: TestVault) {
        let keys = ["a", "a:b", "a/b", "a|b", "a,b", "a%00b", "a'b", "a--b", "a;b", "';DROP-TABLE-document;--", "k1", "k11"];
        for (number, key) in keys.into_iter().enumerate() {
            for place in ["x", "y"] {
                let body = json!({ "fields": { "value": format!("{number}") } });
                let call = v.put(&format!("/secrets/payments/prod/{place}{number}"), body, &v.root);
                let key = format!("{key}{}", if place == "x" { "" } else { "-" });
                let made = call.header("idempotency-key", &key).await.is(201);
                assert_eq!(made.header("idempotency-replayed"), None, "{key}");
            }
        }
        let shown = v.get("/secrets/payments/prod?recursive=true&limit=100", &v.root).await.is(200).json();
        assert_eq!(shown["items"].as_array().map(Vec::len), Some(2 * keys.len()));
    }

    /// What a server remembers decides as what it would look up: every route asked cold, warm, and by others in between.
    async fn replay_f04_what_is_remembered_decides_nothing(v: TestVault) {
        let mut v = v;
        v.set("payments/prod/read", "value", "1").await;
        let tokens = [
            v.token("list,read,audit:payments/prod/**", HOUR).await,
            v.token("list:payments/prod/read", HOUR).await,
            v.token("read:payments/** !read:payments/prod/**", HOUR).await,
            v.token("read:shop/**", HOUR).await,
        ];
        let reads: Vec<_> = ROWS.iter().filter(|row| row.method() == Method::GET && !row.path.contains("/token")).collect();
        let mut seen: Vec<Vec<u16>> = Vec::new();
        for _ in 0..2 {
            for order in [[0, 1, 2, 3], [3, 2, 1, 0]] {
                let mut statuses = vec![0; tokens.len() * reads.len()];
                for (at, row) in reads.iter().enumerate() {
                    for token in order {
                        statuses[at * tokens.len() + token] = v.get(row.path, &tokens[token]).await.status();
                    }
                }
                seen.push(statuses);
            }
            v = v.restart().await;
        }
        assert!(seen.iter().all(|statuses| *statuses == seen[0]), "{seen:?}");
        assert!([200, 403, 404].iter().all(|status| seen[0].contains(status)));
    }
}

/// Sends a route's own request to this target, byte for byte.
async fn asked_by(v: &TestVault, row: &Row, target: &str, token: &Token) -> RawAnswer {
    let mut request = head(row.method().as_str(), target, token);
    if !row.body.is_empty() {
        let length = row.body.len();
        request += &format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    let mut raw = Raw::connect(v).await;
    raw.send(format!("{request}\r\n{}", row.body).as_bytes())
        .await;
    raw.answer().await.expect("an answer")
}

/// A refusal and a permission, each asked for in many spellings of one path on every route that has one: whatever decodes to it
/// is decided as it is, and says the same.
#[tokio::test]
async fn replay_a03_every_spelling_is_decided_alike() {
    let v = TestVault::new(Engine::Sqlite).await;
    v.set("payments/prod/root/key", "value", "hunter2").await;
    v.set("payments/prod/open", "value", "plain").await;
    let every = "list,read,write,delete,destroy,rotate";
    let scopes = format!("{every}:payments/prod/** !{every}:payments/prod/root/**");
    let mallory = v.token(&scopes, HOUR).await;
    let mut numbers = Numbers::new(0x51ab_c37f_0d21_9e45);
    let mut asked = 0;
    for row in ROWS.iter().filter(|row| row.route.ends_with("{*path}")) {
        let (verb, _) = row.path[1..].split_once('/').expect("a verb");
        let method = row.method();
        let paths: &[&str] = match method == Method::GET {
            true => &[
                "payments/prod/root/key",
                "payments/prod/open",
                "payments/prod/nothing",
            ],
            // What changes something is asked for where it is refused alone.
            false => &["payments/prod/root/key", "payments/prod/root/nothing"],
        };
        for path in paths {
            let target = format!("/api/v1/{verb}/{path}");
            let plain = asked_by(&v, row, &target, &mallory).await;
            let said = |answer: &RawAnswer| {
                let body = answer
                    .text
                    .split_once("\r\n\r\n")
                    .expect("a head")
                    .1
                    .to_owned();
                // All but the request's own id.
                let id = body
                    .split("\"request_id\":\"")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next());
                id.map_or(body.clone(), |id| body.replace(id, ""))
            };
            for _ in 0..8 {
                let target = format!(
                    "/api/v1/{}/{}",
                    spelt(&mut numbers, verb),
                    spelt(&mut numbers, path)
                );
                let answer = asked_by(&v, row, &target, &mallory).await;
                assert_eq!(
                    (answer.status, said(&answer)),
                    (plain.status, said(&plain)),
                    "{method} {target}"
                );
                asked += 1;
            }
            if path.contains("root") {
                assert_eq!(plain.status, 404, "{method} {path}");
                assert!(!plain.text.contains("hunter2"));
            }
        }
    }
    assert!(asked > 150, "{asked}");
    let records = v.audit().await;
    let spelt = records.all().iter().filter(|record| {
        record
            .text("resource")
            .is_some_and(|text| text.contains('%'))
    });
    assert_eq!(spelt.count(), 0, "a record has the one spelling");
}
