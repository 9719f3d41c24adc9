//! An environment's key: its terms, a new one, and old versions moved to it or sealed anew, an old one destroyed; values stay as they are.

use coffer::model::Ttl;
use serde_json::{Value, json};

use crate::support::provider::Provider;
use crate::support::vault::{TestVault, both_engines};

const KEYS: &str = "/keys/payments/prod";

/// How many records of a rewrap there are.
async fn steps(v: &TestVault) -> usize {
    let records = v.audit().await;
    let rotated = records.all().iter().filter(|record| {
        record.text("action") == Some("rotate") && record.text("resource") == Some("payments/prod")
    });
    // The first was of the new term.
    rotated.count() - 1
}

async fn census(v: &TestVault) -> Value {
    let keys = v.get(KEYS, &v.root).await.is(200).json();
    assert_eq!(keys["environment"], "payments/prod");
    keys["terms"].clone()
}

fn term(term: u32, state: &str, versions: u32) -> Value {
    json!({ "term": term, "state": state, "versions": versions })
}

both_engines! {
    async fn a_census_counts_what_each_term_protects(v: TestVault) {
        assert_eq!(census(&v).await, json!([term(1, "current", 0)]));
        v.audit().await.last_is("list", "payments/prod", "allowed");
        for value in ["1", "2"] {
            v.set("payments/prod/stripe", "a", value).await;
        }
        assert_eq!(census(&v).await, json!([term(1, "current", 2)]));
        v.post("/destroy/payments/prod/stripe", json!({ "versions": [1] }), &v.root).await.is(200);
        assert_eq!(census(&v).await, json!([term(1, "current", 1)]));
    }

    async fn new_writes_use_the_new_term_and_rewrap_moves_the_old_ones(v: TestVault) {
        for secret in ["a", "b", "c"] {
            v.set(&format!("payments/prod/{secret}"), "value", "1").await;
        }
        let rotated = v.post(&format!("{KEYS}/rotate"), json!({}), &v.root).await.is(200).json();
        assert_eq!(rotated["terms"], json!([term(1, "retired", 3), term(2, "current", 0)]));
        v.audit().await.last_is("rotate", "payments/prod", "allowed");
        v.set("payments/prod/a", "value", "2").await;
        assert_eq!(census(&v).await, json!([term(1, "retired", 3), term(2, "current", 1)]));
        let moved = v.post(&format!("{KEYS}/rewrap"), json!({}), &v.root).await.is(200).json();
        assert_eq!(moved["terms"], json!([term(1, "retired", 0), term(2, "current", 4)]));
        v.audit().await.last_is("rotate", "payments/prod", "allowed");
        for (secret, value) in [("a", "2"), ("b", "1"), ("c", "1")] {
            let read = v.get(&format!("/secrets/payments/prod/{secret}"), &v.root).await.is(200).json();
            assert_eq!(read["fields"]["value"], value);
        }
        assert_eq!(v.get("/secrets/payments/prod/a?version=1", &v.root).await.is(200).json()["fields"]["value"], "1");
        let v = v.restart().await;
        assert_eq!(v.get("/secrets/payments/prod/b", &v.root).await.is(200).json()["fields"]["value"], "1");
        assert_eq!(census(&v).await, json!([term(1, "retired", 0), term(2, "current", 4)]));
    }

    async fn a_rewrap_larger_than_a_decision_ends(v: TestVault) {
        for number in 0..250 {
            v.set(&format!("payments/prod/s{number}"), "value", "1").await;
        }
        v.post(&format!("{KEYS}/rotate"), json!({}), &v.root).await.is(200);
        let moved = v.post(&format!("{KEYS}/rewrap"), json!({}), &v.root).await.is(200).json();
        assert_eq!(moved["terms"], json!([term(1, "retired", 0), term(2, "current", 250)]));
        assert_eq!(steps(&v).await, 4, "three move, one counts");
        assert_eq!(v.get("/secrets/payments/prod/s249", &v.root).await.is(200).json()["fields"]["value"], "1");
    }

    async fn a_rewrap_gives_way_to_who_asks(v: TestVault) {
        for number in 0..350 {
            v.set(&format!("payments/prod/s{number}"), "value", "1").await;
        }
        v.post(&format!("{KEYS}/rotate"), json!({}), &v.root).await.is(200);
        let over = std::sync::atomic::AtomicBool::new(false);
        let moving = async {
            let moved = v.post(&format!("{KEYS}/rewrap"), json!({}), &v.root).await.is(200).json();
            over.store(true, std::sync::atomic::Ordering::Release);
            moved
        };
        let reading = async {
            while !over.load(std::sync::atomic::Ordering::Acquire) {
                v.get("/secrets/payments/prod/s1", &v.root).await.is(200);
            }
        };
        let (moved, ()) = tokio::join!(moving, reading);
        assert_eq!(moved["terms"], json!([term(1, "retired", 0), term(2, "current", 350)]));
        // Alone it takes four that move and one that counts.
        let steps = steps(&v).await;
        assert!(steps > 5, "{steps}");
    }

    async fn reencrypting_changes_no_value_no_number_and_no_etag(v: TestVault) {
        let provider = Provider::start().await;
        v.post("/connections/payments/prod/grant", provider.grant().import(), &v.root).await.is(201);
        for value in ["1", "2", "3"] {
            v.set("payments/prod/a", "value", value).await;
        }
        v.post("/destroy/payments/prod/a", json!({ "versions": [2] }), &v.root).await.is(200);
        v.set("payments/prod/gone", "value", "kept").await;
        v.delete("/secrets/payments/prod/gone", &v.root).await.is(204);
        let look = async |v: &TestVault| {
            let mut seen = vec![v.get("/history/payments/prod/a", &v.root).await.is(200).json()];
            for path in ["a", "a?version=1", "a?version=3"] {
                let read = v.get(&format!("/secrets/payments/prod/{path}"), &v.root).await.is(200);
                seen.push(json!([read.header("etag"), read.json()]));
            }
            seen.push(v.get("/connections/payments/prod/grant/token", &v.root).await.is(200).json());
            seen
        };
        let before = look(&v).await;
        let renewed = v.post(&format!("{KEYS}/reencrypt"), json!({}), &v.root).await.is(200).json();
        assert_eq!(renewed["terms"], json!([term(1, "retired", 0), term(2, "current", 5)]));
        v.audit().await.last_is("rotate", "payments/prod", "allowed");
        assert_eq!(look(&v).await, before);
        v.post(&format!("{KEYS}/destroy"), json!({ "term": 1 }), &v.root).await.is(200);
        let v = v.restart().await;
        assert_eq!(look(&v).await, before);
        v.post("/undelete/payments/prod/gone", json!({}), &v.root).await.is(200);
        assert_eq!(v.get("/secrets/payments/prod/gone", &v.root).await.is(200).json()["fields"]["value"], "kept");
        // The next one is another, and a rewrap finds nothing in its way.
        v.post(&format!("{KEYS}/reencrypt"), json!({}), &v.root).await.is(200);
        v.post(&format!("{KEYS}/rewrap"), json!({}), &v.root).await.is(200);
        assert_eq!(census(&v).await, json!([term(1, "destroyed", 0), term(2, "retired", 0), term(3, "current", 5)]));
    }

    async fn a_term_that_protects_nothing_is_destroyed(v: TestVault) {
        let destroy = format!("{KEYS}/destroy");
        let provider = Provider::start().await;
        v.post("/connections/payments/prod/grant", provider.grant().import(), &v.root).await.is(201);
        for secret in ["a", "b"] {
            v.set(&format!("payments/prod/{secret}"), "value", "1").await;
        }
        let refused = async |term: u32, status: u16, code: &str| {
            v.post(&destroy, json!({ "term": term }), &v.root).await.is_problem(status, code);
            v.audit().await.last_is("destroy", "payments/prod", &format!("allowed: {code}"));
        };
        refused(1, 409, "term-current").await;
        v.post(&format!("{KEYS}/rotate"), json!({}), &v.root).await.is(200);
        // The rows of a connection count, and those of a secret that is deleted.
        refused(1, 409, "term-in-use").await;
        v.delete("/secrets/payments/prod/a", &v.root).await.is(204);
        v.post("/destroy/payments/prod/b", json!({}), &v.root).await.is(200);
        v.delete("/connections/payments/prod/grant", &v.root).await.is(204);
        assert_eq!(census(&v).await, json!([term(1, "retired", 1), term(2, "current", 0)]));
        refused(1, 409, "term-in-use").await;
        for unknown in [0, 3, u32::MAX] {
            refused(unknown, 404, "not-found").await;
        }
        v.post(&format!("{KEYS}/rewrap"), json!({}), &v.root).await.is(200);
        let gone = json!([term(1, "destroyed", 0), term(2, "current", 1)]);
        assert_eq!(v.post(&destroy, json!({ "term": 1 }), &v.root).await.is(200).json()["terms"], gone);
        v.audit().await.last_is("destroy", "payments/prod", "allowed");
        refused(1, 404, "not-found").await;
        refused(2, 409, "term-current").await;
        let v = v.restart().await;
        assert_eq!(census(&v).await, gone);
        v.post("/undelete/payments/prod/a", json!({}), &v.root).await.is(200);
        assert_eq!(v.get("/secrets/payments/prod/a", &v.root).await.is(200).json()["fields"]["value"], "1");
        let rotated = v.post(&format!("{KEYS}/rotate"), json!({}), &v.root).await.is(200).json();
        assert_eq!(rotated["terms"], json!([term(1, "destroyed", 0), term(2, "retired", 1), term(3, "current", 0)]));
    }

    async fn a_body_that_names_no_term_destroys_none(v: TestVault) {
        v.post(&format!("{KEYS}/rotate"), json!({}), &v.root).await.is(200);
        for body in [json!({}), json!({ "term": "1" }), json!({ "term": -1 }), json!({ "terms": [1] }), json!({ "term": 1, "yes": true })] {
            v.post(&format!("{KEYS}/destroy"), body, &v.root).await.is_problem(400, "bad-request");
        }
        assert_eq!(census(&v).await, json!([term(1, "retired", 0), term(2, "current", 0)]));
    }

    async fn keys_are_rotated_by_who_may(v: TestVault) {
        let minutes = Ttl::seconds(300);
        let lister = v.token("list:payments/prod", minutes).await;
        v.get(KEYS, &lister).await.is(200);
        let reader = v.token("read:payments/prod/**", minutes).await;
        v.get(KEYS, &reader).await.is_problem(403, "forbidden");
        let other = v.token("rotate,list:payments/test/**", minutes).await;
        for verb in ["rotate", "rewrap", "reencrypt"] {
            let path = format!("{KEYS}/{verb}");
            v.post(&path, json!({}), &lister).await.is_problem(403, "forbidden");
            v.audit().await.last_is("rotate", "payments/prod", "refused: forbidden");
            v.post(&path, json!({}), &other).await.is_problem(404, "not-found");
            v.post(&format!("/keys/payments/test/{verb}"), json!({}), &v.root).await.is_problem(404, "not-found");
            v.audit().await.last_is("rotate", "payments/test", "allowed: not-found");
        }
        let rotator = v.token("rotate:payments/prod", minutes).await;
        v.post(&format!("{KEYS}/rotate"), json!({}), &rotator).await.is(200);
        assert_eq!(census(&v).await, json!([term(1, "retired", 0), term(2, "current", 0)]));
        let (destroy, body) = (format!("{KEYS}/destroy"), json!({ "term": 1 }));
        for token in [&rotator, &lister] {
            v.post(&destroy, body.clone(), token).await.is_problem(403, "forbidden");
            v.audit().await.last_is("destroy", "payments/prod", "refused: forbidden");
        }
        v.post(&destroy, body.clone(), &other).await.is_problem(404, "not-found");
        let below = v.token("destroy:payments/prod/*", minutes).await;
        v.post(&destroy, body.clone(), &below).await.is_problem(404, "not-found");
        let destroyer = v.token("destroy:payments/prod", minutes).await;
        v.post(&destroy, body, &destroyer).await.is(200);
    }
}
