//! What oidc-provider does by itself: it is as strict as our own provider, so that stories may lean on either.

use serde_json::Value;
use tokio::task::JoinSet;

use coffer::model::Ttl;

use crate::support::oidc::Oidc;
use crate::support::provider::Proof;
use crate::support::provider::asking::refresh;

/// Access token and refresh token of an accepted refresh.
#[track_caller]
fn tokens(answer: Option<(u16, Value)>) -> (String, String) {
    let (status, body) = answer.expect("an answer");
    assert_eq!(status, 200, "{body}");
    let text = |key: &str| body[key].as_str().expect("a token").to_owned();
    (text("access_token"), text("refresh_token"))
}

#[track_caller]
fn is_refused(answer: Option<(u16, Value)>, status: u16, code: &str) {
    let (found, body) = answer.expect("an answer");
    assert_eq!((found, body["error"].as_str()), (status, Some(code)));
}

#[tokio::test]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_spent_token_ends_everything_of_its_grant() {
    let oidc = Oidc::start();
    for proof in [Proof::Basic, Proof::Post, Proof::Public] {
        let grant = oidc.grant(proof).await;
        let (first, next) = tokens(refresh(&grant, &grant.refresh_token).await);
        let (second, last) = tokens(refresh(&grant, &next).await);
        assert!(next != grant.refresh_token && last != next && first != second);
        assert!(oidc.accepts(&second).await);
        is_refused(refresh(&grant, &next).await, 400, "invalid_grant");
        assert!(!oidc.accepts(&first).await && !oidc.accepts(&second).await);
        is_refused(refresh(&grant, &last).await, 400, "invalid_grant");
    }
    assert_eq!(oidc.counts().await, (12, 6));
}

#[tokio::test]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn of_many_with_one_token_one_is_served_and_in_vain() {
    let oidc = Oidc::start();
    let grant = oidc.grant(Proof::Basic).await;
    let mut asking = JoinSet::new();
    for _ in 0..4 {
        let grant = grant.clone();
        asking.spawn(async move { refresh(&grant, &grant.refresh_token).await });
    }
    let answers = asking.join_all().await;
    let served: Vec<_> = answers
        .into_iter()
        .filter(|answer| answer.as_ref().is_some_and(|(status, _)| *status == 200))
        .collect();
    let [served] = served.try_into().expect("one is served");
    let (access, next) = tokens(served);
    assert!(!oidc.accepts(&access).await);
    is_refused(refresh(&grant, &next).await, 400, "invalid_grant");
}

#[tokio::test]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_fault_is_met_as_often_as_it_was_armed() {
    let oidc = Oidc::start();
    let grant = oidc.grant(Proof::Basic).await;
    for fault in ["drop_before", "503", "429", "html", "no_expires_in", "drop"] {
        oidc.arm(fault, 1).await;
    }
    let asked = async || refresh(&grant, &grant.refresh_token).await;
    assert_eq!(asked().await, None);
    for status in [503, 429, 200] {
        assert_eq!(asked().await, Some((status, Value::Null)));
    }
    let answer = asked().await;
    let (_, body) = answer.as_ref().expect("an answer");
    assert_eq!(body.get("expires_in"), None);
    let (access, next) = tokens(answer);
    assert_eq!(refresh(&grant, &next).await, None);
    // The answer was lost, and the token was spent.
    assert_eq!(oidc.counts().await, (6, 2));
    assert!(oidc.accepts(&access).await);
    is_refused(refresh(&grant, &next).await, 400, "invalid_grant");
    assert!(!oidc.accepts(&access).await);
}

#[tokio::test]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_client_proves_itself_and_lives_are_as_long_as_told() {
    let oidc = Oidc::start();
    oidc.set_lifetime(Ttl::seconds(5)).await;
    let grant = oidc.grant(Proof::Basic).await;
    let mut wrong = grant.clone();
    wrong.client_secret = Some("wrong".to_owned());
    is_refused(
        refresh(&wrong, &grant.refresh_token).await,
        401,
        "invalid_client",
    );
    let (status, body) = refresh(&grant, &grant.refresh_token)
        .await
        .expect("an answer");
    assert_eq!((status, body["expires_in"].as_u64()), (200, Some(5)));
}
