//! `Idempotency-Key`: a write that is sent again is answered again, for a day, and done once.

use coffer::model::Ttl;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::client::{Answer, Call, Token};
use crate::support::provider::Provider;
use crate::support::vault::{TestVault, both_engines};

const STRIPE: &str = "/secrets/payments/prod/stripe";
const NAME: &str = "payments/prod/stripe";
const GRANT: &str = "/connections/payments/prod/github";

fn once(call: Call, key: &str) -> Call {
    call.header("idempotency-key", key)
}

fn is_repeat(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

fn id(answer: &Answer) -> Value {
    answer.header("x-request-id").into()
}

/// Writes a value once, as this token.
fn set(v: &TestVault, (query, value, key): (&str, &str, &str), by: &Token) -> Call {
    let body = json!({ "fields": { "a": value } });
    once(v.put(&format!("{STRIPE}{query}"), body, by), key)
}

async fn version(v: &TestVault) -> Value {
    v.get(STRIPE, &v.root).await.is(200).json()["version"].clone()
}

both_engines! {
    async fn a_repeat_is_answered_again_and_not_done(v: TestVault) {
        let made = set(&v, ("", "1", "k"), &v.root).await.is(201);
        assert!(!is_repeat(&made));
        assert_eq!(v.audit().await.last_is("write", NAME, "allowed").member("metadata"), &Value::Null);
        // Bare or quoted, it is one key.
        for key in ["k", "\"k\""] {
            let again = set(&v, ("", "1", key), &v.root).await.is(201);
            assert!(is_repeat(&again), "{key}");
            assert_eq!((again.bytes(), again.etag(), again.header("content-type")), (made.bytes(), made.etag(), made.header("content-type")));
            let records = v.audit().await;
            let record = records.last_is("write", NAME, "allowed");
            assert_eq!((record.status(), record.text("digest")), (201, None));
            assert_eq!(record.member("metadata"), &json!({ "coffer.repeats": id(&made) }));
        }
        assert_eq!(version(&v).await, 1);
        // Anything else under that key is a mistake of the client's.
        for other in [
            set(&v, ("", "2", "k"), &v.root), set(&v, ("?if_version=1", "1", "k"), &v.root),
            set(&v, ("", "1", "k"), &v.root).header("if-match", &made.etag()),
            once(v.patch(STRIPE, json!({ "fields": { "a": "1" } }), &v.root), "k"), once(v.delete(STRIPE, &v.root), "k"),
        ] {
            other.await.is_problem(422, "idempotency-key-reused");
        }
        v.audit().await.last_is("delete", NAME, "allowed: idempotency-key-reused");
        // Another token has keys of its own, also one of the same principal.
        let own = v.token("write:payments/prod/**", Ttl::days(2)).await;
        let other = set(&v, ("", "1", "k"), &own).await.is(200);
        assert_eq!((is_repeat(&other), other.json()["version"].clone()), (false, json!(2)));
        assert!(is_repeat(&set(&v, ("", "1", "k"), &own).await.is(200)));
        // Who may no longer do it is not told what it came to.
        v.delete(&format!("/tokens/{}", own.id), &v.root).await.is(204);
        set(&v, ("", "1", "k"), &own).await.is_problem(401, "token-revoked");
        // What is kept is kept in the store, and not by the server.
        let v = v.restart().await;
        assert!(is_repeat(&set(&v, ("", "1", "k"), &v.root).await.is(201)));
        assert_eq!(version(&v).await, 2);
    }

    async fn a_key_lives_a_day_and_a_refusal_leaves_none(v: TestVault) {
        let key = "0123456789".repeat(12);
        set(&v, ("?if_version=1", "x", &key), &v.root).await.is_problem(412, "precondition-failed");
        v.set(NAME, "a", "0").await;
        assert!(!is_repeat(&set(&v, ("?if_version=1", "x", &key), &v.root).await.is(200)));
        v.advance(Ttl::seconds(86_390));
        assert!(is_repeat(&set(&v, ("?if_version=1", "x", &key), &v.root).await.is(200)));
        v.advance(Ttl::seconds(10));
        // It is as if it had never been sent.
        set(&v, ("?if_version=1", "x", &key), &v.root).await.is_problem(412, "precondition-failed");
        assert!(!is_repeat(&set(&v, ("", "y", &key), &v.root).await.is(200)));
        assert_eq!(version(&v).await, 3);
        for bad in ["", "a b", "a\"b", &"x".repeat(129)] {
            set(&v, ("", "z", bad), &v.root).await.is_problem(400, "bad-request");
        }
        set(&v, ("", "z", "a"), &v.root).header("idempotency-key", "a").await.is_problem(400, "bad-request");
        assert_eq!(version(&v).await, 3);
        // What only reads does not look at it.
        assert!(!is_repeat(&v.get(STRIPE, &v.root).header("idempotency-key", "a b").await.is(200)));
    }

    async fn of_many_at_once_one_is_done(v: TestVault) {
        let mut sent = JoinSet::new();
        for _ in 0..12 {
            let call = set(&v, ("", "1", "k"), &v.root);
            sent.spawn(async move { call.await.is(201) });
        }
        let answers = sent.join_all().await;
        assert_eq!(answers.iter().filter(|answer| !is_repeat(answer)).count(), 1);
        assert!(answers.windows(2).all(|two| two[0].bytes() == two[1].bytes() && two[0].etag() == two[1].etag()));
        assert_eq!(version(&v).await, 1);
        assert_eq!(v.audit().await.count("app/root", "write", NAME, "allowed"), 12);
        // Two orphans have nothing in common but the key.
        let orphan = json!({ "scopes": ["read:payments/**"], "ttl": 60, "orphan": true });
        let mut sent = JoinSet::new();
        for _ in 0..12 {
            let call = once(v.post("/tokens", orphan.clone(), &v.root), "o");
            sent.spawn(async move { call.await.status() });
        }
        let mut statuses = sent.join_all().await;
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (201, &[409; 11][..]));
        let tokens = v.get("/tokens", &v.root).await.is(200).json()["tokens"].clone();
        assert_eq!(tokens.as_array().map(Vec::len), Some(2));
    }

    async fn every_change_is_made_once(v: TestVault) {
        v.post("/projects/payments/environments", json!({ "name": "test" }), &v.root).await.is(201);
        let (post, delete) = (Method::POST, Method::DELETE);
        let fields = json!({ "fields": { "a": "1" } });
        let changes = [
            (post.clone(), "/projects", json!({ "name": "shop" }), 201, ("manage", "shop")),
            (post.clone(), "/projects/shop/environments", json!({ "name": "prod" }), 201, ("manage", "shop/prod")),
            (Method::PATCH, STRIPE, fields, 201, ("write", NAME)),
            (Method::PUT, "/rotations/payments/prod/stripe", json!({ "every": 3600 }), 200, ("write", NAME)),
            (post.clone(), "/rotate/payments/prod/stripe", json!({}), 200, ("rotate", NAME)),
            (delete.clone(), "/rotations/payments/prod/stripe", Value::Null, 204, ("write", NAME)),
            (post.clone(), "/keys/payments/prod/rotate", json!({}), 200, ("rotate", "payments/prod")),
            (post.clone(), "/keys/payments/prod/rewrap", json!({}), 200, ("rotate", "payments/prod")),
            (post.clone(), "/keys/payments/prod/reencrypt", json!({}), 200, ("rotate", "payments/prod")),
            (post.clone(), "/keys/payments/prod/destroy", json!({ "term": 1 }), 200, ("destroy", "payments/prod")),
            (delete.clone(), STRIPE, Value::Null, 204, ("delete", NAME)),
            (post.clone(), "/undelete/payments/prod/stripe", json!({}), 200, ("write", NAME)),
            (post, "/destroy/payments/prod/stripe", json!({ "versions": [1] }), 200, ("destroy", NAME)),
            (delete.clone(), "/projects/shop/environments/prod", Value::Null, 204, ("manage", "shop/prod")),
            (delete, "/projects/shop", Value::Null, 204, ("manage", "shop")),
        ];
        for (number, (method, path, body, status, (action, resource))) in changes.into_iter().enumerate() {
            let send = || {
                let call = once(v.call(method.clone(), path).by(&v.root), &format!("change-{number}"));
                if body.is_null() { call } else { call.body(body.clone()) }
            };
            let (first, again) = (send().await.is(status), send().await.is(status));
            assert_eq!((is_repeat(&first), is_repeat(&again)), (false, true), "{method} {path}");
            assert_eq!((first.bytes(), first.header("etag")), (again.bytes(), again.header("etag")), "{method} {path}");
            let records = v.audit().await;
            let repeats = records.last_is(action, resource, "allowed").member("metadata")["coffer.repeats"].clone();
            // Of what goes step by step, the first step has the request's id.
            assert!(repeats == id(&first), "{method} {path}: {repeats}");
        }
        let terms = v.get("/keys/payments/prod", &v.root).await.is(200).json()["terms"].clone();
        let states: Vec<&Value> = terms.as_array().expect("terms").iter().map(|term| &term["state"]).collect();
        assert_eq!(states, ["destroyed", "retired", "current"]);
    }

    async fn a_token_is_made_once_and_shown_once(v: TestVault) {
        let make = || once(v.post("/tokens", json!({ "scopes": ["read:payments/**"], "ttl": 60 }), &v.root), "t");
        let made = make().await.is(201).json();
        let (id, text) = (made["id"].as_str().expect("text"), made["token"].as_str().expect("text"));
        let again = make().await.is_problem(409, "token-shown");
        assert!(again.detail().contains(id) && !again.text().contains(text), "{}", again.detail());
        v.audit().await.last_is("manage", "sys/tokens", "allowed: token-shown");
        let tokens = v.get("/tokens", &v.root).await.is(200).json()["tokens"].clone();
        assert_eq!(tokens.as_array().map(Vec::len), Some(2));
        for repeat in [false, true] {
            let revoked = once(v.delete(&format!("/tokens/{id}"), &v.root), "r").await.is(204);
            assert_eq!(is_repeat(&revoked), repeat);
        }
    }

    async fn a_grant_is_shown_once_however_often_it_is_imported(v: TestVault) {
        let provider = Provider::start().await;
        let grant = provider.grant();
        let import = || once(v.post(GRANT, grant.import(), &v.root), "i");
        let held = provider.hold(1);
        let first = tokio::spawn({ let call = import(); async move { call.await } });
        held.arrived(1).await;
        import().await.is_problem(409, "idempotency-key-in-use");
        v.audit().await.last_is("connect", "payments/prod/github", "allowed: idempotency-key-in-use");
        held.release();
        let made = first.await.expect("no panic").is(201);
        let again = import().await.is(201);
        assert_eq!((is_repeat(&again), again.bytes()), (true, made.bytes()));
        assert_eq!((provider.asked(), provider.refreshes()), (1, 1));
        assert!(provider.lives(&grant));
        v.delete(GRANT, &v.root).await.is(204);
        assert!(is_repeat(&import().await.is(201)));
        // One that was refused is begun no second time either: whether the grant is spent only its provider knows.
        let wrong = crate::support::provider::Grant { refresh_token: "no such token".to_owned(), ..grant };
        let import = || once(v.post(GRANT, wrong.import(), &v.root), "j");
        import().await.is_problem(409, "grant-refused");
        import().await.is_problem(409, "grant-unproven");
        assert_eq!(provider.asked(), 2);
    }
}
