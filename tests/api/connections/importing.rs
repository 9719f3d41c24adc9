//! A grant is imported once it has proven itself by one refresh; one that has not leaves nothing behind but its records.

use super::*;
use crate::support::provider::{Fault, Proof, SCOPE};
use crate::support::vault::both_engines;

/// Nothing is there: neither in the list nor under its name.
async fn nothing_is_stored(s: &Scene) {
    assert_eq!(s.items().await, Vec::<Value>::new());
    s.read("").await.is_problem(404, "not-found");
}

/// The import began, and ended like this; in between nobody but the refresher did anything.
fn began_and_ended(records: &Records, status: u64, outcome: &str) {
    let connects: Vec<&Record> = about(records)
        .into_iter()
        .filter(|record| record.text("action") == Some("connect"))
        .collect();
    let begun = connects.iter().rposition(|record| record.status() == 202);
    let [begun, steps @ .., ended] = &connects[begun.expect("it began")..] else {
        panic!("it did not end: {connects:?}");
    };
    assert_eq!(begun.text("principal"), Some("app/root"));
    assert!(
        !steps.is_empty()
            && steps
                .iter()
                .all(|step| step.text("principal") == Some("system/refresher")),
        "{steps:?}"
    );
    assert_eq!(ended.text("principal"), Some("app/root"));
    assert_eq!(
        (ended.status(), ended.outcome().as_str()),
        (status, outcome),
        "{ended:?}"
    );
}

