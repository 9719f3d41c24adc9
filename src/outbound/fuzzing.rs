//! Fuzz targets of what goes to a token endpoint and of what it answers: an answer is believed as any reader of JSON would
//! read it, or not at all, and no outcome tells a secret.
//!
//! Invariant: the secrets in here are sought in everything that an outcome prints.

use std::time::Duration;

use hyper::StatusCode;
use tokio::time::Instant;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::*;
use crate::fuzzing::lines;
use crate::model::{ClientAuth, Timestamp, TokenUrl};

pub(super) const TOKEN: &str = "rt_8Jq2vLx0PzW4nYtK";
pub(super) const SECRET: &str = "cs-5fH1mRb7QeUo9dGa";
pub(super) const STATUSES: [u16; 9] = [200, 201, 302, 400, 401, 403, 404, 429, 503];

/// What an answer means for a request with the secrets of this file.
pub(super) fn outcome(status: u16, body: &[u8]) -> Exchange {
    let value = |text: &str| Value::text(Zeroizing::new(text.to_owned()));
    let (token, secret) = (value(TOKEN), value(SECRET));
    let url = "https://idp.example/token".parse().expect("a URL");
    let answer = Answer {
        status: StatusCode::from_u16(status).expect("a status"),
        retry_after: None,
        body: Zeroizing::new(body.to_vec()),
    };
    answer.outcome(&RefreshRequest {
        url: &url,
        auth: ClientAuth::Basic,
        client_id: "coffer",
        client_secret: Some(&secret),
        refresh_token: &token,
        scope: None,
        now: Timestamp::from_micros(0),
        send_by: Instant::now() + Duration::from_secs(30),
    })
}

/// What an outcome prints.
pub(super) fn printed(outcome: &Exchange) -> &str {
    match outcome {
        Exchange::Tokens(_) => "",
        Exchange::Refused { code, .. } => code,
        Exchange::NotSent { why } | Exchange::Busy { why, .. } | Exchange::Doubtful { why } => why,
    }
}

/// No eight bytes in a row are the token's or the secret's.
pub(super) fn is_clean(text: &str) -> bool {
    ![TOKEN, SECRET]
        .iter()
        .any(|secret| resembles(text, secret.as_bytes()))
        && text.len() <= Exchange::WHY_BYTES_MAX
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// An answer: a byte that chooses the status, and the body.
pub(crate) fn answer(input: &[u8]) {
    let Some((status, body)) = input.split_first() else {
        return;
    };
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let outcome = outcome(status, body);
    assert!(is_clean(printed(&outcome)), "{}", printed(&outcome));
    let Exchange::Tokens(tokens) = outcome else {
        return;
    };
    assert!(status < 300 && is_plain(&tokens.token_type));
    let lifetime = tokens.lifetime.unwrap_or(Ttl::MAX);
    assert!((Ttl::seconds(1)..=Ttl::MAX).contains(&lifetime));
    // What nobody reads is not looked at, even where it is no text: an answer may hold the only living tokens.
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else {
        return;
    };
    let text = |key: &str| json[key].as_str().filter(|text| !text.is_empty());
    assert_eq!(
        text("access_token").map(str::as_bytes),
        Some(tokens.access_token.expose())
    );
    let next = tokens.refresh_token.as_ref().map(Value::expose);
    assert_eq!(text("refresh_token").map(str::as_bytes), next);
    assert!(text("error").is_none() && json["ok"] != false);
}

/// A request: URL, client, its secret, the refresh token, a line each.
pub(crate) fn request(input: &[u8]) {
    let Some([url, id, secret, token]) = lines::<4>(input) else {
        return;
    };
    let Ok(url) = url.parse::<TokenUrl>() else {
        return;
    };
    let value = |text: &str| Value::text(Zeroizing::new(text.to_owned()));
    let (client_secret, refresh_token) = (value(secret), value(token));
    for auth in [ClientAuth::Basic, ClientAuth::Post] {
        let of = RefreshRequest {
            url: &url,
            auth,
            client_id: id,
            client_secret: Some(&client_secret),
            refresh_token: &refresh_token,
            scope: Some(id),
            now: Timestamp::from_micros(0),
            send_by: Instant::now(),
        };
        let is_basic = auth == ClientAuth::Basic;
        let body = form::body(&of, is_basic);
        let pairs: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        let mut wanted = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("scope", id),
        ];
        if !is_basic {
            wanted.extend([("client_id", id), ("client_secret", secret)]);
        }
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .collect();
        assert_eq!(pairs, wanted, "a form holds what was put into it");
        let Ok(request) = form::request(&of) else {
            continue;
        };
        assert_eq!(request.uri().to_string(), url.target());
        assert_eq!(request.headers()["host"], url.authority());
        assert_eq!(request.headers().contains_key("authorization"), is_basic);
    }
}
