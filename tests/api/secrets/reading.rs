//! Reading: one version, some of its fields, and "not modified".
//! Whatever is answered, it is recorded with the version that was seen.

use coffer::model::Ttl;
use serde_json::json;

use super::STRIPE;
use crate::support::vault::both_engines;

both_engines! {
    async fn an_application_reads_what_was_written(v: TestVault) {
        let fields = json!({ "api_key": "sk_1", "user": "ü\u{0}\n" });
        v.put(STRIPE, json!({ "fields": fields }), &v.root).await.is(201);
        let shop = v.token("read:payments/prod/**", Ttl::seconds(300)).await;
        let read = v.get(STRIPE, &shop).await.is(200);
        assert_eq!(read.header("content-type"), Some("application/json"));
        let body = read.json();
        assert_eq!(body["fields"], fields);
        assert_eq!((&body["path"], &body["version"], &body["state"]), (&json!("payments/prod/stripe"), &json!(1), &json!("current")));
        assert!(body["created_at"].as_str().is_some_and(|at| at.len() == 27 && at.ends_with('Z')), "{body}");
        let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["created_at", "fields", "path", "state", "version"]);
        let records = v.audit().await;
        let record = records.last_is("read", "payments/prod/stripe", "allowed");
        assert_eq!(record.text("principal"), Some("app/root"));
        assert_eq!(record.text("token"), Some(&*shop.id));
        assert_eq!(record.text("version"), Some("1"));
        assert_eq!(record.text("scope"), Some("read:payments/prod/**"));
        assert_eq!(record.text("source"), Some("127.0.0.1"));
        assert_eq!(record.text("user_agent"), Some("coffer-story/1"));
        assert_eq!(record.text("id"), read.header("x-request-id"));
        assert_eq!(record.member("digest"), &serde_json::Value::Null);
    }

    async fn bytes_are_read_as_they_were_written(v: TestVault) {
        let fields = json!({ "key": { "base64": "AP8B" }, "empty": { "base64": "" }, "none": "" });
        v.put(STRIPE, json!({ "fields": fields }), &v.root).await.is(201);
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json()["fields"], fields);
    }

    async fn only_the_fields_that_are_named_are_read(v: TestVault) {
        let fields = json!({ "a": "1", "b": "2", "c": "3" });
        v.put(STRIPE, json!({ "fields": fields }), &v.root).await.is(201);
        let some = v.get(&format!("{STRIPE}?fields=a,c"), &v.root).await.is(200).json();
        assert_eq!(some["fields"], json!({ "a": "1", "c": "3" }));
        v.get(&format!("{STRIPE}?fields=a,d"), &v.root).await.is_problem(404, "not-found");
        v.audit().await.last_is("read", "payments/prod/stripe", "allowed: not-found");
        for bad in ["fields=", "fields=a,,b", "fields=a&fields=b", "fields=1a"] {
            v.get(&format!("{STRIPE}?{bad}"), &v.root).await.is_problem(400, "bad-request");
        }
    }

    async fn an_expired_token_reads_nothing(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        let alice = v.token("read:payments/prod/**", Ttl::seconds(300)).await;
        v.get(STRIPE, &alice).await.is(200);
        v.advance(Ttl::seconds(301));
        v.get(STRIPE, &alice).await.is_problem(401, "token-expired");
        v.audit().await.last_is("read", "payments/prod/stripe", "refused: token-expired");
    }

    async fn what_the_client_has_is_not_sent_again(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        let etag = v.get(STRIPE, &v.root).await.is(200).etag();
        for known in [etag.clone(), format!("W/{etag}"), format!("\"0000000000000000.1\", {etag}")] {
            let same = v.get(STRIPE, &v.root).header("if-none-match", &known).await;
            assert_eq!((same.status(), same.etag(), same.bytes()), (304, etag.clone(), &b""[..]));
            let records = v.audit().await;
            let record = records.last_is("read", "payments/prod/stripe", "allowed");
            assert_eq!((record.status(), record.text("version")), (304, Some("1")));
        }
        v.set("payments/prod/stripe", "api_key", "sk_2").await;
        let changed = v.get(STRIPE, &v.root).header("if-none-match", &etag).await.is(200);
        assert_ne!(changed.etag(), etag);
        assert_eq!(changed.json()["fields"]["api_key"], "sk_2");
    }

    async fn an_etag_names_the_secret_and_not_only_the_name(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        let etag = v.get(STRIPE, &v.root).await.is(200).etag();
        let (tail, version) = etag.trim_matches('"').split_once('.').expect("a tag");
        assert!(tail.len() == 16 && tail.bytes().all(|digit| b"0123456789abcdef".contains(&digit)), "{etag}");
        assert_eq!(version, "1");
        let history = v.get("/history/payments/prod/stripe", &v.root).await.is(200).json();
        let id: String = history["id"].as_str().expect("an id").replace('-', "");
        assert_eq!(&id[16..], tail);
        v.delete(STRIPE, &v.root).await.is(204);
        v.set("payments/prod/stripe", "api_key", "sk_2").await;
        let again = v.get(STRIPE, &v.root).header("if-none-match", &etag).await.is(200);
        assert_eq!(again.json()["fields"]["api_key"], "sk_2");
        assert_ne!(again.etag(), etag);
    }

    async fn a_malformed_condition_is_refused(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        for bad in ["*", "1", "\"\"", "\"x\"", "\"0123456789ABCDEF.1\"", "\"0123456789abcdef.01\"", "\"0123456789abcdef.1\","] {
            v.get(STRIPE, &v.root).header("if-none-match", bad).await.is_problem(400, "bad-request");
        }
    }

    async fn any_version_is_read_by_its_number(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        v.set("payments/prod/stripe", "api_key", "sk_2").await;
        let first = v.get(&format!("{STRIPE}?version=1"), &v.root).await.is(200).json();
        assert_eq!((&first["fields"]["api_key"], &first["state"]), (&json!("sk_1"), &json!("retired")));
        let records = v.audit().await;
        assert_eq!(records.last_is("read", "payments/prod/stripe", "allowed").text("version"), Some("1"));
        v.get(&format!("{STRIPE}?version=3"), &v.root).await.is_problem(404, "not-found");
        // A plain write retires the old version at once: nothing is `previous`.
        v.get(&format!("{STRIPE}?previous=true"), &v.root).await.is_problem(404, "not-found");
        for bad in ["version=0", "version=01", "version=-1", "version=x", "version=", "previous=1", "previous=true&version=1", "versions=1"] {
            v.get(&format!("{STRIPE}?{bad}"), &v.root).await.is_problem(400, "bad-request");
        }
    }

    async fn what_a_client_says_of_itself_is_recorded_as_sent(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        let said = r#"{"pipeline":"42","who":"é"}"#;
        let said = said.replace('é', "\\u00e9");
        v.get(STRIPE, &v.root).header("coffer-metadata", &said).await.is(200);
        let records = v.audit().await;
        let record = records.last_is("read", "payments/prod/stripe", "allowed");
        assert_eq!(record.member("metadata"), &json!({ "pipeline": "42", "who": "é" }));
        let nine: Vec<String> = (0..9).map(|key| format!("\"k{key}\":\"\"")).collect();
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(505));
        for bad in ["", "x", "[]", r#"{"a":1}"#, r#"{"a":"1","a":"2"}"#, &format!("{{{}}}", nine.join(",")), &long] {
            v.get(STRIPE, &v.root).header("coffer-metadata", bad).await.is_problem(400, "bad-request");
        }
    }

    async fn a_read_survives_a_restart(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        let before = v.audit().await;
        let v = v.restart().await;
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json()["fields"]["api_key"], "sk_1");
        let after = v.audit().await;
        assert_eq!(after.all()[..before.all().len()], *before.all(), "the log goes on and is not rewritten");
    }
}
