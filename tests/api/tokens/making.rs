//! Making, listing and revoking tokens.

use coffer::crypto::PlainToken;
use coffer::model::Ttl;
use serde_json::{Value, json};

use crate::support::vault::{TestVault, both_engines};

const HOUR: Ttl = Ttl::seconds(3600);

async fn own(v: &TestVault, token: &crate::support::client::Token) -> Value {
    v.get("/tokens/self", token).await.is(200).json()
}

both_engines! {
    async fn a_token_is_shown_once(v: TestVault) {
        let asked = json!({ "scopes": ["read:payments/prod/**", "!read:payments/prod/root/**"], "ttl": 3600 });
        let made = v.post("/tokens", asked.clone(), &v.root).await.is(201).json();
        let keys: Vec<&String> = made.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["expires_at", "id", "scopes", "token"]);
        assert_eq!(made["scopes"], asked["scopes"]);
        let text = made["token"].as_str().expect("text");
        assert!(text.starts_with("cof_app_") && PlainToken::parse(text.as_bytes()).is_some(), "its form");
        let records = v.audit().await;
        let record = records.last_is("manage", "sys/tokens", "allowed");
        assert_eq!(record.status(), 201);
        assert_eq!(record.member("metadata")["coffer.token"], made["id"]);
        let list = v.get("/tokens", &v.root).await.is(200);
        assert!(!list.text().contains(text), "a list never shows a token");
        assert!(records.all().iter().all(|record| !format!("{record:?}").contains(text)), "nor does the log");
    }

    async fn a_token_knows_itself(v: TestVault) {
        let shop = v.token("read:payments/prod/**", HOUR).await;
        let told = own(&v, &shop).await;
        assert_eq!((&told["id"], &told["principal"], &told["scopes"]), (&json!(shop.id), &json!("app/root"), &json!(["read:payments/prod/**"])));
        assert_eq!(told["parent"], own(&v, &v.root).await["id"]);
        assert_eq!(own(&v, &v.root).await.get("parent"), None);
        v.audit().await.last_is("list", "sys/tokens/self", "allowed");
    }

    async fn a_child_never_outlives_its_parent(v: TestVault) {
        let parent = v.token("read:payments/**", HOUR).await;
        let child = v.child(&parent, "read:payments/prod/**", Ttl::days(30)).await;
        assert_eq!(own(&v, &child).await["expires_at"], own(&v, &parent).await["expires_at"]);
        v.advance(Ttl::seconds(3601));
        v.get("/tokens/self", &child).await.is_problem(401, "token-expired");
        v.audit().await.last_is("list", "sys/tokens/self", "refused: token-expired");
    }

    async fn an_orphan_has_no_parent_and_outlives_its_maker(v: TestVault) {
        let maker = v.token("manage:sys/tokens read:payments/**", HOUR).await;
        let orphan = v.make_token(json!({ "scopes": ["read:payments/prod/**"], "ttl": 86_400, "orphan": true }), &maker).await;
        assert_eq!(own(&v, &orphan).await.get("parent"), None);
        v.delete(&format!("/tokens/{}", maker.id), &v.root).await.is(204);
        own(&v, &orphan).await;
        v.advance(Ttl::seconds(7200));
        own(&v, &orphan).await;
        let plain = v.token("read:payments/**", HOUR).await;
        let asked = json!({ "scopes": ["read:payments/prod/**"], "ttl": 60, "orphan": true });
        v.post("/tokens", asked, &plain).await.is_problem(404, "not-found");
        v.audit().await.last_is("manage", "sys/tokens", "refused: not-found");
    }

    async fn an_application_is_made_by_its_first_token(v: TestVault) {
        let asked = |scope: &str| json!({ "scopes": [scope], "ttl": 3600, "app": "shop" });
        v.set("payments/prod/stripe", "a", "1").await;
        let shop = v.make_token(asked("read:payments/prod/stripe"), &v.root).await;
        assert_eq!(own(&v, &shop).await["principal"], "app/shop");
        v.get("/secrets/payments/prod/stripe", &shop).await.is(200);
        let records = v.audit().await;
        assert_eq!(records.last_is("read", "payments/prod/stripe", "allowed").text("principal"), Some("app/shop"));
        let more = v.make_token(asked("list:payments/prod/**"), &v.root).await;
        assert_eq!(own(&v, &more).await["principal"], "app/shop");
        v.get("/history/payments/prod/stripe", &more).await.is(200);
        let plain = v.token("read:payments/**", HOUR).await;
        v.post("/tokens", asked("read:payments/prod/stripe"), &plain).await.is_problem(404, "not-found");
        v.post("/tokens", asked("read:payments/prod/stripe"), &v.token("manage:sys/tokens read:payments/**", HOUR).await).await.is_problem(404, "not-found");
        for bad in ["", "Shop", "a/b"] {
            v.post("/tokens", json!({ "scopes": ["read:a"], "ttl": 60, "app": bad }), &v.root).await.is_problem(400, "bad-request");
        }
    }

    async fn what_makes_no_token_is_refused(v: TestVault) {
        let before = v.get("/tokens", &v.root).await.is(200).json()["tokens"].as_array().map(Vec::len);
        let many = vec!["read:a"; 65];
        for bad in [
            json!({}), json!({ "scopes": ["read:a"] }), json!({ "ttl": 60 }), json!({ "scopes": [], "ttl": 60 }), json!({ "scopes": "read:a", "ttl": 60 }),
            json!({ "scopes": ["!read:a"], "ttl": 60 }), json!({ "scopes": ["read:a"], "ttl": 0 }), json!({ "scopes": ["read:a"], "ttl": -1 }),
            json!({ "scopes": ["read:a"], "ttl": "60" }), json!({ "scopes": ["read:a"], "ttl": u64::MAX }), json!({ "scopes": many, "ttl": 60 }),
            json!({ "scopes": ["read:a"], "ttl": 60, "x": 1 }), json!({ "scopes": ["read:a"], "ttl": 60, "orphan": 1 }),
        ] {
            v.post("/tokens", bad, &v.root).await.is_problem(400, "bad-request");
        }
        for bad in ["", "read", "read:", ":a", "reads:a", "read,read:a", "read: a", "read:a//b", "read:/a", "read:a/", "read:a/..", "read:A/b", "!", "!!read:a", "read:a/**/b", "read:a*", "read:ä"] {
            v.post("/tokens", json!({ "scopes": [bad], "ttl": 60 }), &v.root).await.is_problem(400, "bad-request");
        }
        assert_eq!(v.get("/tokens", &v.root).await.is(200).json()["tokens"].as_array().map(Vec::len), before);
    }

    async fn a_list_tells_whose_and_what(v: TestVault) {
        let parent = v.token("read:payments/**", HOUR).await;
        let child = v.child(&parent, "read:payments/prod/**", HOUR).await;
        v.delete(&format!("/tokens/{}", parent.id), &v.root).await.is(204);
        let list = v.get("/tokens", &v.root).await.is(200).json();
        v.audit().await.last_is("manage", "sys/tokens", "allowed");
        let tokens = list["tokens"].as_array().expect("tokens");
        let entry = |id: &str| tokens.iter().find(|entry| entry["id"] == id).expect("it is in the list");
        assert_eq!(tokens.len(), 3);
        assert_eq!((&entry(&child.id)["parent"], &entry(&child.id)["revoked"]), (&json!(parent.id), &json!(true)));
        assert_eq!((&entry(&parent.id)["principal"], &entry(&parent.id)["scopes"]), (&json!("app/root"), &json!(["read:payments/**"])));
        // Who may not manage tokens sees the own one and its children.
        let other = v.token("read:payments/**", HOUR).await;
        let below = v.child(&other, "read:payments/prod/**", HOUR).await;
        let list = v.get("/tokens", &other).await.is(200).json();
        let ids: Vec<&Value> = list["tokens"].as_array().expect("tokens").iter().map(|entry| &entry["id"]).collect();
        assert_eq!(ids, [&json!(other.id), &json!(below.id)]);
    }

    async fn a_list_goes_on_where_it_ended(v: TestVault) {
        for _ in 0..5 {
            v.token("read:payments/**", HOUR).await;
        }
        let (mut ids, mut path) = (Vec::new(), "/tokens?limit=2".to_owned());
        loop {
            let page = v.get(&path, &v.root).await.is(200).json();
            let tokens = page["tokens"].as_array().expect("tokens");
            assert!(tokens.len() <= 2);
            ids.extend(tokens.iter().map(|entry| entry["id"].to_string()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            path = format!("/tokens?limit=2&cursor={next}");
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 6);
    }

    async fn revoking_is_for_oneself_ones_children_and_who_may_manage(v: TestVault) {
        let parent = v.token("read:payments/**", HOUR).await;
        let child = v.child(&parent, "read:payments/**", HOUR).await;
        let grandchild = v.child(&child, "read:payments/**", HOUR).await;
        let stranger = v.token("read:payments/**", HOUR).await;
        let revoke = |id: &str| format!("/tokens/{id}");
        v.delete(&revoke(&parent.id), &child).await.is_problem(404, "not-found");
        v.audit().await.last_is("manage", "sys/tokens", "refused: not-found");
        v.delete(&revoke(&child.id), &stranger).await.is_problem(404, "not-found");
        v.delete(&revoke(&grandchild.id), &parent).await.is(204);
        v.audit().await.last_is("manage", "sys/tokens", "allowed");
        v.get("/tokens/self", &grandchild).await.is_problem(401, "token-revoked");
        own(&v, &child).await;
        v.delete(&revoke(&stranger.id), &stranger).await.is(204);
        v.get("/tokens/self", &stranger).await.is_problem(401, "token-revoked");
        v.delete(&revoke(&parent.id), &v.root).await.is(204);
        v.delete(&revoke(&parent.id), &v.root).await.is(204);
        let nobody = "00000000-0000-7000-8000-000000000000";
        v.delete(&revoke(nobody), &v.root).await.is_problem(404, "not-found");
        v.delete(&revoke(nobody), &child).await.is_problem(401, "token-revoked");
        for bad in ["x", "cof_app_x", "00000000-0000-7000-8000-00000000000G"] {
            v.delete(&revoke(bad), &v.root).await.is_problem(400, "bad-request");
        }
    }
}
