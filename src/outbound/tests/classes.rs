//! What an answer means: a row for each kind.

use super::*;

async fn of(answer: impl Into<Vec<u8>>) -> Exchange {
    let endpoint = Endpoint::saying(answer).await;
    refresh(&outbound(&["127.0.0.1"]), &endpoint.url()).await
}

const HTML: &str = "<html><body>invalid_grant</body></html>";

#[tokio::test]
async fn tokens_are_read_as_providers_write_them() {
    let Exchange::Tokens(answer) = of(http("200 OK", TOKENS)).await else {
        panic!("no tokens");
    };
    assert_eq!(answer.token_type, "bearer");
    assert_eq!(answer.scope.as_deref(), Some("a b"));
    assert_eq!(answer.lifetime.map(Ttl::as_seconds), Some(3600));
    assert_eq!(answer.lifetime_from, LifetimeSource::ExpiresIn);
    for (body, kind, scope) in [
        (r#"{"access_token":"t"}"#, "Bearer", None),
        (
            r#"{"access_token":"t","refresh_token":"","token_type":null,"scope":["a","b"]}"#,
            "Bearer",
            Some("a b"),
        ),
        (
            r#"{"ok":true,"error":null,"access_token":"t","refresh_token":null,"token_type":"DPoP","scope":""}"#,
            "DPoP",
            None,
        ),
        (
            r#"{"access_token":"t","token_type":"a b","scope":"a\nb","expires_in":"x"}"#,
            "Bearer",
            None,
        ),
    ] {
        let Exchange::Tokens(answer) = of(http("200 OK", body)).await else {
            panic!("no tokens: {body}");
        };
        assert_eq!(
            (answer.token_type.as_str(), answer.scope.as_deref()),
            (kind, scope),
            "{body}"
        );
        assert!(answer.refresh_token.is_none(), "{body}");
        assert_eq!(
            (answer.lifetime, answer.lifetime_from),
            (None, LifetimeSource::None),
            "{body}"
        );
    }
    let chunked = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{\"access_token\":\"\r\n3\r\nt\"}\r\n0\r\n\r\n";
    assert_eq!(said(&of(chunked).await), "tokens t -");
}

#[tokio::test]
async fn a_refusal_is_by_its_code() {
    use RefusedClass::{Client, Consent, Grant};
    for (code, class) in [
        ("invalid_grant", Grant),
        ("invalid_client", Client),
        ("unauthorized_client", Client),
        ("invalid_scope", Consent),
        ("consent_required", Consent),
        ("interaction_required", Consent),
        ("access_denied", Consent),
    ] {
        let body = format!(r#"{{"error":"{code}","error_description":"no rt-1 here"}}"#);
        let slack = format!(r#"{{"ok":false,"error":"{code}"}}"#);
        for (status, body) in [
            ("400 Bad Request", &body),
            ("401 Unauthorized", &body),
            ("403 Forbidden", &body),
            ("200 OK", &body),
            ("200 OK", &slack),
        ] {
            let found = said(&of(http(status, body)).await);
            assert_eq!(
                found,
                format!("refused {class:?} {code}"),
                "{status}: {body}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_refusal_revokes_nothing() {
    let refused = r#"{"error":"invalid_grant"}"#;
    for (status, body, why) in [
        (
            "400 Bad Request",
            r#"{"error":"slow_down"}"#,
            "the error slow_down, with status 400",
        ),
        (
            "400 Bad Request",
            r#"{"error":"the rt-1"}"#,
            "an error of no known form, with status 400",
        ),
        (
            "400 Bad Request",
            r#"{"error":"rt-1"}"#,
            "an error of no known form, with status 400",
        ),
        (
            "400 Bad Request",
            r#"{"error":{"code":"invalid_grant"}}"#,
            "a refusal without an OAuth error, with status 400",
        ),
        (
            "401 Unauthorized",
            HTML,
            "a refusal without an OAuth error, with status 401",
        ),
        (
            "403 Forbidden",
            "",
            "a refusal without an OAuth error, with status 403",
        ),
        (
            "200 OK",
            r#"{"ok":false}"#,
            "a refusal without an OAuth error, with status 200",
        ),
        (
            "200 OK",
            r#"{"error":"token_expired"}"#,
            "the error token_expired, with status 200",
        ),
        (
            "404 Not Found",
            refused,
            "no answer that OAuth knows, with status 404",
        ),
        (
            "407 Proxy",
            refused,
            "no answer that OAuth knows, with status 407",
        ),
        (
            "429 Too Many",
            refused,
            "no answer that OAuth knows, with status 429",
        ),
        (
            "500 Oh",
            refused,
            "no answer that OAuth knows, with status 500",
        ),
        ("503 Oh", "", "no answer that OAuth knows, with status 503"),
    ] {
        let found = said(&of(http(status, body)).await);
        assert_eq!(
            found,
            format!("busy: The token endpoint gave no tokens: {why}."),
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_doubtful() {
    let big = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(64 * 1024 + 1));
    for (status, body, why) in [
        ("200 OK", HTML, "it is no JSON object"),
        ("200 OK", "", "it is no JSON object"),
        ("200 OK", "[]", "it is no JSON object"),
        (
            "200 OK",
            r#"{"access_token":"t"} {}"#,
            "it is no JSON object",
        ),
        ("204 No Content", "", "it is no JSON object"),
        ("200 OK", "{}", "it holds no access token"),
        (
            "200 OK",
            r#"{"access_token":""}"#,
            "it holds no access token",
        ),
        (
            "200 OK",
            r#"{"access_token":["t"]}"#,
            "it holds no access token",
        ),
        (
            "200 OK",
            r#"{"access_token":"t","access_token":"u"}"#,
            "it has a key twice",
        ),
        (
            "200 OK",
            r#"{"access_token":"t","x":1,"x":1}"#,
            "it has a key twice",
        ),
        (
            "400 Bad Request",
            r#"{"error":"invalid_grant","error":"x"}"#,
            "it has a key twice",
        ),
        (
            "200 OK",
            r#"{"access_token":"t","error":"invalid_grant"}"#,
            "it holds an access token and refuses",
        ),
        (
            "400 Bad Request",
            r#"{"access_token":"t"}"#,
            "it holds an access token and refuses",
        ),
        ("200 OK", &big, "it holds a token of more than 64 KiB"),
        ("502 Bad Gateway", HTML, "a gateway got none"),
        ("504 Gateway Timeout", "", "a gateway did not wait for it"),
        ("520 Oh", HTML, "a gateway got none, or did not wait for it"),
        ("522 Oh", HTML, "a gateway got none, or did not wait for it"),
        ("524 Oh", HTML, "a gateway got none, or did not wait for it"),
    ] {
        let found = said(&of(http(status, body)).await);
        let sentence = format!("doubtful: The answer of the token endpoint cannot be used: {why}.");
        assert_eq!(found, sentence, "{status}");
    }
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_heeded_up_to_a_day() {
    for (header, seconds) in [
        ("120", Some(120)),
        ("0", Some(0)),
        ("86401", Some(86_400)),
        ("99999999999999999999999", Some(86_400)),
        ("-1", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ] {
        let answer =
            format!("HTTP/1.1 429 Too Many\r\nRetry-After: {header}\r\nContent-Length: 0\r\n\r\n");
        let Exchange::Busy { retry_after, .. } = of(answer).await else {
            panic!("not busy");
        };
        assert_eq!(retry_after.map(Ttl::as_seconds), seconds, "{header}");
    }
}
