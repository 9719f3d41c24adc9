//! Groups F and J: spans of time and texts that mean something to a database, in every place that takes one.

use coffer::model::Ttl;
use reqwest::Method;
use serde_json::{Value, json};

use super::unchanged;
use crate::support::provider::Provider;
use crate::support::vault::both_engines;

/// Numbers that are no span of seconds, as JSON has them.
fn no_spans() -> Vec<Value> {
    vec![
        json!(-1),
        json!(1.5),
        json!("60"),
        json!(""),
        json!([60]),
        json!(true),
        json!({}),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MAX),
    ]
}

/// Texts that end a statement, begin another, or match everything.
const SQL: [&str; 9] = [
    "' OR 1=1 --",
    "'; DROP TABLE document; --",
    "\"; DELETE FROM version; --",
    "1); --",
    "%",
    "_",
    "\\",
    "' UNION SELECT sealed FROM document --",
    "$1",
];

both_engines! {
    /// Advisory F2, for every other span that a client can name: how often, how long readable, and how long still good.
    async fn replay_f02_spans_of_every_kind(v: TestVault) {
        v.set("payments/prod/planned", "value", "1").await;
        let provider = Provider::start().await;
        v.post("/connections/payments/prod/grant", provider.grant().import(), &v.root).await.is(201);
        let path = "/rotations/payments/prod/planned";
        unchanged!(v, {
            for wrong in no_spans().into_iter().chain([json!(0), json!(1), json!(59), Value::Null]) {
                v.put(path, json!({ "every": wrong }), &v.root).await.is_problem(400, "bad-request");
            }
            for wrong in no_spans() {
                v.put(path, json!({ "every": 3600, "grace": wrong }), &v.root).await.is_problem(400, "bad-request");
            }
            for text in ["18446744073709551616", "1e3", "0x60", "060", "+60", "NaN", "-0"] {
                let body = format!(r#"{{"every":{text}}}"#);
                v.call(Method::PUT, path).by(&v.root).text(&body).await.is_problem(400, "bad-request");
            }
            // A grace that outlives the period would leave no value that is not old.
            for grace in [3600, 3601, 3_153_600_000_u64] {
                v.put(path, json!({ "every": 3600, "grace": grace }), &v.root).await.is_problem(400, "bad-request");
            }
            for query in ["", "-1", "+1", "1.5", "01", "1e3", "0x1", "18446744073709551616", "%201", "NaN"] {
                let token = v.get(&format!("/connections/payments/prod/grant/token?min_ttl={query}"), &v.root);
                token.await.is_problem(400, "bad-request");
                for key in ["since", "until"] {
                    let records = v.get(&format!("/audit/records?{key}={query}"), &v.root);
                    records.await.is_problem(400, "bad-request");
                }
            }
        });
        v.put(path, json!({ "every": 3_153_600_000_u64, "grace": 0 }), &v.root).await.is(200);
        v.advance(Ttl::days(300));
        let planned = v.get(path, &v.root).await.is(200).json();
        assert_eq!((planned["grace"].as_u64(), planned["last_at"].is_null()), (Some(0), true));
    }

    /// Advisory J5, in whatever is text and is kept or looked for: it is that text, and nothing besides.
    async fn replay_j05_sql_in_every_place(v: TestVault) {
        for (number, text) in SQL.into_iter().enumerate() {
            let path = format!("/secrets/payments/prod/s{number}");
            let key: String = text.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).collect();
            let metadata = json!({ "said": text }).to_string();
            let body = json!({ "fields": { "value": text } });
            let write = v.put(&path, body, &v.root).header("coffer-metadata", &metadata).header("user-agent", text);
            let write = write.header("idempotency-key", &format!("k{number}{key}"));
            write.await.is(201);
            assert_eq!(v.get(&path, &v.root).await.is(200).json()["fields"]["value"], text);
            let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            for (query, statuses) in [("principal", [200, 200]), ("resource", [400, 400]), ("outcome", [400, 400]), ("token", [400, 400]), ("source", [400, 400]), ("action", [400, 400])] {
                let found = v.get(&format!("/audit/records?{query}={escaped}"), &v.root).await;
                assert!(statuses.contains(&found.status()), "{query} {text}: {}", found.text());
                assert!(found.status() == 400 || found.text().is_empty(), "{query} {text}: {}", found.text());
            }
            for listing in ["/secrets/payments/prod?prefix=", "/secrets/payments/prod?cursor=", "/tokens?cursor="] {
                let found = v.get(&format!("{listing}{escaped}"), &v.root).await;
                assert!(found.status() == 400 || text == "_", "{listing} {text}: {}", found.text());
            }
        }
        let records = v.audit().await;
        let said = records.all().iter().filter_map(|record| record.member("metadata")["said"].as_str());
        assert_eq!(said.collect::<Vec<_>>(), SQL);
        let listed = v.get("/secrets/payments/prod?recursive=true&limit=100", &v.root).await.is(200).json();
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(SQL.len()));
    }
}
