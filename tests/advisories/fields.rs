//! Groups C, D and G: what a body, a query or a header may name, and what an answer or a record says of it. Each route gets
//! what others' routes were given: fields of somebody else's, tenants named twice, secrets in the place of anything.

use coffer::model::Ttl;
use coffer::store::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use super::unchanged;
use crate::matrix::rows::{ROWS, Row};
use crate::support::provider::Provider;
use crate::support::vault::{TestVault, both_engines};

const HOUR: Ttl = Ttl::seconds(3600);

/// Keys that some route of somebody's has, and this one has not.
const FOREIGN: [&str; 18] = [
    "id",
    "owner",
    "principal",
    "parent",
    "depth",
    "mac",
    "role",
    "roles",
    "policies",
    "is_admin",
    "project",
    "environment",
    "created_at",
    "version",
    "state",
    "path",
    "__proto__",
    "tenant",
];

/// A body that the route takes.
fn body(row: &Row, provider: &Provider) -> Value {
    match row.body {
        "" => json!({}),
        _ if row.imports() => provider.grant().import(),
        body => serde_json::from_str(body).expect("a row's body is JSON"),
    }
}

/// The routes that take bodies, those of verbs without parameters too.
fn with_bodies() -> impl Iterator<Item = &'static Row> {
    let takes = |row: &&Row| matches!(row.method(), Method::PUT | Method::PATCH | Method::POST);
    ROWS.iter().filter(takes)
}

fn path(row: &Row) -> String {
    row.path_with("00000000-0000-0000-0000-000000000000")
}

/// Each value of a body in turn, those within others too, replaced by this one.
fn replaced(body: &Value, by: &Value) -> Vec<Value> {
    let mut all = vec![by.clone()];
    if let Some(object) = body.as_object() {
        for (key, value) in object {
            for other in replaced(value, by) {
                let mut object = object.clone();
                object.insert(key.clone(), other);
                all.push(Value::Object(object));
            }
        }
    }
    all
}

both_engines! {
    /// Mass assignment: a key that a route does not know is refused, whatever it is worth elsewhere.
    async fn replay_d10_fields_that_nobody_asked_for(v: TestVault) {
        let provider = Provider::start().await;
        v.set("payments/prod/patch", "value", "1").await;
        unchanged!(v, {
            for row in with_bodies() {
                for key in FOREIGN.into_iter().filter(|key| (*key, row.route) != ("id", "POST /undelete/{project}/{environment}/{*path}")) {
                    if key == "id" && row.route.starts_with("POST /destroy") {
                        continue;
                    }
                    let mut body = body(row, &provider);
                    body.as_object_mut().expect("an object").insert(key.to_owned(), json!(1));
                    let answer = v.call(row.method(), row.path).by(&v.root).body(body).await;
                    let said = answer.is_problem(400, "bad-request").detail();
                    assert!(said.contains(key), "{} {key}: {said}", row.route);
                }
            }
        });
        assert_eq!(provider.asked(), 0, "nobody was called for it");
    }

    /// Another tenant in the query, a header or the body than in the path: there is one place where it is named.
    async fn replay_d07_a_tenant_named_twice(v: TestVault) {
        v.place("shop/dev").await;
        v.set("payments/prod/stripe", "value", "payments'").await;
        v.set("shop/dev/stripe", "value", "shop's").await;
        let shop = v.token("list,read:shop/**", HOUR).await;
        unchanged!(v, {
            for row in ROWS {
                for query in ["project=shop", "environment=shop/dev", "tenant=shop", "namespace=shop", "org=shop"] {
                    let call = v.call(row.method(), &format!("{}?{query}", path(row))).by(&v.root);
                    let answer = if row.body.is_empty() { call.await } else { call.text(row.body).await };
                    answer.is_problem(400, "bad-request");
                }
            }
            let headers = ["x-vault-namespace", "x-coffer-project", "x-tenant", "x-original-url", "x-rewrite-url", "x-forwarded-prefix", "x-http-method-override"];
            for header in headers {
                for value in ["payments", "payments/prod", "/api/v1/secrets/payments/prod/stripe", "DELETE"] {
                    let own = v.get("/secrets/shop/dev/stripe", &shop).header(header, value).await.is(200).json();
                    assert_eq!(own["fields"]["value"], "shop's");
                    v.get("/secrets/payments/prod/stripe", &shop).header(header, "shop").await.is_problem(404, "not-found");
                }
            }
        });
    }

    async fn replay_g04_a_secret_of_the_wrong_type_in_every_field(v: TestVault) {
        const SECRET: &str = "hunter2Kq7Zx4711";
        let provider = Provider::start().await;
        let mut sent = 0;
        for row in with_bodies() {
            for wrong in [json!([SECRET]), json!({ "a": SECRET }), json!({ "a": [SECRET] }), json!({ "base64": SECRET }), json!([[SECRET, SECRET]]), json!(format!("{SECRET} \u{0}"))] {
                for body in replaced(&body(row, &provider), &wrong) {
                    let answer = v.call(row.method(), row.path).by(&v.root).body(body.clone()).await;
                    let takes = row.route.contains("/secrets/") && body["fields"].is_object();
                    assert!(answer.status() >= 400 || takes, "{} {body}: {}", row.route, answer.text());
                    assert!(!answer.text().contains("hunter2"), "{}: {}", row.route, answer.text());
                    sent += 1;
                }
            }
        }
        assert!(sent > 150, "{sent}");
        let log = v.get("/audit/export", &v.root).await.is(200).text();
        assert!(!log.contains("hunter2"));
    }
}

