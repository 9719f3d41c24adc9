//! Who may do what with a connection, what its environment owes it, and what is told of it: never its secrets.

use super::*;
use crate::support::provider::Fault;
use crate::support::vault::both_engines;

const MINUTES: Ttl = Ttl::seconds(300);
const FRESH: &str = "?min_ttl=3595";

async fn census(s: &Scene) -> Vec<(u64, u64)> {
    let keys = s.get("/keys/payments/prod", &s.root).await.is(200).json();
    let terms = keys["terms"].as_array().expect("terms").iter();
    let number = |term: &Value, key: &str| term[key].as_u64().expect("a number");
    terms
        .map(|term| (number(term, "term"), number(term, "versions")))
        .collect()
}

both_engines! {
    async fn each_action_is_for_who_may(v: TestVault) {
        let (s, _) = Scene::imported(v).await;
        let asked = s.provider.asked();
        let other = format!("{LIST}/gitlab");
        let (token, import) = (format!("{GITHUB}/token"), s.provider.grant().import());
        let reader = s.v.token("read:payments/prod/**", MINUTES).await;
        let lister = s.v.token("list:payments/prod/**", MINUTES).await;
        let writer = s.v.token("write,delete,manage,rotate:payments/prod/**", MINUTES).await;
        for who in [&reader, &lister, &writer] {
            s.post(&other, import.clone(), who).await.is_problem(403, "forbidden");
            last_is(&s.audit().await, "connect", "payments/prod/gitlab", "refused: forbidden");
            s.delete(GITHUB, who).await.is_problem(403, "forbidden");
        }
        for who in [&lister, &writer] {
            s.get(&token, who).await.is_problem(403, "forbidden");
            last_is(&s.audit().await, "read", PATH, "refused: forbidden");
        }
        s.get(&token, &reader).await.is(200);
        s.get(LIST, &lister).await.is(200);
        s.get(LIST, &reader).await.is_problem(403, "forbidden");
        assert_eq!(s.provider.asked(), asked);
        let connector = s.v.token("connect:payments/prod/*", MINUTES).await;
        s.post(&other, import, &connector).await.is(201);
        s.get(&format!("{other}/token"), &connector).await.is_problem(403, "forbidden");
        s.delete(&other, &connector).await.is(204);
    }

    async fn a_narrow_scope_sees_its_own_path_alone(v: TestVault) {
        let (s, _) = Scene::imported(v).await;
        let other = format!("{LIST}/gitlab");
        s.post(&other, s.provider.grant().import(), &s.root).await.is(201);
        let narrow = s.v.token("read,list,connect:payments/prod/gitlab", MINUTES).await;
        s.get(&format!("{GITHUB}/token"), &narrow).await.is_problem(404, "not-found");
        last_is(&s.audit().await, "read", PATH, "refused: not-found");
        s.delete(GITHUB, &narrow).await.is_problem(404, "not-found");
        s.post(&format!("{LIST}/bitbucket"), s.provider.grant().import(), &narrow).await.is_problem(404, "not-found");
        let list = s.get(LIST, &narrow).await.is(200).json();
        assert_eq!((list["items"].as_array().map(Vec::len), &list["items"][0]["path"]), (Some(1), &json!("payments/prod/gitlab")));
        s.get(&format!("{other}/token"), &narrow).await.is(200);
        s.delete(&other, &narrow).await.is(204);
        let stranger = s.v.token("read,list,connect:payments/test/**", MINUTES).await;
        s.get(LIST, &stranger).await.is_problem(404, "not-found");
        s.get(&format!("{GITHUB}/token"), &stranger).await.is_problem(404, "not-found");
        s.post(GITHUB, s.provider.grant().import(), &stranger).await.is_problem(404, "not-found");
        assert_eq!((s.provider.asked(), s.items().await.len()), (2, 1));
    }

    async fn an_environment_is_kept_for_its_connection(v: TestVault) {
        let (s, _) = Scene::imported(v).await;
        s.delete("/projects/payments/environments/prod", &s.root).await.is_problem(409, "not-empty");
        last_is(&s.audit().await, "manage", "payments/prod", "allowed: not-empty");
        s.token("").await;
    }

    async fn a_new_key_protects_a_connection_too(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let before = census(&s).await;
        assert!(matches!(before[..], [(1, 1..)]), "{before:?}");
        let token = s.token("").await;
        s.post("/keys/payments/prod/rotate", json!({}), &s.root).await.is(200);
        assert_eq!(census(&s).await, [(1, before[0].1), (2, 0)]);
        assert_eq!(s.token("").await, token);
        s.post("/keys/payments/prod/rewrap", json!({}), &s.root).await.is(200);
        assert_eq!(census(&s).await, [(1, 0), (2, before[0].1)]);
        assert_eq!(s.token("").await, token);
        let s = s.restart().await;
        assert_eq!(s.token("").await, token);
        s.pass(Ttl::seconds(10));
        assert_ne!(s.token(FRESH).await["version"], token["version"]);
        assert_eq!((s.provider.refreshes(), s.provider.reuses()), (2, 0));
        assert!(s.provider.lives(&grant));
    }

    async fn no_secret_is_told(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        s.token("").await;
        s.pass(Ttl::seconds(10));
        s.token(FRESH).await;
        // A provider that repeats what it was shown, here and in a refusal that ends the grant.
        let taken = s.import(&grant).await.is_problem(409, "name-taken");
        let refused = s.post(&format!("{LIST}/gitlab"), grant.import(), &s.root).await.is_problem(409, "grant-refused");
        s.provider.arm(Fault::InvalidGrant, 1);
        s.pass(DUE);
        s.until("needs_reauth").await;
        let (list, log) = (s.get(LIST, &s.root).await.text(), s.get("/audit/export", &s.root).await.text());
        let bundle = s.get("/audit/bundle", &s.root).await.text();
        for secret in s.provider.secrets() {
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            for told in [&list, &log, &bundle, &taken.text(), &refused.text()] {
                assert!(!told.contains(&secret) && !told.contains(&encoded), "{secret} in {told}");
            }
        }
        assert!(log.contains("system/refresher") && list.contains("invalid_grant"));
    }
}
