//! Writing: replace, merge, generate, and only if what is there is what was expected.
//! A write that is refused changes nothing.

use coffer::model::Ttl;
use reqwest::Method;
use serde_json::{Value, json};

use super::STRIPE;
use crate::support::vault::{TestVault, both_engines};

async fn fields(v: &TestVault) -> Value {
    v.get(STRIPE, &v.root).await.is(200).json()["fields"].clone()
}

both_engines! {
    async fn a_write_answers_what_it_made_and_never_the_value(v: TestVault) {
        let made = v.put(STRIPE, json!({ "fields": { "api_key": "sk_1" } }), &v.root).await.is(201);
        let body = made.json();
        let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["created_at", "path", "state", "version"]);
        assert_eq!((&body["path"], &body["version"], &body["state"]), (&json!("payments/prod/stripe"), &json!(1), &json!("current")));
        let records = v.audit().await;
        let record = records.last_is("write", "payments/prod/stripe", "allowed");
        assert_eq!((record.status(), record.text("version")), (201, Some("1")));
        assert!(record.text("digest").is_some_and(|digest| digest.len() == 64));
        let again = v.put(STRIPE, json!({ "fields": { "api_key": "sk_2" } }), &v.root).await.is(200);
        assert_eq!(again.json()["version"], 2);
        assert_ne!(again.etag(), made.etag());
        assert_eq!(v.audit().await.last_is("write", "payments/prod/stripe", "allowed").status(), 200);
    }

    async fn put_replaces_and_patch_merges(v: TestVault) {
        v.put(STRIPE, json!({ "fields": { "a": "1", "b": "2" } }), &v.root).await.is(201);
        v.patch(STRIPE, json!({ "fields": { "b": "3", "c": "4" } }), &v.root).await.is(200);
        assert_eq!(fields(&v).await, json!({ "a": "1", "b": "3", "c": "4" }));
        v.patch(STRIPE, json!({ "fields": { "a": null, "absent": null } }), &v.root).await.is(200);
        assert_eq!(fields(&v).await, json!({ "b": "3", "c": "4" }));
        v.put(STRIPE, json!({ "fields": { "d": "5" } }), &v.root).await.is(200);
        assert_eq!(fields(&v).await, json!({ "d": "5" }));
        v.patch(STRIPE, json!({ "fields": { "d": null } }), &v.root).await.is_problem(400, "bad-request");
        assert_eq!(fields(&v).await, json!({ "d": "5" }));
        v.put(STRIPE, json!({ "fields": { "d": null } }), &v.root).await.is_problem(400, "bad-request");
    }

    async fn a_patch_makes_what_is_not_there(v: TestVault) {
        v.patch(STRIPE, json!({ "fields": { "a": "1" } }), &v.root).await.is(201);
        assert_eq!(fields(&v).await, json!({ "a": "1" }));
    }

    async fn a_value_is_made_up_where_it_is_asked_for(v: TestVault) {
        let asked = json!({ "fields": { "user": "shop" }, "generate": { "password": { "length": 40 }, "pin": { "length": 39, "alphabet": "0123456789" } } });
        let made = v.put(STRIPE, asked, &v.root).await.is(201);
        assert!(!made.text().contains("password"), "{}", made.text());
        let now = fields(&v).await;
        let text = |field: &str| now[field].as_str().expect("text").to_owned();
        assert_eq!((text("user"), text("password").len(), text("pin").len()), ("shop".to_owned(), 40, 39));
        assert!(text("password").bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(text("pin").bytes().all(|byte| byte.is_ascii_digit()));
        for weak in [json!({ "length": 21 }), json!({ "length": 38, "alphabet": "0123456789" }), json!({ "length": 64, "alphabet": "aab" }), json!({ "length": 5000 }), json!({})] {
            v.put(STRIPE, json!({ "generate": { "password": weak } }), &v.root).await.is_problem(400, "bad-request");
        }
        let twice = json!({ "fields": { "a": "1" }, "generate": { "a": { "length": 40 } } });
        v.put(STRIPE, twice, &v.root).await.is_problem(400, "bad-request");
        assert_eq!(fields(&v).await, now);
    }

    async fn a_write_happens_only_on_the_version_it_expects(v: TestVault) {
        let body = |value: &str| json!({ "fields": { "a": value } });
        v.put(&format!("{STRIPE}?if_version=1"), body("0"), &v.root).await.is_problem(412, "precondition-failed");
        v.put(&format!("{STRIPE}?if_version=0"), body("1"), &v.root).await.is(201);
        v.put(&format!("{STRIPE}?if_version=0"), body("2"), &v.root).await.is_problem(412, "precondition-failed");
        v.audit().await.last_is("write", "payments/prod/stripe", "allowed: precondition-failed");
        v.patch(&format!("{STRIPE}?if_version=1"), body("2"), &v.root).await.is(200);
        v.patch(&format!("{STRIPE}?if_version=1"), body("3"), &v.root).await.is_problem(412, "precondition-failed");
        v.delete(&format!("{STRIPE}?if_version=1"), &v.root).await.is_problem(412, "precondition-failed");
        assert_eq!(fields(&v).await, json!({ "a": "2" }));
        v.delete(&format!("{STRIPE}?if_version=2"), &v.root).await.is(204);
    }

    async fn a_write_happens_only_on_the_etag_it_expects(v: TestVault) {
        let body = |value: &str| json!({ "fields": { "a": value } });
        v.put(STRIPE, body("0"), &v.root).header("if-match", "*").await.is_problem(412, "precondition-failed");
        v.put(STRIPE, body("1"), &v.root).header("if-none-match", "*").await.is(201);
        v.put(STRIPE, body("2"), &v.root).header("if-none-match", "*").await.is_problem(412, "precondition-failed");
        let etag = v.get(STRIPE, &v.root).await.is(200).etag();
        v.put(STRIPE, body("2"), &v.root).header("if-match", &etag).await.is(200);
        v.put(STRIPE, body("3"), &v.root).header("if-match", &etag).await.is_problem(412, "precondition-failed");
        v.put(STRIPE, body("3"), &v.root).header("if-match", "\"0000000000000000.2\"").await.is_problem(412, "precondition-failed");
        v.delete(STRIPE, &v.root).header("if-match", &etag).await.is_problem(412, "precondition-failed");
        assert_eq!(fields(&v).await, json!({ "a": "2" }));
        let weak = format!("W/{}", v.get(STRIPE, &v.root).await.is(200).etag());
        v.put(STRIPE, body("3"), &v.root).header("if-match", &weak).await.is_problem(400, "bad-request");
        v.put(STRIPE, body("3"), &v.root).header("if-none-match", &etag).await.is_problem(400, "bad-request");
        let both = v.put(&format!("{STRIPE}?if_version=2"), body("3"), &v.root).header("if-match", &etag);
        both.await.is_problem(400, "bad-request");
        assert_eq!(fields(&v).await, json!({ "a": "2" }));
    }

    async fn a_path_in_another_case_clashes(v: TestVault) {
        v.set("payments/prod/Stripe", "a", "1").await;
        let body = json!({ "fields": { "a": "2" } });
        v.put(STRIPE, body.clone(), &v.root).await.is_problem(409, "case-clash");
        v.audit().await.last_is("write", "payments/prod/stripe", "allowed: case-clash");
        v.get(STRIPE, &v.root).await.is_problem(404, "not-found");
        v.delete("/secrets/payments/prod/Stripe", &v.root).await.is(204);
        v.put(STRIPE, body, &v.root).await.is(201);
    }

    async fn what_is_no_body_changes_nothing(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        let deep = format!("{{\"fields\":{}{}}}", "[".repeat(40), "]".repeat(40));
        let wide: Vec<String> = (0..1_100).map(|key| format!("\"k{key}\":\"\"")).collect();
        for bad in [
            "", "{}", "[]", "null", "x", "{\"fields\":{}}", "{\"fields\":{\"a\":1}}", "{\"fields\":{\"a\":[\"hunter2\"]}}",
            "{\"fields\":{\"a\":\"1\",\"a\":\"2\"}}", "{\"fields\":{\"a\":\"1\"},\"fields\":{}}", "{\"fields\":{\"a\":{\"base64\":\"AP9=\"}}}",
            "{\"fields\":{\"a\":{\"base64\":\"AP8=\",\"x\":1}}}", "{\"fields\":{\"1a\":\"1\"}}", "{\"fields\":{\"\":\"1\"}}",
            "{\"fields\":{\"a\":\"1\"}} x", &deep, &format!("{{\"fields\":{{{}}}}}", wide.join(",")),
        ] {
            let refused = v.call(Method::PUT, STRIPE).by(&v.root).text(bad).await.is_problem(400, "bad-request");
            assert!(!refused.text().contains("hunter2"), "{}", refused.text());
        }
        let unknown = v.put(STRIPE, json!({ "fields": { "a": "2" }, "fieldz": {} }), &v.root).await;
        assert!(unknown.is_problem(400, "bad-request").detail().contains("`fieldz`"));
        assert_eq!(fields(&v).await, json!({ "a": "1" }));
    }

    async fn a_value_and_a_version_have_a_limit(v: TestVault) {
        let value = |bytes: usize| "x".repeat(bytes);
        v.put(STRIPE, json!({ "fields": { "a": value(64 << 10) } }), &v.root).await.is(201);
        v.put(STRIPE, json!({ "fields": { "a": value((64 << 10) + 1) } }), &v.root).await.is_problem(413, "too-large");
        v.audit().await.last_is("write", "payments/prod/stripe", "allowed: too-large");
        let many: serde_json::Map<String, Value> = (0..9).map(|key| (format!("k{key}"), value(60_000).into())).collect();
        v.put(STRIPE, json!({ "fields": many }), &v.root).await.is_problem(413, "too-large");
        let huge = v.put(STRIPE, json!({ "fields": { "a": value(2 << 20) } }), &v.root).await;
        huge.is_problem(413, "too-large");
        assert_eq!(fields(&v).await["a"].as_str().map(str::len), Some(64 << 10));
    }

    async fn names_are_canonical_or_refused(v: TestVault) {
        let body = json!({ "fields": { "a": "1" } });
        for good in ["stripe", "a/b/c", "A_b.c@d:e=f~g+h-i", &["a"; 16].join("/"), &"a".repeat(128)] {
            v.put(&format!("/secrets/payments/prod/{good}"), body.clone(), &v.root).await.is(201);
        }
        let seventeen = ["a"; 17].join("/");
        let long = "a".repeat(129);
        for bad in ["-a", ".a", "a//b", "a/", "a%2Fb", "a%5Cb", "a%00b", "a%20b", "a%252Fb", "%C3%A4", "a;b", &seventeen, &long] {
            let path = format!("/secrets/payments/prod/{bad}");
            v.put(&path, body.clone(), &v.root).await.is_problem(400, "bad-request");
            v.get(&path, &v.root).await.is_problem(400, "bad-request");
        }
        for bad in ["Payments/prod", "payments/Prod", "1payments/prod", "payments/prod_x", "sys/prod"] {
            v.put(&format!("/secrets/{bad}/a"), body.clone(), &v.root).await.is_problem(400, "bad-request");
        }
        // Percent-encoding is decoded once, and the record says the decoded name.
        v.get("/secrets/payments/prod/str%69pe", &v.root).await.is(200);
        v.audit().await.last_is("read", "payments/prod/stripe", "allowed");
    }

    async fn who_may_read_may_not_write(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        let reader = v.token("read:payments/prod/**", Ttl::seconds(300)).await;
        let body = json!({ "fields": { "a": "2" } });
        v.put(STRIPE, body.clone(), &reader).await.is_problem(403, "forbidden");
        v.audit().await.last_is("write", "payments/prod/stripe", "refused: forbidden");
        v.patch(STRIPE, body.clone(), &reader).await.is_problem(403, "forbidden");
        v.delete(STRIPE, &reader).await.is_problem(403, "forbidden");
        v.audit().await.last_is("delete", "payments/prod/stripe", "refused: forbidden");
        let stranger = v.token("read,write:payments/test/**", Ttl::seconds(300)).await;
        v.put(STRIPE, body, &stranger).await.is_problem(404, "not-found");
        v.audit().await.last_is("write", "payments/prod/stripe", "refused: not-found");
        assert_eq!(fields(&v).await, json!({ "a": "1" }));
    }

    async fn nothing_is_written_where_there_is_no_environment(v: TestVault) {
        let body = json!({ "fields": { "a": "1" } });
        v.put("/secrets/payments/test/a", body.clone(), &v.root).await.is_problem(404, "not-found");
        v.audit().await.last_is("write", "payments/test/a", "allowed: not-found");
        v.put("/secrets/shop/prod/a", body, &v.root).await.is_problem(404, "not-found");
    }
}
