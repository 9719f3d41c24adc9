//! Rotation policies: set, shown, taken away, run now and run by the clock, with the old value readable through its grace.

use coffer::model::Ttl;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::vault::{TestVault, both_engines};

const STRIPE: &str = "/secrets/payments/prod/stripe";
const POLICY: &str = "/rotations/payments/prod/stripe";
const ROTATE: &str = "/rotate/payments/prod/stripe";

async fn value(v: &TestVault, query: &str) -> String {
    let read = v
        .get(&format!("{STRIPE}{query}"), &v.root)
        .await
        .is(200)
        .json();
    read["fields"]["value"].as_str().expect("text").to_owned()
}

async fn version(v: &TestVault) -> Value {
    v.get(STRIPE, &v.root).await.is(200).json()["version"].clone()
}

both_engines! {
    async fn a_policy_makes_the_secret_and_says_every_default(v: TestVault) {
        let set = v.put(POLICY, json!({ "every": 2_592_000 }), &v.root).await.is(201).json();
        assert_eq!((&set["path"], &set["every"], &set["grace"], &set["field"]), (&json!("payments/prod/stripe"), &json!(2_592_000), &json!(86_400), &json!("value")));
        assert!(set["length"].as_u64().is_some_and(|length| length >= 22) && set["alphabet"].is_string() && set["next_at"].is_string());
        assert_eq!(set.get("last_at"), None);
        let records = v.audit().await;
        assert_eq!(records.last_is("write", "payments/prod/stripe", "allowed").text("version"), Some("1"));
        assert_eq!(value(&v, "").await.len() as u64, set["length"].as_u64().expect("a number"));
        assert_eq!(v.get(POLICY, &v.root).await.is(200).json(), set);
        v.audit().await.last_is("list", "payments/prod/stripe", "allowed");
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json()["rotates_at"], set["next_at"]);
    }

    async fn a_policy_keeps_the_value_that_is_there(v: TestVault) {
        v.set("payments/prod/stripe", "api_key", "sk_1").await;
        let set = v.put(POLICY, json!({ "every": 3600, "grace": 60, "length": 40, "alphabet": "hex" }), &v.root).await.is(200).json();
        assert_eq!((&set["field"], &set["grace"], &set["length"]), (&json!("api_key"), &json!(60), &json!(40)));
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json()["fields"]["api_key"], "sk_1");
        assert_eq!(version(&v).await, 1);
        v.delete(POLICY, &v.root).await.is(204);
        v.audit().await.last_is("write", "payments/prod/stripe", "allowed");
        v.get(POLICY, &v.root).await.is_problem(404, "not-found");
        v.delete(POLICY, &v.root).await.is_problem(404, "not-found");
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json().get("rotates_at"), None);
    }

    async fn what_is_no_policy_is_refused(v: TestVault) {
        v.put(STRIPE, json!({ "fields": { "user": "u", "password": "p" } }), &v.root).await.is(201);
        for bad in [
            json!({}), json!({ "every": 59 }), json!({ "every": 0 }), json!({ "every": "30d" }), json!({ "every": u64::MAX }), json!({ "every": -1 }),
            json!({ "every": 60, "grace": 60, "field": "password" }), json!({ "every": 3600 }), json!({ "every": 3600, "field": "absent" }),
            json!({ "every": 3600, "field": "password", "length": 21 }), json!({ "every": 3600, "field": "password", "alphabet": "ab" }),
            json!({ "every": 3600, "field": "password", "length": 38, "alphabet": "0123456789" }), json!({ "every": 3600, "field": "password", "x": 1 }),
        ] {
            v.put(POLICY, bad, &v.root).await.is_problem(400, "bad-request");
        }
        v.get(POLICY, &v.root).await.is_problem(404, "not-found");
        v.put(POLICY, json!({ "every": 60, "field": "password" }), &v.root).await.is(200);
        assert_eq!(v.get(POLICY, &v.root).await.is(200).json()["grace"], 30, "half the period, when that is shorter than a day");
    }

    async fn rotating_now_leaves_the_old_value_readable(v: TestVault) {
        v.put(STRIPE, json!({ "fields": { "value": "old", "user": "u" } }), &v.root).await.is(201);
        v.post(ROTATE, json!({}), &v.root).await.is_problem(409, "no-rotation");
        v.audit().await.last_is("rotate", "payments/prod/stripe", "allowed: no-rotation");
        v.put(POLICY, json!({ "every": 3600, "grace": 600, "field": "value" }), &v.root).await.is(200);
        let rotated = v.post(ROTATE, json!({}), &v.root).await.is(200).json();
        assert_eq!((&rotated["version"], &rotated["state"]), (&json!(2), &json!("current")));
        let records = v.audit().await;
        assert_eq!(records.last_is("rotate", "payments/prod/stripe", "allowed").text("version"), Some("2"));
        let now = value(&v, "").await;
        assert!(now != "old" && now.len() >= 22);
        assert_eq!(v.get(STRIPE, &v.root).await.is(200).json()["fields"]["user"], "u", "the other fields go over");
        assert_eq!(value(&v, "?previous=true").await, "old");
        let previous = v.get(&format!("{STRIPE}?previous=true"), &v.root).await.is(200).json();
        assert_eq!((&previous["state"], previous["valid_until"].is_string()), (&json!("previous"), true));
        assert!(v.get(POLICY, &v.root).await.is(200).json()["last_at"].is_string());
        v.advance(Ttl::seconds(599));
        assert_eq!(value(&v, "?previous=true").await, "old");
        v.advance(Ttl::seconds(2));
        v.get(&format!("{STRIPE}?previous=true"), &v.root).await.is_problem(404, "not-found");
        assert_eq!(value(&v, "?version=1").await, "old");
        assert_eq!(value(&v, "").await, now);
    }

    async fn a_value_rotates_by_itself_when_it_is_due(v: TestVault) {
        let mut v = v;
        v.put(POLICY, json!({ "every": 3600, "grace": 600 }), &v.root).await.is(201);
        let old = value(&v, "").await;
        v.start_jobs();
        v.advance(Ttl::seconds(3500));
        assert_eq!(version(&v).await, 1);
        v.advance(Ttl::seconds(101));
        eventually("the rotation", || async { (version(&v).await == 2).then_some(()) }).await;
        assert_ne!(value(&v, "").await, old);
        assert_eq!(value(&v, "?previous=true").await, old);
        assert_eq!(v.audit().await.count("system/scheduler", "rotate", "payments/prod/stripe", "allowed"), 1);
        // However many periods were missed, they count once.
        v.advance(Ttl::seconds(10 * 3600));
        eventually("the next rotation", || async { (version(&v).await == 3).then_some(()) }).await;
        assert_eq!(v.audit().await.count("system/scheduler", "rotate", "payments/prod/stripe", "allowed"), 2);
        let rotated = async || v.metrics().await.value("coffer_rotations_total{outcome=\"rotated\"}");
        eventually("both are counted", || async { (rotated().await == 2.0).then_some(()) }).await;
        v.advance(Ttl::seconds(601));
        v.get(&format!("{STRIPE}?previous=true"), &v.root).await.is_problem(404, "not-found");
    }

    async fn a_write_by_hand_keeps_the_schedule(v: TestVault) {
        v.put(POLICY, json!({ "every": 3600 }), &v.root).await.is(201);
        let next = v.get(POLICY, &v.root).await.is(200).json()["next_at"].clone();
        v.advance(Ttl::seconds(60));
        v.set("payments/prod/stripe", "value", "by hand").await;
        assert_eq!(v.get(POLICY, &v.root).await.is(200).json()["next_at"], next);
    }

    async fn policies_are_for_who_may_write_and_rotating_for_who_may_rotate(v: TestVault) {
        v.put(POLICY, json!({ "every": 3600 }), &v.root).await.is(201);
        let minutes = Ttl::seconds(300);
        let writer = v.token("write:payments/prod/**", minutes).await;
        let rotator = v.token("rotate:payments/prod/**", minutes).await;
        let stranger = v.token("write,rotate,list:payments/test/**", minutes).await;
        v.put(POLICY, json!({ "every": 60 }), &rotator).await.is_problem(403, "forbidden");
        v.delete(POLICY, &rotator).await.is_problem(403, "forbidden");
        v.audit().await.last_is("write", "payments/prod/stripe", "refused: forbidden");
        v.post(ROTATE, json!({}), &writer).await.is_problem(403, "forbidden");
        v.audit().await.last_is("rotate", "payments/prod/stripe", "refused: forbidden");
        v.get(POLICY, &writer).await.is_problem(403, "forbidden");
        v.put(POLICY, json!({ "every": 60 }), &stranger).await.is_problem(404, "not-found");
        v.post(ROTATE, json!({}), &stranger).await.is_problem(404, "not-found");
        assert_eq!(version(&v).await, 1);
        v.put(POLICY, json!({ "every": 7200 }), &writer).await.is(200);
        v.post(ROTATE, json!({}), &rotator).await.is(200);
        v.post("/rotate/payments/prod/absent", json!({}), &v.root).await.is_problem(404, "not-found");
    }
}
