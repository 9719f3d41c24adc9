//! An access token is served as long as it lives, is fresh enough for whoever asks, and is refreshed once for all of them.

use tokio::task::JoinSet;

use super::*;
use crate::support::client::Client;
use crate::support::provider::Fault;
use crate::support::scrape::Scrape;
use crate::support::vault::both_engines;

/// Nearly an hour, of which ten seconds have gone by: one refresh has to come first.
const FRESH: &str = "?min_ttl=3595";

both_engines! {
    async fn who_needs_a_longer_life_waits_for_one_refresh(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.token("").await;
        s.pass(Ttl::seconds(10));
        assert_eq!(s.token("?min_ttl=3000").await, first);
        let before = steps(&s.audit().await);
        let second = s.token(FRESH).await;
        assert!(access(&second) != access(&first) && second["version"].as_u64() > first["version"].as_u64());
        assert!(seconds(&second["expires_at"]) >= seconds(&first["expires_at"]) + 9);
        let records = s.audit().await;
        last_is(&records, "read", PATH, "allowed");
        assert!(steps(&records) > before, "the refresh is recorded");
        assert_eq!(s.token("").await, second);
        assert_eq!((s.provider.asked(), s.provider.refreshes()), (2, 2));
        // More than a fresh token ever has: what was refreshed for it is served as it is.
        let third = s.token("?min_ttl=7200").await;
        assert!(third["version"].as_u64() > second["version"].as_u64());
        assert_eq!((s.provider.asked(), s.provider.reuses()), (3, 0));
        assert!(s.provider.lives(&grant));
    }

    async fn what_is_no_span_is_refused(v: TestVault) {
        let (s, _) = Scene::imported(v).await;
        for bad in ["?min_ttl=", "?min_ttl=-1", "?min_ttl=1.5", "?min_ttl=1m", "?min_ttl=1&min_ttl=2", "?ttl=60"] {
            s.read(bad).await.is_problem(400, "bad-request");
        }
        s.token("?min_ttl=0").await;
        assert_eq!(s.provider.asked(), 1);
    }

    async fn a_hundred_who_wait_cause_one_refresh(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let old = s.token("").await;
        let held = s.provider.hold(1);
        s.pass(Ttl::seconds(3_700));
        assert!(!s.provider.accepts(access(&old)));
        let mut asking = JoinSet::new();
        for _ in 0..100 {
            let (client, root) = (Client::clone(&s), s.root.clone());
            asking.spawn(async move { client.get(&format!("{GITHUB}/token"), &root).await.is(200).json() });
        }
        held.arrived(1).await;
        let oauth = |counted: &Scrape, what: &str| counted.value(&format!("coffer_oauth_{what}"));
        let all = || async { Some(s.metrics().await).filter(|counted| oauth(counted, "waiting_requests") == 100.0) };
        let counted = eventually("all of them wait", all).await;
        assert_eq!(oauth(&counted, "refreshes_in_flight"), 1.0);
        held.release();
        let tokens = asking.join_all().await;
        let counted = s.metrics().await;
        assert_eq!(oauth(&counted, "refreshes_total{outcome=\"refreshed\"}"), 2.0, "the import and this one");
        assert_eq!(oauth(&counted, "waiting_requests"), 0.0);
        assert!(tokens.iter().all(|token| s.provider.accepts(access(token)) && token["version"] == tokens[0]["version"]));
        assert_eq!((s.provider.asked(), s.provider.refreshes()), (2, 2));
        assert_eq!(s.audit().await.count("app/root", "read", PATH, "allowed"), 101, "waiting is not recorded");
        s.pass(Ttl::seconds(3_700));
        s.token("").await;
        assert_eq!((s.provider.refreshes(), s.provider.reuses()), (3, 0));
        assert!(s.provider.lives(&grant));
    }

    async fn a_token_is_refreshed_ahead_of_time(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.pass(DUE);
        let second = eventually("the refresh", || async { Some(s.listed().await).filter(|item| item["version"] != first["version"]) }).await;
        assert_eq!(second["state"], "active");
        assert!(seconds(&second["refreshed_at"]) >= seconds(&first["refreshed_at"]) + 2_900);
        assert_eq!((&second["created_at"], second.get("last_error")), (&first["created_at"], None));
        s.token("").await;
        assert_eq!((s.provider.asked(), s.provider.refreshes()), (2, 2));
        assert!(s.provider.lives(&grant));
    }

    async fn a_hang_up_does_not_lose_a_refresh(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.pass(Ttl::seconds(10));
        let held = s.provider.hold(1);
        let (client, root) = (Client::clone(&s), s.root.clone());
        let asking = tokio::spawn(async move { client.get(&format!("{GITHUB}/token{FRESH}"), &root).sent().await.map(drop) });
        held.arrived(1).await;
        asking.abort();
        assert!(asking.await.is_err_and(|ended| ended.is_cancelled()));
        held.release();
        eventually("the refresh is kept", || async { (s.listed().await["version"] != first["version"]).then_some(()) }).await;
        s.token("").await;
        s.pass(Ttl::seconds(3_700));
        s.token("").await;
        assert_eq!((s.provider.refreshes(), s.provider.reuses()), (3, 0));
        assert!(s.provider.lives(&grant));
    }

    async fn a_refresh_token_that_is_not_replaced_goes_on(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        s.provider.arm(Fault::NoRefreshToken, 1);
        s.pass(Ttl::seconds(10));
        let kept = s.token(FRESH).await;
        assert_eq!(s.listed().await["state"], "active");
        s.pass(Ttl::seconds(10));
        assert_ne!(access(&s.token(FRESH).await), access(&kept));
        s.pass(Ttl::seconds(10));
        s.token(FRESH).await;
        assert_eq!((s.provider.refreshes(), s.provider.reuses()), (4, 0));
        assert!(s.provider.lives(&grant));
    }

    async fn a_lifetime_that_is_not_told_is_the_last_one(v: TestVault) {
        let s = Scene::new(v).await;
        s.provider.set_lifetime(Ttl::seconds(1_800));
        let first = s.import(&s.provider.grant()).await.is(201).json();
        s.provider.arm(Fault::NoExpiresIn, 1);
        s.pass(Ttl::seconds(10));
        s.token("?min_ttl=1795").await;
        let second = s.listed().await;
        let lifetime = |item: &Value| seconds(&item["expires_at"]) - seconds(&item["refreshed_at"]);
        assert_ne!(second["version"], first["version"]);
        assert!((1_795..=1_801).contains(&lifetime(&second)), "{second}");
        // It runs out as the last one did.
        s.pass(Ttl::seconds(1_801));
        s.token("").await;
        assert_eq!((s.provider.refreshes(), s.provider.reuses()), (3, 0));
    }

    async fn a_lifetime_that_was_never_told_is_not_made_up(v: TestVault) {
        let s = Scene::new(v).await;
        s.provider.arm(Fault::NoExpiresIn, 1);
        let made = s.import(&s.provider.grant()).await.is(201).json();
        assert_eq!((&made["state"], made.get("expires_at")), (&json!("active"), None));
        assert_eq!(s.token("").await.get("expires_at"), None);
        assert_eq!(s.provider.asked(), 1);
    }

    async fn a_connection_outlives_its_server(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let token = s.token("").await;
        let s = s.restart().await;
        assert_eq!(s.token("").await, token);
        assert_eq!(s.provider.asked(), 1, "nothing is refreshed because of a start");
        s.pass(Ttl::seconds(3_700));
        s.token("").await;
        let s = s.restart().await;
        s.pass(Ttl::seconds(3_700));
        s.token("").await;
        assert_eq!((s.provider.refreshes(), s.provider.reuses()), (3, 0));
        assert!(s.provider.lives(&grant));
    }
}
