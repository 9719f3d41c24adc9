//! Group D: one tenant's ids, lists and batches in another's hands. A project is the tenant here.

use coffer::model::Ttl;
use serde_json::{Value, json};

use super::unchanged;
use crate::support::client::Token;
use crate::support::vault::{TestVault, both_engines};

const HOUR: Ttl = Ttl::seconds(3600);
const EVERY: &str = "list,read,write,delete,destroy,rotate,connect,share,manage";

/// Whoever may do everything in another project.
async fn neighbour(v: &TestVault) -> Token {
    v.place("shop/dev").await;
    v.token(&format!("{EVERY}:shop/** {EVERY}:shop"), HOUR)
        .await
}

/// The id of a secret, living or deleted.
async fn id_of(v: &TestVault, secret: &str) -> String {
    let history = v
        .get(&format!("/history/{secret}"), &v.root)
        .await
        .is(200)
        .json();
    let deleted = history["deleted"].as_array().and_then(|all| all.last());
    let id = deleted.map_or(&history["id"], |deleted| &deleted["id"]);
    id.as_str().expect("an id").to_owned()
}

fn nothing_of(answer: &str, what: &[&str]) {
    for text in what {
        assert!(!answer.contains(text), "{text}: {answer}");
    }
}

both_engines! {
    async fn replay_d01_revoking_the_tokens_of_others_by_id(v: TestVault) {
        let mallory = neighbour(&v).await;
        let victim = v.token("read:payments/**", HOUR).await;
        let child = v.child(&victim, "read:payments/prod/**", HOUR).await;
        unchanged!(v, {
            for token in [&victim, &child] {
                v.delete(&format!("/tokens/{}", token.id), &mallory).await.is_problem(404, "not-found");
            }
            v.delete(&format!("/tokens/{}", victim.id), &child).await.is_problem(404, "not-found");
            let listed = v.get("/tokens", &mallory).await.is(200).text();
            nothing_of(&listed, &[&victim.id, &child.id, "payments"]);
        });
        v.get("/tokens/self", &child).await.is(200);
    }

    async fn replay_d02_a_secret_of_others_by_its_id(v: TestVault) {
        let mallory = neighbour(&v).await;
        for secret in ["payments/prod/gone", "shop/dev/gone"] {
            v.set(secret, "value", "hunter2").await;
            v.delete(&format!("/secrets/{secret}"), &v.root).await.is(204);
        }
        v.set("payments/prod/stripe", "value", "hunter2").await;
        v.set("shop/dev/stripe", "value", "own").await;
        unchanged!(v, {
            for name in ["gone", "stripe"] {
                let id = id_of(&v, &format!("payments/prod/{name}")).await;
                for (verb, place) in [("undelete", "shop/dev"), ("destroy", "shop/dev"), ("undelete", "payments/prod"), ("destroy", "payments/prod")] {
                    for path in ["gone", "stripe", "other"] {
                        // An id is looked for below its own name and place alone, whatever else stands there.
                        let body = json!({ "id": id });
                        let answer = v.post(&format!("/{verb}/{place}/{path}"), body, &mallory).await;
                        nothing_of(&answer.is_problem(404, "not-found").text(), &["hunter2", &id, "payments"]);
                    }
                }
            }
        });
    }

    async fn replay_d03_a_batch_of_own_and_foreign(v: TestVault) {
        for value in ["1", "2", "3"] {
            v.set("payments/prod/stripe", "value", value).await;
        }
        unchanged!(v, {
            for versions in [json!([1, 99]), json!([99, 1]), json!([4]), json!([1, 2, 3, 4])] {
                let body = json!({ "versions": versions });
                v.post("/destroy/payments/prod/stripe", body, &v.root).await.is_problem(404, "not-found");
            }
        });
        let destroyed = v.post("/destroy/payments/prod/stripe", json!({ "versions": [1, 2] }), &v.root).await.is(200).json();
        assert_eq!(destroyed["versions"], json!([1, 2]));
        assert_eq!(v.get("/secrets/payments/prod/stripe?version=3", &v.root).await.is(200).json()["fields"]["value"], "3");
    }

    async fn replay_d04_an_answer_that_shows_what_it_refuses(v: TestVault) {
        let mallory = neighbour(&v).await;
        v.set("payments/prod/stripe", "api_key", "hunter2").await;
        let etag = v.get("/secrets/payments/prod/stripe", &v.root).await.is(200).etag();
        let id = id_of(&v, "payments/prod/stripe").await;
        let known = ["hunter2", "api_key", id.as_str(), etag.trim_matches('"')];
        unchanged!(v, {
            let patch = json!({ "fields": { "other": "1" } });
            for answer in [
                v.patch("/secrets/payments/prod/stripe", patch.clone(), &mallory).await,
                v.put("/secrets/payments/prod/stripe", patch, &mallory).await,
                v.put("/rotations/payments/prod/stripe", json!({ "every": 3600 }), &mallory).await,
                v.get("/history/payments/prod/stripe", &mallory).await,
                v.get("/rotations/payments/prod/stripe", &mallory).await,
                v.get("/keys/payments/prod", &mallory).await,
            ] {
                nothing_of(&answer.is_problem(404, "not-found").text(), &known);
            }
        });
        // Whoever may write and not read is told of the write, and not of what was there.
        let writer = v.token("write:payments/prod/stripe", HOUR).await;
        let written = v.patch("/secrets/payments/prod/stripe", json!({ "fields": { "other": "1" } }), &writer).await;
        nothing_of(&written.is(200).text(), &known[..2]);
    }

    async fn replay_d05_a_list_shows_no_more_than_its_items_would(v: TestVault) {
        for secret in ["prod/a", "prod/b/c", "prod/b/d", "prod/root/e", "test/a"] {
            if secret == "test/a" {
                v.place("payments/test").await;
            }
            v.set(&format!("payments/{secret}"), "value", "1").await;
        }
        v.place("shop/dev").await;
        for scopes in [
            "list:payments/prod/**", "list:payments/prod/b/*", "list:payments/prod/b/**", "list:payments/*/a", "list:payments/prod/* read:payments/prod/**",
            "list:payments/prod/** !list:payments/prod/b/**", "list:** !list:payments/prod/a", "list:payments/prod/b/c read:**", "list:*/prod/**", "list:payments",
        ] {
            let caller = v.token(scopes, HOUR).await;
            let mut shown = 0;
            for place in ["payments/prod", "payments/test", "shop/dev"] {
                let list = v.get(&format!("/secrets/{place}?recursive=true"), &caller).await;
                if list.status() >= 400 {
                    continue;
                }
                for item in list.is(200).json()["items"].as_array().expect("a list") {
                    let path = item["path"].as_str().expect("a path");
                    v.get(&format!("/history/{path}"), &caller).await.is(200);
                    shown += 1;
                }
            }
            for project in v.get("/projects", &caller).await.is(200).json()["projects"].as_array().expect("a list") {
                let name = project["name"].as_str().expect("a name");
                v.get(&format!("/projects/{name}"), &caller).await.is(200);
                shown += 1;
            }
            assert!(shown > 0, "{scopes} shows nothing");
        }
    }

    async fn replay_d13_empty_lists_mean_nothing_and_never_everything(v: TestVault) {
        for value in ["1", "2"] {
            v.set("payments/prod/stripe", "value", value).await;
        }
        let many = |of: Value| Value::Array(vec![of; 3_000]);
        unchanged!(v, {
            for versions in [json!([]), json!([0]), json!([-1]), json!([1.5]), json!("1"), json!({}), json!([null]), json!([[1]]), many(json!(1)), json!([u64::MAX])] {
                let body = json!({ "versions": versions });
                let answer = v.post("/destroy/payments/prod/stripe", body, &v.root).await;
                assert!(answer.status() == 400 || answer.status() == 404 && versions == json!([u64::MAX]), "{versions}: {}", answer.text());
            }
            for id in [json!(""), json!(0), json!([]), json!("*"), json!("00000000-0000-0000-0000-00000000000"), json!("00000000000000000000000000000000")] {
                for verb in ["destroy", "undelete"] {
                    v.post(&format!("/{verb}/payments/prod/stripe"), json!({ "id": id }), &v.root).await.is_problem(400, "bad-request");
                }
            }
            for scopes in [json!([]), json!(null), json!(""), json!("read:**"), json!([""]), json!([null]), json!([[]]), json!({}), many(json!("read:payments/**")), json!(["!read:payments/**"])] {
                let body = json!({ "scopes": scopes, "ttl": 60 });
                v.post("/tokens", body, &v.root).await.is_problem(400, "bad-request");
            }
            v.post("/tokens", json!({ "ttl": 60 }), &v.root).await.is_problem(400, "bad-request");
            for body in [json!({}), json!({ "fields": {} }), json!({ "fields": null }), json!({ "fields": [] }), json!({ "fields": { "": "1" } })] {
                v.put("/secrets/payments/prod/new", body.clone(), &v.root).await.is_problem(400, "bad-request");
            }
            for query in ["?fields=", "?fields=,", "?fields=value,", "?version=", "?version=0", "?version=-1", "?previous="] {
                v.get(&format!("/secrets/payments/prod/stripe{query}"), &v.root).await.is_problem(400, "bad-request");
            }
        });
    }

    async fn replay_d18_a_place_deleted_and_made_again(v: TestVault) {
        v.place("shop/dev").await;
        for secret in ["a", "b"] {
            v.set(&format!("shop/dev/{secret}"), "value", "hunter2").await;
        }
        let list = v.get("/secrets/shop/dev?limit=1", &v.root).await.is(200).json();
        let cursor = list["next_cursor"].as_str().expect("there is more").to_owned();
        let etag = v.get("/secrets/shop/dev/a", &v.root).await.is(200).etag();
        let id = id_of(&v, "shop/dev/a").await;
        let old = v.token("read,list:shop/**", HOUR).await;
        v.get("/secrets/shop/dev/a", &old).await.is(200);
        for secret in ["a", "b"] {
            v.post(&format!("/destroy/shop/dev/{secret}"), json!({}), &v.root).await.is(200);
            v.delete(&format!("/secrets/shop/dev/{secret}"), &v.root).await.is(204);
        }
        v.delete("/projects/shop/environments/dev", &v.root).await.is(204);
        v.delete("/projects/shop", &v.root).await.is(204);
        v.place("shop/dev").await;
        let again = v.get("/secrets/shop/dev?recursive=true", &v.root).await.is(200).json();
        assert_eq!(again["items"], json!([]));
        unchanged!(v, {
            v.get(&format!("/secrets/shop/dev?limit=1&cursor={cursor}"), &v.root).await.is_problem(400, "bad-request");
            v.get("/secrets/shop/dev/a", &v.root).await.is_problem(404, "not-found");
            v.get("/secrets/shop/dev/a?version=1", &v.root).await.is_problem(404, "not-found");
            v.get("/history/shop/dev/a", &v.root).await.is_problem(404, "not-found");
            v.post("/undelete/shop/dev/a", json!({ "id": id }), &v.root).await.is_problem(404, "not-found");
            let write = v.put("/secrets/shop/dev/a", json!({ "fields": { "value": "2" } }), &v.root).header("if-match", &etag).await;
            write.is_problem(412, "precondition-failed");
        });
        let terms = v.get("/keys/shop/dev", &v.root).await.is(200).json();
        assert_eq!(terms["terms"], json!([{ "term": 1, "state": "current", "versions": 0 }]));
        // A scope is of a name, and lives as long as its token: SECURITY.md says so.
        v.get("/secrets/shop/dev/a", &old).await.is_problem(404, "not-found");
        v.set("shop/dev/a", "value", "theirs").await;
        v.get("/secrets/shop/dev/a", &old).await.is(200);
        v.delete(&format!("/tokens/{}", old.id), &v.root).await.is(204);
        v.get("/secrets/shop/dev/a", &old).await.is_problem(401, "token-revoked");
    }

    async fn replay_d23_an_id_of_another_kind(v: TestVault) {
        v.set("payments/prod/stripe", "value", "1").await;
        v.set("payments/prod/gone", "value", "1").await;
        v.delete("/secrets/payments/prod/gone", &v.root).await.is(204);
        let token = v.token("read:payments/**", HOUR).await;
        let secret = id_of(&v, "payments/prod/stripe").await;
        unchanged!(v, {
            v.delete(&format!("/tokens/{secret}"), &v.root).await.is_problem(404, "not-found");
            for verb in ["undelete", "destroy"] {
                for path in ["gone", "stripe"] {
                    let answer = v.post(&format!("/{verb}/payments/prod/{path}"), json!({ "id": token.id }), &v.root).await;
                    answer.is_problem(404, "not-found");
                }
            }
            for id in ["self", "x", "00000000-0000-0000-0000-00000000000G", "00000000-0000-0000-0000-0000000000000", "%7B00000000-0000-0000-0000-000000000000%7D"] {
                v.delete(&format!("/tokens/{id}"), &v.root).await.is_problem(400, "bad-request");
            }
            let upper = token.id.to_ascii_uppercase();
            assert_ne!(upper, token.id);
            v.delete(&format!("/tokens/{upper}"), &v.root).await.is_problem(400, "bad-request");
            v.delete(&format!("/tokens/{}", token.text), &v.root).await.is_problem(400, "bad-request");
        });
    }
}
