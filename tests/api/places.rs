//! Projects and environments: made, listed to who may see them, and deleted only when nothing is in them.
//! Whether a place exists never decides between 403 and 404.

use coffer::model::Ttl;
use serde_json::{Value, json};

use crate::support::vault::both_engines;

const ENVIRONMENTS: &str = "/projects/payments/environments";

fn names(places: &Value) -> Vec<String> {
    let places = places.as_array().expect("places").iter();
    places
        .map(|place| place["name"].as_str().expect("a name").to_owned())
        .collect()
}

both_engines! {
    async fn places_are_made_and_listed(v: TestVault) {
        let made = v.post("/projects", json!({ "name": "shop" }), &v.root).await.is(201).json();
        assert_eq!(made["name"], "shop");
        assert!(made["created_at"].is_string());
        v.audit().await.last_is("manage", "shop", "allowed");
        let made = v.post("/projects/shop/environments", json!({ "name": "prod" }), &v.root).await.is(201).json();
        assert_eq!(made["name"], "prod");
        v.audit().await.last_is("manage", "shop/prod", "allowed");
        let projects = v.get("/projects", &v.root).await.is(200).json();
        assert_eq!(names(&projects["projects"]), ["payments", "shop"]);
        v.audit().await.last_is("list", "*", "allowed");
        assert_eq!(v.get("/projects/shop", &v.root).await.is(200).json()["name"], "shop");
        v.audit().await.last_is("list", "shop", "allowed");
        let environments = v.get("/projects/shop/environments", &v.root).await.is(200).json();
        assert_eq!(names(&environments["environments"]), ["prod"]);
        v.audit().await.last_is("list", "shop", "allowed");
    }

    async fn a_name_is_taken_once(v: TestVault) {
        v.post("/projects", json!({ "name": "payments" }), &v.root).await.is_problem(409, "exists");
        v.audit().await.last_is("manage", "payments", "allowed: exists");
        v.post(ENVIRONMENTS, json!({ "name": "prod" }), &v.root).await.is_problem(409, "exists");
        v.audit().await.last_is("manage", "payments/prod", "allowed: exists");
    }

    async fn what_is_no_name_is_refused(v: TestVault) {
        let before = v.audit().await.all().len();
        for bad in ["", "Shop", "1shop", "-shop", "shop_x", "shop/prod", "sys", "ä", &"a".repeat(64)] {
            v.post("/projects", json!({ "name": bad }), &v.root).await.is_problem(400, "bad-request");
        }
        for bad in [json!({}), json!({ "name": 1 }), json!({ "name": "shop", "x": 1 }), json!([]), json!("shop")] {
            v.post("/projects", bad.clone(), &v.root).await.is_problem(400, "bad-request");
            v.post(ENVIRONMENTS, bad, &v.root).await.is_problem(400, "bad-request");
        }
        assert_eq!(names(&v.get("/projects", &v.root).await.is(200).json()["projects"]), ["payments"]);
        // The export between the two counts and the list itself; what was malformed never reached the door.
        assert_eq!(v.audit().await.all().len(), before + 2);
    }

    async fn only_what_is_empty_is_deleted(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        v.delete("/projects/payments", &v.root).await.is_problem(409, "not-empty");
        v.audit().await.last_is("manage", "payments", "allowed: not-empty");
        v.delete(&format!("{ENVIRONMENTS}/prod"), &v.root).await.is_problem(409, "not-empty");
        v.audit().await.last_is("manage", "payments/prod", "allowed: not-empty");
        v.delete("/secrets/payments/prod/stripe", &v.root).await.is(204);
        // Its versions can still be restored.
        v.delete(&format!("{ENVIRONMENTS}/prod"), &v.root).await.is_problem(409, "not-empty");
        v.post("/destroy/payments/prod/stripe", json!({}), &v.root).await.is(200);
        v.delete(&format!("{ENVIRONMENTS}/prod"), &v.root).await.is(204);
        v.audit().await.last_is("manage", "payments/prod", "allowed");
        v.delete("/projects/payments", &v.root).await.is(204);
        assert_eq!(v.get("/projects", &v.root).await.is(200).json()["projects"], json!([]));
        v.delete("/projects/payments", &v.root).await.is_problem(404, "not-found");
        v.get("/secrets/payments/prod/stripe", &v.root).await.is_problem(404, "not-found");
    }

    async fn a_place_made_again_shares_nothing_with_the_old_one(v: TestVault) {
        v.set("payments/prod/stripe", "a", "1").await;
        v.delete("/secrets/payments/prod/stripe", &v.root).await.is(204);
        v.post("/destroy/payments/prod/stripe", json!({}), &v.root).await.is(200);
        v.delete(&format!("{ENVIRONMENTS}/prod"), &v.root).await.is(204);
        v.place("payments/prod").await;
        v.post("/undelete/payments/prod/stripe", json!({}), &v.root).await.is_problem(404, "not-found");
        v.get("/history/payments/prod/stripe", &v.root).await.is_problem(404, "not-found");
        assert_eq!(v.get("/keys/payments/prod", &v.root).await.is(200).json()["terms"], json!([{ "term": 1, "state": "current", "versions": 0 }]));
    }

    async fn others_are_left_out_of_a_list(v: TestVault) {
        v.place("payments/test").await;
        v.place("shop/prod").await;
        let some = v.token("list:payments list:payments/prod", Ttl::seconds(300)).await;
        assert_eq!(names(&v.get("/projects", &some).await.is(200).json()["projects"]), ["payments"]);
        assert_eq!(names(&v.get(ENVIRONMENTS, &some).await.is(200).json()["environments"]), ["prod"]);
        let reader = v.token("read:payments/prod/**", Ttl::seconds(300)).await;
        assert_eq!(v.get("/projects", &reader).await.is(200).json()["projects"], json!([]));
        let refused = v.get(ENVIRONMENTS, &reader).await.is_problem(403, "forbidden");
        assert!(refused.detail().contains("not list: "), "{}", refused.detail());
        v.audit().await.last_is("list", "payments", "refused: forbidden");
        v.get("/projects/payments", &reader).await.is_problem(404, "not-found");
        v.audit().await.last_is("list", "payments", "refused: not-found");
    }

    async fn whether_a_place_exists_is_no_reason(v: TestVault) {
        let reader = v.token("read:payments/** read:nowhere/**", Ttl::seconds(300)).await;
        for project in ["payments", "nowhere"] {
            v.delete(&format!("/projects/{project}"), &reader).await.is_problem(403, "forbidden");
            v.post(&format!("/projects/{project}/environments"), json!({ "name": "x" }), &reader).await.is_problem(403, "forbidden");
            v.audit().await.last_is("manage", &format!("{project}/x"), "refused: forbidden");
            v.get(&format!("/keys/{project}/prod"), &reader).await.is_problem(403, "forbidden");
        }
        let stranger = v.token("read:shop/**", Ttl::seconds(300)).await;
        for project in ["payments", "nowhere"] {
            v.delete(&format!("/projects/{project}"), &stranger).await.is_problem(404, "not-found");
            v.audit().await.last_is("manage", project, "refused: not-found");
            v.get(&format!("/secrets/{project}/prod/a"), &stranger).await.is_problem(404, "not-found");
        }
    }
}
