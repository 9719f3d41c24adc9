//! The provider itself, asked as a client asks it: other stories lean on its strictness.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::task::JoinSet;

use super::asking::{ask, basic, refresh};
use super::*;

/// Access token and refresh token of an accepted refresh.
#[track_caller]
fn tokens(answer: Option<(u16, Value)>) -> (String, String) {
    let (status, body) = answer.expect("an answer");
    assert_eq!(status, 200, "{body}");
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    (text("access_token"), text("refresh_token"))
}

#[track_caller]
fn is_refused(answer: Option<(u16, Value)>, status: u16, code: &str) {
    let (found, body) = answer.expect("an answer");
    assert_eq!((found, body["error"].as_str()), (status, Some(code)));
}

#[tokio::test]
async fn each_refresh_gives_the_next_token() {
    let provider = Provider::start().await;
    for proof in [Proof::Basic, Proof::Post, Proof::Public] {
        let grant = provider.grant_to(proof);
        let (first, next) = tokens(refresh(&grant, &grant.refresh_token).await);
        let (second, last) = tokens(refresh(&grant, &next).await);
        assert!(first != second && next != last && next != grant.refresh_token);
        assert!(provider.accepts(&first) && provider.accepts(&second));
        assert!(!provider.accepts(&last), "it is no access token");
    }
    assert_eq!((provider.refreshes(), provider.asked()), (6, 6));
    assert_eq!(provider.reuses(), 0);
    // Three secrets but one, three first tokens, and two for each of six refreshes.
    assert_eq!(provider.secrets().len(), 2 + 3 + 12);
}

