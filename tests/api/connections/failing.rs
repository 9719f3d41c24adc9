//! A provider that fails: a token that lives is served whatever happens, and only OAuth's own word ends a grant.

use super::*;
use crate::support::provider::Fault;
use crate::support::vault::both_engines;

/// More calls than any story makes.
const MANY: usize = 1_000;
/// From when a token is due to after its end; ten minutes have gone by as well.
const OVER: Ttl = Ttl::seconds(1_400);

/// The token is served as it was, though it is due.
async fn goes_on(s: &Scene, first: &Value) {
    assert_eq!(s.token("").await["version"], first["version"]);
}

/// One sentence, and nothing that the provider gave.
#[track_caller]
fn is_told(s: &Scene, item: &Value, key: &str) {
    let text = item[key].as_str().unwrap_or_default();
    assert!(
        text.ends_with('.') && !text.trim_end_matches('.').is_empty(),
        "{key}: {item}"
    );
    let told = item.to_string();
    assert!(
        s.provider
            .secrets()
            .iter()
            .all(|secret| !told.contains(secret)),
        "{told}"
    );
}

/// It is active again, with a new set of tokens, and nothing is said of what was.
async fn recovers(s: &Scene, grant: &Grant, first: &Value) {
    let item = s.until("active").await;
    assert!(
        item["version"].as_u64() > first["version"].as_u64(),
        "{item}"
    );
    assert_eq!((item.get("last_error"), item.get("reason")), (None, None));
    s.token("").await;
    s.pass(Ttl::seconds(3_700));
    s.token("").await;
    assert_eq!(s.provider.reuses(), 0);
    assert!(s.provider.lives(grant));
}

/// A person is needed: nothing is served any more, nobody is asked any more, and another grant takes the place.
async fn is_over(s: &Scene, reason: &str) {
    let asked = s.provider.asked();
    let refused = s.read("").await.is_problem(409, "needs-reauth");
    assert!(refused.detail().contains(reason), "{}", refused.detail());
    last_is(&s.audit().await, "read", PATH, "allowed: needs-reauth");
    s.read("?min_ttl=0").await.is_problem(409, "needs-reauth");
    s.pass(Ttl::seconds(3_700));
    s.read("").await.is_problem(409, "needs-reauth");
    assert_eq!(s.provider.asked(), asked);
    s.delete(GITHUB, &s.root).await.is(204);
    s.import(&s.provider.grant()).await.is(201);
    s.token("").await;
}

