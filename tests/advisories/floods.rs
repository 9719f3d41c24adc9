//! Group H: what one request can cost. Bodies that are too deep, too long, never end or lie about their length.

use std::time::Duration;

use coffer::store::Engine;
use serde_json::json;

use super::raw::{Raw, head};
use super::unchanged;
use crate::matrix::rows::ROWS;
use crate::support::vault::{TestVault, both_engines};

/// A body's limit, and that of a body which makes a token.
const BODY_BYTES_MAX: usize = 1 << 20;
const TOKEN_BODY_BYTES_MAX: usize = 64 << 10;
const EMPTY_BODY_BYTES_MAX: usize = 1 << 10;

/// Small bodies that cost a parser much.
fn complex() -> Vec<(&'static str, String, u16)> {
    let keys = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|key| format!("\"k{key}\":0")).collect();
        format!("{{{}}}", pairs.join(","))
    };
    vec![
        ("arrays in arrays", "[".repeat(100_000), 400),
        (
            "closed ones",
            format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)),
            400,
        ),
        ("objects in objects", "{\"a\":".repeat(10_000), 400),
        (
            "depth behind a key",
            format!("{{\"fields\":{}1{}}}", "{\"a\":".repeat(40), "}".repeat(40)),
            400,
        ),
        ("many keys", keys(2_000), 400),
        ("very many keys", keys(150_000), 413),
        (
            "a key twice",
            r#"{"fields":{"a":"1"},"fields":{"a":"2"}}"#.to_owned(),
            400,
        ),
        (
            "a field twice",
            r#"{"fields":{"a":"1","a":"2"}}"#.to_owned(),
            400,
        ),
        (
            "many strings",
            format!("{{\"fields\":{{\"a\":[{}\"\"]}}}}", "\"\",".repeat(20_000)),
            400,
        ),
        (
            "a long number",
            format!("{{\"fields\":{}}}", "9".repeat(100_000)),
            400,
        ),
        (
            "an open string",
            format!("{{\"fields\":{{\"a\":\"{}", "x".repeat(1_000)),
            400,
        ),
        (
            "half a surrogate",
            r#"{"fields":{"a":"\ud800"}}"#.to_owned(),
            400,
        ),
        (
            "escapes in depth",
            r#"{"fields":{"a\"{[{[":{[{[{["#.to_owned(),
            400,
        ),
        ("nothing but spaces", " ".repeat(50_000), 400),
        (
            "one byte too many",
            format!(
                "{{\"fields\":{{\"a\":\"{}\"}}}}",
                "x".repeat(BODY_BYTES_MAX)
            ),
            413,
        ),
    ]
}

