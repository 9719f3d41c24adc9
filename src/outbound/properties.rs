//! Whatever an endpoint answers is read without a panic, and no outcome tells a token.

use proptest::prelude::*;

use super::fuzzing::{STATUSES, TOKEN, is_clean, outcome, printed};
use super::*;

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
