//! Whatever an endpoint answers is read without a panic, and no outcome tells a token.

use std::time::Duration;

use hyper::StatusCode;
use proptest::prelude::*;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::*;
use crate::model::{ClientAuth, Timestamp};

const TOKEN: &str = "rt_8Jq2vLx0PzW4nYtK";
const SECRET: &str = "cs-5fH1mRb7QeUo9dGa";

fn outcome(status: u16, body: &[u8]) -> Exchange {
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
fn printed(outcome: &Exchange) -> &str {
    match outcome {
        Exchange::Tokens(_) => "",
        Exchange::Refused { code, .. } => code,
        Exchange::NotSent { why } | Exchange::Busy { why, .. } | Exchange::Doubtful { why } => why,
    }
}

/// No eight bytes in a row are the token's or the secret's.
fn is_clean(text: &str) -> bool {
    ![TOKEN, SECRET]
        .iter()
        .any(|secret| resembles(text, secret.as_bytes()))
        && text.len() <= Exchange::WHY_BYTES_MAX
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn members() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "access_token",
        "refresh_token",
        "token_type",
        "scope",
        "expires_in",
        "expires_at",
        "error",
        "ok",
        "other",
    ]);
    let value = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1e30",
        "3600",
        "\"\"",
        "\"3600\"",
        "\"invalid_grant\"",
        "\"rt_8Jq2vLx0PzW4nYtK\"",
        "\"cs-5fH1mRb7QeUo9dGa\"",
        "\"x.rt_8Jq2vLx0\"",
        "\"vLx0PzW4nY\"",
        "\"slow_down\"",
        "[]",
        "[\"a\",\"b\"]",
        "[1,\"b\"]",
        "{}",
        "{\"a\":[{}]}",
        "\"e30.eyJleHAiOjF9.x\"",
        "\"\\u0000\\n\"",
    ]);
    let pair = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop::collection::vec(pair, 0..6).prop_map(|pairs| format!("{{{}}}", pairs.join(",")))
}

const STATUSES: [u16; 9] = [200, 201, 302, 400, 401, 403, 404, 429, 503];

proptest! {
    #[test]
    fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..64), at in 0..STATUSES.len()) {
        let outcome = outcome(STATUSES[at], &body);
        prop_assert!(is_clean(printed(&outcome)));
    }

    #[test]
    fn any_members_are_read(body in members(), at in 0..STATUSES.len()) {
        let outcome = outcome(STATUSES[at], body.as_bytes());
        prop_assert!(is_clean(printed(&outcome)), "{}: {}", body, printed(&outcome));
        if let Exchange::Tokens(tokens) = outcome {
            prop_assert!(STATUSES[at] < 300 && !tokens.access_token.expose().is_empty());
        }
    }

    #[test]
    fn any_code_is_clean(code in "[ -~]{0,80}", before in "[a-z_]{0,8}", from in 0..8_usize, length in 8..12_usize) {
        let body = serde_json::json!({ "error": code }).to_string();
        prop_assert!(is_clean(printed(&outcome(400, body.as_bytes()))));
        let echoed = format!("{before}{}", &TOKEN[from..from + length]);
        let body = serde_json::json!({ "error": echoed }).to_string();
        prop_assert!(is_clean(printed(&outcome(400, body.as_bytes()))));
    }
}