/// What an answer must never tell: where it runs, from what it is made, and how.
const INSIDE: [&str; 22] = [
    "127.0.0.1",
    "::1",
    "/tmp",
    "/root",
    "/home",
    "/var/",
    "src/",
    ".rs",
    "SELECT",
    "INSERT",
    "sqlite",
    "SQLite",
    "postgres",
    "PostgreSQL",
    "sqlx",
    "hyper",
    "tokio",
    "serde",
    "panicked",
    "RUST_BACKTRACE",
    env!("CARGO_PKG_VERSION"),
    "coffer-server",
];

/// Whatever is asked wrongly, by whomever: the answer is one of a closed list, and its heads name no server.
#[tokio::test]
async fn replay_c07_no_error_tells_of_the_inside() {
    let v = TestVault::new(Engine::Sqlite).await;
    let hidden = v.token("read:shop/**", HOUR).await;
    let mut answers = 0;
    for row in ROWS {
        let path = path(row);
        for token in [&v.root, &hidden] {
            for call in [
                v.call(row.method(), &format!("{path}?x=%00")).by(token),
                v.call(row.method(), &format!("{path}/%2e%2e")).by(token),
                v.call(row.method(), &path).by(token).text("{\"a\":"),
                v.call(row.method(), &path).by(token).text("[1,2"),
                v.call(row.method(), &path)
                    .by(token)
                    .header("coffer-metadata", "{"),
                v.call(row.method(), &path),
                v.call(row.method(), "/nothing/here").by(token),
            ] {
                let answer = call.await;
                assert!(
                    (400..500).contains(&answer.status()),
                    "{}: {}",
                    row.route,
                    answer.text()
                );
                for inside in INSIDE {
                    assert!(
                        !answer.text().contains(inside),
                        "{}: {inside}: {}",
                        row.route,
                        answer.text()
                    );
                }
                for header in ["server", "x-powered-by", "via", "location"] {
                    assert_eq!(answer.header(header), None);
                }
                answers += 1;
            }
        }
    }
    assert!(answers > 400, "{answers}");
}

/// A record holds the keys that are documented, and of a request's headers two: what a client calls itself, and what it asks
/// to have recorded.
#[tokio::test]
async fn replay_g03_a_record_has_its_own_keys_and_no_others() {
    const KEYS: [&str; 20] = [
        "action",
        "as_of",
        "digest",
        "format",
        "id",
        "index",
        "metadata",
        "outcome",
        "principal",
        "request",
        "resource",
        "salt",
        "scope",
        "source",
        "stream",
        "time",
        "token",
        "user_agent",
        "verdict",
        "version",
    ];
    let v = TestVault::new(Engine::Sqlite).await;
    let headers = [
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-forwarded-for",
        "forwarded",
        "referer",
        "origin",
        "traceparent",
        "x-request-id",
        "from",
        "if-modified-since",
    ];
    for header in headers {
        v.get("/tokens/self", &v.root)
            .header(header, "hunter2")
            .await
            .is(200);
    }
    v.get("/tokens/self", &v.root)
        .header("user-agent", "agent-4711")
        .header("coffer-metadata", r#"{"said":"it-4711"}"#)
        .await
        .is(200);
    let log = v.get("/audit/export", &v.root).await.is(200).text();
    assert!(log.contains("agent-4711") && log.contains("it-4711") && !log.contains("hunter2"));
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).expect("a line is JSON");
        for key in record.as_object().expect("an object").keys() {
            assert!(KEYS.contains(&key.as_str()), "{key}");
        }
    }
}