both_engines! {
    async fn a_grant_is_imported_and_its_token_read(v: TestVault) {
        let s = Scene::new(v).await;
        let grant = s.provider.grant();
        let made = s.import(&grant).await.is(201);
        let told = made.text();
        assert!(s.provider.secrets().iter().all(|secret| !told.contains(secret)), "{told}");
        began_and_ended(&s.audit().await, 201, "allowed");
        let made = made.json();
        assert_eq!((&made["path"], &made["state"]), (&json!(PATH), &json!("active")));
        assert_eq!((&made["token_url"], &made["client_id"]), (&json!(s.provider.url()), &json!(grant.client_id)));
        assert_eq!(made["granted"], SCOPE);
        assert_eq!((made.get("reason"), made.get("last_error")), (None, None));
        let [refreshed, next, expires] = ["refreshed_at", "next_refresh_at", "expires_at"].map(|key| seconds(&made[key]));
        assert!(seconds(&made["created_at"]) <= refreshed && refreshed < next && next < expires);
        assert!((refreshed + 3_595..=refreshed + 3_601).contains(&expires), "an hour, from when it was asked for");
        let token = s.token("").await;
        assert_eq!((&token["token_type"], &token["granted"]), (&json!("Bearer"), &json!(SCOPE)));
        assert_eq!((&token["version"], &token["expires_at"]), (&made["version"], &made["expires_at"]));
        let records = s.audit().await;
        let version = made["version"].as_u64().expect("a number").to_string();
        assert_eq!(last_is(&records, "read", PATH, "allowed").text("version"), Some(version.as_str()));
        assert_eq!(s.listed().await, made);
        assert_eq!((s.provider.asked(), s.provider.refreshes()), (1, 1));
        assert!(s.provider.lives(&grant));
    }

    async fn a_client_proves_itself_as_the_import_says(v: TestVault) {
        let s = Scene::new(v).await;
        for (name, proof) in [("basic", Proof::Basic), ("post", Proof::Post), ("public", Proof::Public)] {
            s.post(&format!("{LIST}/{name}"), s.provider.grant_to(proof).import(), &s.root).await.is(201);
        }
        let names: Vec<Value> = s.items().await.iter().map(|item| item["path"].clone()).collect();
        assert_eq!(names, [json!("payments/prod/basic"), json!("payments/prod/post"), json!("payments/prod/public")]);
        // Without a word, it is Basic.
        let mut import = s.provider.grant().import();
        import.as_object_mut().expect("an object").remove("auth");
        s.post(GITHUB, import, &s.root).await.is(201);
        s.token("").await;
    }

    async fn a_grant_may_be_asked_for_less(v: TestVault) {
        let s = Scene::new(v).await;
        let mut import = s.provider.grant().import();
        import["provider_scopes"] = json!("invoices:read admin");
        let refused = s.post(GITHUB, import.clone(), &s.root).await.is_problem(409, "grant-refused");
        assert!(refused.detail().contains("invalid_scope"), "{}", refused.detail());
        import["provider_scopes"] = json!("invoices:read");
        assert_eq!(s.post(GITHUB, import, &s.root).await.is(201).json()["granted"], "invoices:read");
        assert_eq!(s.token("").await["granted"], "invoices:read");
    }

    async fn a_refused_grant_stores_nothing(v: TestVault) {
        let s = Scene::new(v).await;
        let grant = s.provider.grant();
        let wrong = Grant { refresh_token: "no such token".to_owned(), ..grant.clone() };
        let refused = s.import(&wrong).await.is_problem(409, "grant-refused");
        assert!(refused.detail().contains("invalid_grant") && !refused.detail().contains("no such token"), "{}", refused.detail());
        began_and_ended(&s.audit().await, 409, "allowed: grant-refused");
        nothing_is_stored(&s).await;
        let wrong = Grant { client_secret: Some("wrong".to_owned()), ..grant.clone() };
        let refused = s.import(&wrong).await.is_problem(409, "grant-refused");
        assert!(refused.detail().contains("invalid_client"), "{}", refused.detail());
        began_and_ended(&s.audit().await, 409, "allowed: grant-refused");
        nothing_is_stored(&s).await;
        // The name is as free as before.
        s.import(&grant).await.is(201);
        s.token("").await;
        assert_eq!(s.provider.refreshes(), 1);
    }

    async fn a_grant_that_could_not_be_proven_stores_nothing(v: TestVault) {
        let s = Scene::new(v).await;
        let grant = s.provider.grant();
        s.provider.close().await;
        s.import(&grant).await.is_problem(409, "grant-unproven");
        began_and_ended(&s.audit().await, 409, "allowed: grant-unproven");
        nothing_is_stored(&s).await;
        s.provider.open().await;
        for fault in [Fault::Unavailable, Fault::TooMany(60), Fault::Html, Fault::DropBefore] {
            s.provider.arm(fault, 1);
            s.import(&grant).await.is_problem(409, "grant-unproven");
            began_and_ended(&s.audit().await, 409, "allowed: grant-unproven");
            nothing_is_stored(&s).await;
        }
        assert_eq!(s.provider.asked(), 4, "each was tried once");
        s.import(&grant).await.is(201);
        s.token("").await;
    }

    async fn what_may_not_be_called_is_not_called(v: TestVault) {
        let s = Scene::new(v).await;
        let grant = s.provider.grant();
        let port = s.provider.url();
        let port = port.rsplit_once(':').expect("a port").1;
        for url in [
            "https://169.254.169.254/token".to_owned(), "https://10.0.0.1/token".to_owned(), "https://[fd00::1]/token".to_owned(),
            format!("http://[::ffff:7f00:1]:{port}"), "http://93.184.216.34/token".to_owned(),
        ] {
            s.import(&Grant { token_url: url.clone(), ..grant.clone() }).await.is_problem(409, "grant-unproven");
            nothing_is_stored(&s).await;
        }
        assert_eq!(s.provider.asked(), 0);
        s.import(&grant).await.is(201);
    }

    async fn what_is_no_import_is_refused(v: TestVault) {
        let s = Scene::new(v).await;
        let grant = s.provider.grant();
        let with = |key: &str, value: Value| {
            let mut import = grant.import();
            import[key] = value;
            import
        };
        let without = |key: &str| {
            let mut import = grant.import();
            import.as_object_mut().expect("an object").remove(key);
            import
        };
        for bad in [
            json!({}), without("token_url"), without("client_id"), without("refresh_token"), with("x", json!(1)), with("auth", json!("jwt")),
            with("token_url", json!("")), with("token_url", json!("no url")), with("token_url", json!("ftp://idp.example/token")),
            with("token_url", json!("https://user@idp.example/token")), with("client_id", json!("")), with("refresh_token", json!("")),
            with("refresh_token", json!(1)), with("client_secret", json!(1)),
        ] {
            s.post(GITHUB, bad, &s.root).await.is_problem(400, "bad-request");
        }
        s.post("/connections/payments/nowhere/github", grant.import(), &s.root).await.is_problem(404, "not-found");
        nothing_is_stored(&s).await;
        assert_eq!(s.provider.asked(), 0);
        assert_eq!(steps(&s.audit().await), 0);
    }

    async fn a_name_is_a_secrets_or_a_connections(v: TestVault) {
        let (s, _) = Scene::imported(v).await;
        let asked = s.provider.asked();
        let secret = json!({ "fields": { "value": "1" } });
        s.put("/secrets/payments/prod/github", secret.clone(), &s.root).await.is_problem(409, "name-taken");
        last_is(&s.audit().await, "write", PATH, "allowed: name-taken");
        s.patch("/secrets/payments/prod/github", secret, &s.root).await.is_problem(409, "name-taken");
        s.put("/rotations/payments/prod/github", json!({ "every": 3600 }), &s.root).await.is_problem(409, "name-taken");
        s.import(&s.provider.grant()).await.is_problem(409, "name-taken");
        last_is(&s.audit().await, "connect", PATH, "allowed: name-taken");
        s.set("payments/prod/stripe", "value", "1").await;
        let stripe = format!("{LIST}/stripe");
        s.post(&stripe, s.provider.grant().import(), &s.root).await.is_problem(409, "name-taken");
        assert_eq!(s.provider.asked(), asked, "a grant is not spent on a name that is taken");
        s.get("/secrets/payments/prod/github", &s.root).await.is_problem(404, "not-found");
        s.get(&format!("{stripe}/token"), &s.root).await.is_problem(404, "not-found");
        // Whatever is deleted gives its name back, to the other kind as well.
        s.delete(GITHUB, &s.root).await.is(204);
        s.set("payments/prod/github", "value", "2").await;
        s.delete("/secrets/payments/prod/stripe", &s.root).await.is(204);
        s.post(&stripe, s.provider.grant().import(), &s.root).await.is(201);
    }

    async fn a_deleted_connection_is_gone(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        s.delete(GITHUB, &s.root).await.is(204);
        last_is(&s.audit().await, "connect", PATH, "allowed");
        nothing_is_stored(&s).await;
        s.delete(GITHUB, &s.root).await.is_problem(404, "not-found");
        last_is(&s.audit().await, "connect", PATH, "allowed: not-found");
        // What it was is refreshed no more, also when its name is another's, whose own refresh comes on time.
        let other = s.provider.grant();
        let made = s.import(&other).await.is(201).json();
        s.pass(DUE);
        eventually("the next refresh", || async { (s.token("").await["version"] != made["version"]).then_some(()) }).await;
        assert_eq!((s.provider.refreshes(), s.provider.asked()), (3, 3));
        assert!(s.provider.lives(&grant) && s.provider.lives(&other));
    }
}
