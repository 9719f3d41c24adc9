//! What is open to everybody, what `status` says to whom, and what HTTP itself refuses.

use coffer::model::Ttl;
use reqwest::Method;
use serde_json::json;

use crate::support::vault::both_engines;

both_engines! {
    async fn everybody_is_told_one_bit(v: TestVault) {
        let before = v.audit().await.all().len();
        let status = v.call(Method::GET, "/status").await.is(200);
        assert_eq!(status.json(), json!({ "sealed": false }));
        for path in ["/health/live", "/health/ready"] {
            let alive = v.open(Method::GET, path).await.is(204);
            assert_eq!(alive.bytes(), b"");
        }
        let described = v.open(Method::GET, "/openapi.json").await.is(200);
        assert_eq!(described.text(), include_str!("../../docs/openapi.json"));
        assert_eq!(v.audit().await.all().len(), before + 1, "open routes leave no record");
    }

    async fn who_may_manage_is_told_more(v: TestVault) {
        let status = v.get("/status", &v.root).await.is(200).json();
        let keys: Vec<&String> = status.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["locked_memory", "node", "sealed", "store", "version"]);
        assert_eq!((&status["node"], &status["version"]), (&json!("story"), &json!(env!("CARGO_PKG_VERSION"))));
        assert!(["sqlite", "postgres"].map(|store| json!(store)).contains(&status["store"]));
        let records = v.audit().await;
        assert_eq!(records.last().text("resource"), Some("sys/status"));
        let reader = v.token("read:payments/**", Ttl::seconds(300)).await;
        assert_eq!(v.get("/status", &reader).await.is(200).json(), json!({ "sealed": false }));
        assert_eq!(v.audit().await.last().outcome(), "refused: not-found");
    }

    async fn what_http_itself_refuses(v: TestVault) {
        v.call(Method::GET, "/nothing").by(&v.root).await.is_problem(404, "no-such-route");
        v.open(Method::GET, "/v1/sys/health").await.is_problem(404, "no-such-route");
        let other = v.call(Method::POST, "/secrets/payments/prod/a").by(&v.root).await;
        assert_eq!(other.is_problem(405, "method-not-allowed").header("allow"), Some("GET, PUT, PATCH, DELETE"));
        for method in [Method::OPTIONS, Method::TRACE, Method::CONNECT] {
            if method != Method::CONNECT {
                v.call(method, "/projects").by(&v.root).await.is_problem(405, "method-not-allowed");
            }
        }
        let typed = |kind: &str| v.call(Method::POST, "/projects").by(&v.root).header("content-type", kind);
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
            v.post("/projects", json!({ "name": "shop" }), &v.root).header("content-type", kind).await.is_problem(415, "unsupported-media-type");
        }
        typed("application/json").await.is_problem(400, "bad-request");
        let zipped = v.post("/projects", json!({ "name": "shop" }), &v.root).header("content-encoding", "gzip");
        zipped.await.is_problem(415, "unsupported-media-type");
        v.call(Method::DELETE, "/projects/shop").by(&v.root).text("{}").await.is_problem(400, "bad-request");
        v.get("/projects/shop", &v.root).await.is_problem(404, "not-found");
    }

    async fn a_token_in_a_url_is_refused_and_not_repeated(v: TestVault) {
        let text = v.root.text.clone();
        let refused = v.get(&format!("/secrets/payments/prod/stripe?token={text}"), &v.root).await.is_problem(400, "bad-request");
        assert!(!refused.text().contains(&text), "{}", refused.text());
    }
}