#[tokio::test]
async fn a_spent_token_ends_everything_of_its_grant() {
    let provider = Provider::start().await;
    let (grant, other) = (provider.grant(), provider.grant());
    let (access, next) = tokens(refresh(&grant, &grant.refresh_token).await);
    let (untouched, _) = tokens(refresh(&other, &other.refresh_token).await);
    is_refused(
        refresh(&grant, &grant.refresh_token).await,
        400,
        "invalid_grant",
    );
    assert_eq!((provider.reuses(), provider.lives(&grant)), (1, false));
    assert!(!provider.accepts(&access) && provider.accepts(&untouched));
    is_refused(refresh(&grant, &next).await, 400, "invalid_grant");
    assert_eq!(provider.refreshes(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_with_one_token_one_is_served_and_in_vain() {
    let provider = Provider::start().await;
    let grant = provider.grant();
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let grant = grant.clone();
        asking.spawn(async move { refresh(&grant, &grant.refresh_token).await });
    }
    let answers = asking.join_all().await;
    let statuses = answers.into_iter().flatten().map(|(status, _)| status);
    assert_eq!(statuses.filter(|status| *status == 200).count(), 1);
    assert_eq!((provider.refreshes(), provider.reuses()), (1, 7));
    assert!(!provider.lives(&grant));
}

#[tokio::test]
async fn a_client_proves_itself_in_its_one_way() {
    let provider = Provider::start().await;
    let (basic_client, post) = (provider.grant(), provider.grant_to(Proof::Post));
    let of = |grant: &Grant, proof| Grant {
        proof,
        ..grant.clone()
    };
    for (grant, proof) in [
        (&basic_client, Proof::Post),
        (&basic_client, Proof::Public),
        (&post, Proof::Basic),
        (&post, Proof::Public),
    ] {
        let shown = refresh(&of(grant, proof), &grant.refresh_token).await;
        is_refused(shown, 401, "invalid_client");
    }
    let url = provider.url();
    let secret = basic_client.client_secret.clone().expect("a secret");
    let plain = STANDARD.encode(format!("{}:{secret}", basic_client.client_id));
    let form = format!(
        "grant_type=refresh_token&refresh_token={}",
        basic_client.refresh_token
    );
    let unencoded = ask(&url, Some(format!("Basic {plain}")), form.clone()).await;
    is_refused(unencoded, 401, "invalid_client");
    is_refused(ask(&url, None, form.clone()).await, 401, "invalid_client");
    let right = || Some(basic(&basic_client.client_id, &secret));
    for (more, code) in [
        ("&client_secret=x", "invalid_request"),
        ("&refresh_token=x", "invalid_request"),
        ("&scope=admin", "invalid_scope"),
    ] {
        let answer = ask(&url, right(), format!("{form}{more}")).await;
        is_refused(answer, 400, code);
    }
    let form = form.replace("grant_type=refresh_token", "grant_type=password");
    is_refused(
        ask(&url, right(), form).await,
        400,
        "unsupported_grant_type",
    );
    let foreign = refresh(&basic_client, &post.refresh_token).await;
    is_refused(foreign, 400, "invalid_grant");
    // None of it was accepted, and none of it cost a grant.
    tokens(refresh(&basic_client, &basic_client.refresh_token).await);
    tokens(refresh(&post, &post.refresh_token).await);
    assert_eq!(provider.refreshes(), 2);
}

#[tokio::test]
async fn access_tokens_run_out_by_its_clock() {
    let provider = Provider::start().await;
    provider.set_lifetime(Ttl::seconds(60));
    let grant = provider.grant();
    let answer = refresh(&grant, &grant.refresh_token).await;
    let (_, body) = answer.clone().expect("an answer");
    assert_eq!(
        (&body["expires_in"], &body["scope"]),
        (&json!(60), &json!(SCOPE))
    );
    let (access, next) = tokens(answer);
    provider.advance(Ttl::seconds(50));
    assert!(provider.accepts(&access));
    provider.set_clock(Ttl::seconds(61));
    assert!(!provider.accepts(&access));
    let (access, _) = tokens(refresh(&grant, &next).await);
    assert!(provider.accepts(&access));
    provider.revoke(&grant);
    assert!(!provider.accepts(&access) && !provider.lives(&grant));
}

#[tokio::test]
async fn a_fault_is_met_as_often_as_it_was_armed() {
    let provider = Provider::start().await;
    let grant = provider.grant();
    let asked = async || refresh(&grant, &grant.refresh_token).await;
    provider.arm(Fault::DropBefore, 1);
    provider.arm(Fault::Unavailable, 2);
    provider.arm(Fault::TooMany(7), 1);
    provider.arm(Fault::Html, 1);
    provider.arm(Fault::InvalidClient, 1);
    provider.arm(Fault::InvalidGrant, 1);
    provider.arm(Fault::NoRefreshToken, 1);
    provider.arm(Fault::NoExpiresIn, 1);
    assert_eq!(asked().await, None);
    for status in [503, 503, 429, 200] {
        assert_eq!(asked().await, Some((status, Value::Null)));
    }
    is_refused(asked().await, 401, "invalid_client");
    is_refused(asked().await, 400, "invalid_grant");
    assert_eq!(provider.refreshes(), 0, "nothing was done so far");
    let (_, none) = tokens(asked().await);
    assert_eq!(none, "", "the old one goes on");
    let answer = asked().await;
    assert_eq!(
        answer.as_ref().expect("an answer").1["expires_in"],
        Value::Null
    );
    let (access, next) = tokens(answer);
    assert!(provider.accepts(&access) && !next.is_empty());
    provider.arm(Fault::Unavailable, 1);
    provider.disarm();
    tokens(refresh(&grant, &next).await);
    assert_eq!((provider.asked(), provider.refreshes()), (10, 3));
}

#[tokio::test]
async fn a_dropped_answer_has_spent_its_token() {
    let provider = Provider::start().await;
    let grant = provider.grant();
    provider.arm(Fault::DropAfter, 1);
    assert_eq!(refresh(&grant, &grant.refresh_token).await, None);
    assert_eq!((provider.refreshes(), provider.lives(&grant)), (1, true));
    let again = refresh(&grant, &grant.refresh_token).await;
    is_refused(again, 400, "invalid_grant");
    assert!(!provider.lives(&grant));
}

#[tokio::test]
async fn a_held_call_is_carried_out_also_for_a_caller_who_left() {
    let provider = Provider::start().await;
    let grant = provider.grant();
    let held = provider.hold(2);
    let ask = |grant: Grant| async move { refresh(&grant, &grant.refresh_token).await };
    let (leaving, other) = (provider.grant(), tokio::spawn(ask(grant.clone())));
    held.arrived(1).await;
    let left = tokio::spawn(ask(leaving.clone()));
    held.arrived(2).await;
    left.abort();
    assert!(left.await.is_err_and(|ended| ended.is_cancelled()));
    assert_eq!((provider.asked(), provider.refreshes()), (2, 0));
    held.release();
    let (access, _) = tokens(other.await.expect("no panic"));
    assert!(provider.accepts(&access));
    provider.until_asked(2).await;
    crate::support::eventually("both are carried out", || async {
        (provider.refreshes() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_closed_provider_refuses_connections_and_keeps_its_port() {
    let provider = Provider::start().await;
    let (grant, url) = (provider.grant(), provider.url());
    provider.close().await;
    assert_eq!(refresh(&grant, &grant.refresh_token).await, None);
    assert_eq!(provider.asked(), 0);
    provider.open().await;
    assert_eq!(provider.url(), url);
    tokens(refresh(&grant, &grant.refresh_token).await);
    assert_eq!(grant.import()["auth"], "basic");
}