both_engines! {
    async fn a_busy_provider_is_asked_again(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.provider.arm(Fault::Unavailable, MANY);
        s.pass(DUE);
        let item = s.until("degraded").await;
        is_told(&s, &item, "last_error");
        assert!(seconds(&item["next_refresh_at"]) >= seconds(&first["refreshed_at"]) + 2_900);
        assert_eq!((&item["version"], &item["refreshed_at"]), (&first["version"], &first["refreshed_at"]));
        goes_on(&s, &first).await;
        s.pass(Ttl::seconds(300));
        s.provider.until_asked(3).await;
        goes_on(&s, &first).await;
        s.provider.disarm();
        s.pass(OVER);
        recovers(&s, &grant, &first).await;
    }

    async fn who_asks_too_often_waits_as_long_as_he_is_told(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.provider.arm(Fault::TooMany(300), 1);
        s.pass(DUE);
        let item = s.until("degraded").await;
        is_told(&s, &item, "last_error");
        assert!(seconds(&item["next_refresh_at"]) >= seconds(&first["refreshed_at"]) + 2_900 + 300, "{item}");
        goes_on(&s, &first).await;
        assert_eq!(s.provider.asked(), 2);
        s.pass(OVER);
        recovers(&s, &grant, &first).await;
    }

    async fn a_provider_that_is_away_is_waited_for(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.provider.close().await;
        s.pass(DUE);
        is_told(&s, &s.until("degraded").await, "last_error");
        goes_on(&s, &first).await;
        s.pass(OVER);
        s.read("").await.is_problem(503, "token-refreshing");
        last_is(&s.audit().await, "read", PATH, "allowed: token-refreshing");
        assert_eq!(s.listed().await["state"], "degraded");
        s.provider.open().await;
        s.pass(OVER);
        recovers(&s, &grant, &first).await;
    }

    /// What is wrong with a client is no fault of its grants.
    async fn a_client_that_is_not_known_costs_no_grant(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.provider.arm(Fault::InvalidClient, MANY);
        s.pass(DUE);
        let item = s.until("degraded").await;
        assert!(item["last_error"].as_str().is_some_and(|error| error.contains("invalid_client")), "{item}");
        goes_on(&s, &first).await;
        s.provider.disarm();
        s.pass(OVER);
        recovers(&s, &grant, &first).await;
    }

    /// A page of HTML may hide that the token was spent, so the token is not shown again while the old one is good.
    async fn an_answer_that_cannot_be_read_is_doubtful(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.provider.arm(Fault::Html, 1);
        s.pass(DUE);
        is_told(&s, &s.until("in_doubt").await, "last_error");
        goes_on(&s, &first).await;
        assert_eq!(s.provider.asked(), 2);
        s.pass(OVER);
        recovers(&s, &grant, &first).await;
        assert_eq!(s.provider.asked(), 4);
    }

    async fn a_call_that_never_arrived_is_doubtful_and_made_again(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.provider.arm(Fault::DropBefore, 1);
        s.pass(DUE);
        is_told(&s, &s.until("in_doubt").await, "last_error");
        goes_on(&s, &first).await;
        s.pass(OVER);
        recovers(&s, &grant, &first).await;
    }

    async fn a_lost_answer_is_doubtful_and_tried_once_more(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.provider.arm(Fault::DropAfter, 1);
        s.pass(DUE);
        let item = s.until("in_doubt").await;
        is_told(&s, &item, "last_error");
        assert_eq!(item["version"], first["version"]);
        goes_on(&s, &first).await;
        // A refresh cannot be had, and is not tried either: the token that is served would die of it.
        s.read("?min_ttl=3000").await.is_problem(503, "token-refreshing");
        goes_on(&s, &first).await;
        assert_eq!((s.provider.asked(), s.provider.reuses()), (2, 0));
        s.pass(OVER);
        let item = s.until("needs_reauth").await;
        is_told(&s, &item, "reason");
        assert_eq!((s.provider.asked(), s.provider.reuses(), s.provider.lives(&grant)), (3, 1, false));
        is_over(&s, item["reason"].as_str().expect("a sentence").trim_end_matches('.')).await;
    }

    async fn a_grant_that_is_refused_needs_a_person(v: TestVault) {
        let (s, grant) = Scene::imported(v).await;
        let first = s.listed().await;
        s.provider.arm(Fault::InvalidGrant, 1);
        s.pass(DUE);
        let item = s.until("needs_reauth").await;
        is_told(&s, &item, "reason");
        assert!(item["reason"].as_str().is_some_and(|reason| reason.contains("invalid_grant")), "{item}");
        assert_eq!((&item["version"], item.get("next_refresh_at")), (&first["version"], None));
        goes_on(&s, &first).await;
        assert!(s.provider.lives(&grant));
        s.pass(OVER);
        is_over(&s, "invalid_grant").await;
    }

    async fn a_short_life_ends_where_its_grant_is_revoked(v: TestVault) {
        let s = Scene::new(v).await;
        s.provider.set_lifetime(Ttl::seconds(300));
        let grant = s.provider.grant();
        s.import(&grant).await.is(201);
        s.provider.revoke(&grant);
        s.pass(Ttl::seconds(301));
        s.read("").await.is_problem(409, "needs-reauth");
        let item = s.until("needs_reauth").await;
        assert_eq!(s.provider.asked(), 2);
        is_over(&s, item["reason"].as_str().expect("a sentence").trim_end_matches('.')).await;
    }
}
