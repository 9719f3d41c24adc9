//! The life of a secret: deleted, restored, destroyed, made anew under the same name.
//! What is destroyed stays destroyed; what is deleted can come back.

use coffer::model::Ttl;
use serde_json::{Value, json};

use super::STRIPE;
use crate::support::vault::{TestVault, both_engines};

const HISTORY: &str = "/history/payments/prod/stripe";
const UNDELETE: &str = "/undelete/payments/prod/stripe";
const DESTROY: &str = "/destroy/payments/prod/stripe";

async fn history(v: &TestVault) -> Value {
    v.get(HISTORY, &v.root).await.is(200).json()
}

fn states(versions: &Value) -> Vec<(u64, String)> {
    let versions = versions.as_array().expect("versions").iter();
    let state = |version: &Value| version["state"].as_str().expect("a state").to_owned();
    versions
        .map(|version| {
            (
                version["version"].as_u64().expect("a number"),
                state(version),
            )
        })
        .collect()
}

fn state(number: u64, state: &str) -> (u64, String) {
    (number, state.to_owned())
}

both_engines! {
    async fn a_deleted_name_is_free(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        v.set("payments/prod/stripe", "a", "2").await;
        let first = history(&v).await["id"].clone();
        let deleted = v.delete(STRIPE, &v.root).await.is(204);
        assert_eq!(deleted.bytes(), b"");
        v.audit().await.last_is("delete", "payments/prod/stripe", "allowed");
        v.get(STRIPE, &v.root).await.is_problem(404, "not-found");
        v.get(&format!("{STRIPE}?version=1"), &v.root).await.is_problem(404, "not-found");
        v.delete(STRIPE, &v.root).await.is_problem(404, "not-found");
        v.audit().await.last_is("delete", "payments/prod/stripe", "allowed: not-found");
        assert_eq!(v.get("/secrets/payments/prod", &v.root).await.is(200).json()["items"], json!([]));
        let made = v.put(STRIPE, json!({ "fields": { "a": "3" } }), &v.root).await.is(201);
        assert_eq!(made.json()["version"], 1);
        let told = history(&v).await;
        assert_ne!(told["id"], first);
        assert_eq!(states(&told["versions"]), [state(1, "current")]);
        assert_eq!(told["deleted"][0]["id"], first);
        assert_eq!(states(&told["deleted"][0]["versions"]), [state(1, "retired"), state(2, "current")]);
        v.audit().await.last_is("list", "payments/prod/stripe", "allowed");
    }

    async fn the_newest_deleted_one_comes_back(v: TestVault) {
        for value in ["1", "2"] {
            v.set("payments/prod/stripe", "a", value).await;
            v.delete(STRIPE, &v.root).await.is(204);
        }
        let back = v.post(UNDELETE, json!({}), &v.root).await.is(200);
        assert_eq!((&back.json()["path"], &back.json()["version"]), (&json!("payments/prod/stripe"), &json!(1)));
        v.audit().await.last_is("write", "payments/prod/stripe", "allowed");
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json()["fields"]["a"], "2");
        v.post(UNDELETE, json!({}), &v.root).await.is_problem(409, "exists");
        v.audit().await.last_is("write", "payments/prod/stripe", "allowed: exists");
        let older = history(&v).await["deleted"][0]["id"].clone();
        v.delete(STRIPE, &v.root).await.is(204);
        v.post(UNDELETE, json!({ "id": older }), &v.root).await.is(200);
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json()["fields"]["a"], "1");
        v.post("/undelete/payments/prod/other", json!({}), &v.root).await.is_problem(404, "not-found");
        v.post("/undelete/payments/prod/other", json!({ "id": older }), &v.root).await.is_problem(404, "not-found");
        for bad in [json!({ "id": "x" }), json!({ "ids": [] }), json!({ "id": 1 })] {
            v.post(UNDELETE, bad, &v.root).await.is_problem(400, "bad-request");
        }
    }

    async fn destroyed_versions_are_gone_and_the_others_stay(v: TestVault) {
        for value in ["1", "2", "3"] {
            v.set("payments/prod/stripe", "a", value).await;
        }
        let gone = v.post(DESTROY, json!({ "versions": [1] }), &v.root).await.is(200).json();
        assert_eq!((&gone["path"], &gone["versions"]), (&json!("payments/prod/stripe"), &json!([1])));
        v.audit().await.last_is("destroy", "payments/prod/stripe", "allowed");
        v.get(&format!("{STRIPE}?version=1"), &v.root).await.is_problem(404, "not-found");
        assert_eq!(v.get(&format!("{STRIPE}?version=2"), &v.root).await.is(200).json()["fields"]["a"], "2");
        assert_eq!(states(&history(&v).await["versions"]), [state(1, "destroyed"), state(2, "retired"), state(3, "current")]);
        for (bad, status, code) in [
            (json!({ "versions": [] }), 400, "bad-request"), (json!({ "versions": [0] }), 400, "bad-request"),
            (json!({ "versions": [9] }), 404, "not-found"), (json!({ "versions": "1" }), 400, "bad-request"), (json!({ "all": true }), 400, "bad-request"),
        ] {
            v.post(DESTROY, bad, &v.root).await.is_problem(status, code);
        }
        let all = v.post(DESTROY, json!({}), &v.root).await.is(200).json();
        assert_eq!(all["versions"], json!([2, 3]));
        v.get(STRIPE, &v.root).await.is_problem(404, "not-found");
    }

    async fn a_deleted_secret_can_be_destroyed(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        v.delete(STRIPE, &v.root).await.is(204);
        v.post(DESTROY, json!({}), &v.root).await.is(200);
        let told = history(&v).await;
        assert_eq!(states(&told["deleted"][0]["versions"]), [state(1, "destroyed")]);
        v.post("/destroy/payments/prod/other", json!({}), &v.root).await.is_problem(404, "not-found");
    }

    async fn a_hundred_versions_are_kept(v: TestVault) {
        for number in 1..=102 {
            v.set("payments/prod/stripe", "a", &number.to_string()).await;
        }
        v.get(&format!("{STRIPE}?version=2"), &v.root).await.is_problem(404, "not-found");
        assert_eq!(v.get(&format!("{STRIPE}?version=3"), &v.root).await.is(200).json()["fields"]["a"], "3");
        let versions = history(&v).await["versions"].clone();
        assert_eq!(versions.as_array().map(Vec::len), Some(100));
    }

    async fn each_verb_asks_for_its_own_action(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        let minutes = Ttl::seconds(300);
        let writer = v.token("write:payments/prod/**", minutes).await;
        let deleter = v.token("delete:payments/prod/**", minutes).await;
        let destroyer = v.token("destroy:payments/prod/**", minutes).await;
        let lister = v.token("list:payments/prod/**", minutes).await;
        for other in [&writer, &deleter, &destroyer] {
            v.get(HISTORY, other).await.is_problem(403, "forbidden");
        }
        v.get(HISTORY, &lister).await.is(200);
        for other in [&writer, &destroyer, &lister] {
            v.delete(STRIPE, other).await.is_problem(403, "forbidden");
        }
        v.delete(STRIPE, &deleter).await.is(204);
        for other in [&deleter, &destroyer, &lister] {
            v.post(UNDELETE, json!({}), other).await.is_problem(403, "forbidden");
        }
        v.post(UNDELETE, json!({}), &writer).await.is(200);
        for other in [&writer, &deleter, &lister] {
            v.post(DESTROY, json!({}), other).await.is_problem(403, "forbidden");
            v.audit().await.last_is("destroy", "payments/prod/stripe", "refused: forbidden");
        }
        v.post(DESTROY, json!({}), &destroyer).await.is(200);
    }
}