both_engines! {
    async fn replay_h01_small_bodies_that_cost_much(v: TestVault) {
        v.set("payments/prod/patch", "value", "1").await;
        unchanged!(v, {
            for (what, body, status) in complex() {
                for row in ROWS.iter().filter(|row| !row.body.is_empty()) {
                    let refused = v.call(row.method(), row.path).by(&v.root).text(&body).await;
                    // Where bodies are small, the length alone is enough.
                    let most = match row.method().as_str() {
                        "PUT" | "PATCH" => BODY_BYTES_MAX,
                        _ if row.route.starts_with("POST /keys/") => EMPTY_BODY_BYTES_MAX,
                        _ => TOKEN_BODY_BYTES_MAX,
                    };
                    let status = if body.len() > most { 413 } else { status };
                    assert_eq!(refused.status(), status, "{what}: {}: {}", row.route, refused.text());
                }
            }
        });
    }

    async fn replay_h02_who_shows_no_token_has_no_body_read(v: TestVault) {
        let huge = "x".repeat(BODY_BYTES_MAX / 2);
        for row in ROWS {
            let answer = v.call(row.method(), &row.path_with("x")).text(&huge).await;
            answer.is_problem(401, "token-missing");
        }
        // Announced, and never sent: the answer does not wait for it.
        for announced in ["content-length: 1000000", "content-length: 9007199254740993", "transfer-encoding: chunked"] {
            let mut raw = Raw::connect(&v).await;
            let head = "PUT /api/v1/secrets/payments/prod/put HTTP/1.1\r\nhost: story\r\nconnection: close\r\n";
            raw.send(format!("{head}{announced}\r\n\r\n").as_bytes()).await;
            let answer = raw.answer().await.expect("an answer");
            assert_eq!(answer.status, 401, "{announced}: {}", answer.text);
        }
    }

    async fn replay_h03_lengths_that_lie(v: TestVault) {
        let head = head("PUT", "/api/v1/secrets/payments/prod/put", &v.root);
        let body = r#"{"fields":{"value":"1"}}"#;
        unchanged!(v, {
            // More was announced than comes.
            let mut raw = Raw::connect(&v).await;
            raw.send(format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 1).as_bytes()).await;
            drop(raw);
            for (what, lines, sent, status) in [
                ("less than comes", "content-type: application/json\r\ncontent-length: 5\r\n", body, 400),
                ("two lengths", "content-type: application/json\r\ncontent-length: 24\r\ncontent-length: 5\r\n", body, 400),
                ("no number", "content-type: application/json\r\ncontent-length: +24\r\n", body, 400),
                ("a negative one", "content-type: application/json\r\ncontent-length: -1\r\n", body, 400),
                ("too large for 64 bits", "content-type: application/json\r\ncontent-length: 99999999999999999999\r\n", body, 400),
                ("length and chunks", "content-type: application/json\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n", 400),
                ("another coding", "content-type: application/json\r\ntransfer-encoding: gzip\r\n", body, 400),
                ("chunks that are none", "content-type: application/json\r\ntransfer-encoding: chunked\r\n", "zz\r\n", 400),
                ("a chunk of 2^64", "content-type: application/json\r\ntransfer-encoding: chunked\r\n", "10000000000000000\r\n", 400),
                ("more than any body", "content-type: application/json\r\ncontent-length: 1048577\r\n", "", 413),
                ("compressed", "content-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 24\r\n", body, 415),
                ("no type", "content-length: 24\r\n", body, 415),
            ] {
                let mut raw = Raw::connect(&v).await;
                raw.send(format!("{head}{lines}\r\n{sent}").as_bytes()).await;
                let answer = raw.answer().await;
                assert!(answer.as_ref().is_some_and(|answer| answer.status == status), "{what}: {answer:?}");
            }
            // Chunks without an end: the answer comes when there are too many, and the connection ends with it.
            let mut raw = Raw::connect(&v).await;
            raw.send(format!("{head}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes()).await;
            let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
            let mut sent = 0;
            while sent < 64 * BODY_BYTES_MAX && raw.send(chunk.as_bytes()).await {
                sent += 0x4000;
            }
            assert!(sent < 64 * BODY_BYTES_MAX, "the server takes chunks for ever");
        });
        v.put("/secrets/payments/prod/put", json!({ "fields": { "value": "1" } }), &v.root).await.is(201);
    }
}

/// A body that is begun and never ends, and headers likewise: their time passes without anybody waiting for it here.
#[tokio::test]
async fn replay_h03_a_body_that_never_comes() {
    let v = TestVault::new(Engine::Sqlite).await;
    let mut slow = Raw::connect(&v).await;
    let head = head("PUT", "/api/v1/secrets/payments/prod/put", &v.root);
    let lines =
        "content-type: application/json\r\ncontent-length: 24\r\nexpect: 100-continue\r\n\r\n";
    slow.send(format!("{head}{lines}").as_bytes()).await;
    let told = slow.head().await;
    assert!(
        told.starts_with("HTTP/1.1 100 "),
        "the body is waited for: {told}"
    );
    slow.send(b"{").await;
    let mut slower = Raw::connect(&v).await;
    slower
        .send(b"GET /health/live HTTP/1.1\r\nhost: story\r\n\r\n")
        .await;
    let told = slower.head().await;
    assert!(told.starts_with("HTTP/1.1 204 "), "it is served: {told}");
    slower.send(b"GET /health/live HTTP/1.1\r\nhost: st").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    let answer = slow.answer().await.expect("an answer");
    assert_eq!(answer.status, 408, "{}", answer.text);
    let ended = slower.answer().await;
    assert!(
        ended.is_none_or(|answer| answer.status == 408),
        "the connection ends"
    );
    let path = "/secrets/payments/prod/put";
    v.get(path, &v.root).await.is_problem(404, "not-found");
}
