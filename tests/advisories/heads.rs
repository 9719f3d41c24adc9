//! Group H: heads that say two things, heads that never end, and connections on which nothing is said.

use std::time::Duration;

use coffer::store::Engine;

use super::raw::{Raw, head};
use super::unchanged;
use crate::support::vault::{TestVault, both_engines};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: story\r\n\r\n";

/// Lets so much time pass for everybody at once.
pub async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

both_engines! {
    async fn replay_h03_a_head_that_says_two_things(v: TestVault) {
        let before = v.audit().await.all().len();
        let token = format!("authorization: Bearer {}\r\n", v.root.text);
        let put = "PUT /api/v1/secrets/payments/prod/put HTTP/1.1\r\nhost: story\r\ncontent-type: application/json\r\n";
        let body = r#"{"fields":{"value":"1"}}"#;
        let chunk = format!("18\r\n{body}\r\n0\r\n\r\n");
        unchanged!(v, {
            for (what, request) in [
                ("no host", format!("GET /api/v1/tokens/self HTTP/1.1\r\n{token}\r\n")),
                ("no host, no route", "GET /nothing HTTP/1.1\r\n\r\n".to_owned()),
                ("no host, open", "GET /health/live HTTP/1.1\r\n\r\n".to_owned()),
                ("two hosts", format!("GET /api/v1/tokens/self HTTP/1.1\r\nhost: a\r\nhost: b\r\n{token}\r\n")),
                ("one host twice", format!("GET /api/v1/tokens/self HTTP/1.1\r\nhost: a\r\n{token}Host: a\r\n\r\n")),
                ("a whole URL for one", format!("GET https://story/api/v1/tokens/self HTTP/1.1\r\n{token}\r\n")),
                ("length, then chunks", format!("{put}{token}content-length: 24\r\ntransfer-encoding: chunked\r\n\r\n{chunk}")),
                ("chunks, then length", format!("{put}{token}transfer-encoding: chunked\r\nContent-Length: 24\r\n\r\n{chunk}")),
                ("a length of nothing", format!("{put}content-length: 0\r\n{token}transfer-encoding: chunked\r\n\r\n{chunk}")),
                ("on a read", format!("GET /api/v1/tokens/self HTTP/1.1\r\nhost: a\r\n{token}content-length: 24\r\ntransfer-encoding: chunked\r\n\r\n{chunk}")),
                ("on an open one", format!("GET /health/live HTTP/1.1\r\nhost: a\r\ncontent-length: 24\r\ntransfer-encoding: chunked\r\n\r\n{chunk}")),
            ] {
                let mut raw = Raw::connect(&v).await;
                raw.send(request.as_bytes()).await;
                // What is sent after it is never read as a request.
                raw.send(format!("{put}{token}content-length: 24\r\n\r\n{body}").as_bytes()).await;
                let answer = raw.answer().await.expect("an answer, and the end of the connection");
                assert_eq!(answer.status, 400, "{what}: {}", answer.text);
                assert!(answer.text.contains("\r\nconnection: close\r\n"), "{what}: {}", answer.text);
                assert_eq!(answer.text.matches("x-request-id").count(), 1, "{what}: {}", answer.text);
            }
        });
        // The same in pieces, on a connection that has answered before.
        let mut raw = Raw::connect(&v).await;
        raw.send(LIVE.as_bytes()).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 204 "));
        for piece in format!("{put}{token}content-length: 24\r\ntransfer-encoding: chunked\r\n\r\n{chunk}").as_bytes().chunks(7) {
            raw.send(piece).await;
        }
        assert_eq!(raw.answer().await.expect("an answer").status, 400);
        // One host and one length are as good as ever; HTTP/1.0 knows no host.
        for request in [
            format!("{put}{token}connection: close\r\ncontent-length: 24\r\n\r\n{body}"),
            format!("{put}{token}connection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"),
            format!("GET /api/v1/tokens/self HTTP/1.0\r\n{token}\r\n"),
        ] {
            let mut raw = Raw::connect(&v).await;
            raw.send(request.as_bytes()).await;
            let answer = raw.answer().await.expect("an answer");
            assert!(answer.text[8..].starts_with(" 20"), "{}", answer.text);
        }
        let records = v.audit().await;
        let of_root = records.count("app/root", "write", "payments/prod/put", "allowed");
        assert_eq!(of_root, 2);
        let nobody = records.all()[before..].iter().filter(|record| record.text("principal").is_none());
        assert_eq!(nobody.count(), 0, "what was refused reached no door");
    }
}

#[tokio::test]
async fn an_idle_connection_is_kept_and_a_slow_head_is_not() {
    let v = TestVault::new(Engine::Sqlite).await;
    let (mut idle, mut slow, mut silent) = (
        Raw::connect(&v).await,
        Raw::connect(&v).await,
        Raw::connect(&v).await,
    );
    for raw in [&mut idle, &mut slow] {
        raw.send(LIVE.as_bytes()).await;
        assert!(raw.head().await.starts_with("HTTP/1.1 204 "));
    }
    slow.send(b"GET /health/live HTTP/1.1\r\nhost: st").await;
    // The head's first bytes are there when another connection was answered after them.
    idle.send(LIVE.as_bytes()).await;
    assert!(idle.head().await.starts_with("HTTP/1.1 204 "));
    pass(15).await;
    assert!(slow.answer().await.is_none(), "it was begun 15 seconds ago");
    assert!(silent.answer().await.is_none(), "it never said anything");
    let asked = head("GET", "/api/v1/tokens/self", &v.root).replace("connection: close\r\n", "");
    idle.send(format!("{asked}\r\n").as_bytes()).await;
    let told = idle.head().await;
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    let records = v.audit().await;
    records.last_is("list", "sys/tokens/self", "allowed");
}

both_engines! {
    async fn who_has_asked_and_says_no_more_is_answered(v: TestVault) {
        for done in [false, true] {
            let mut raw = Raw::connect(&v).await;
            let token = format!("authorization: Bearer {}\r\n", v.root.text);
            let asked = "GET /api/v1/tokens/self HTTP/1.1\r\nhost: story\r\n";
            let close = if done { "" } else { "connection: close\r\n" };
            raw.send(format!("{asked}{close}{token}\r\n").as_bytes()).await;
            if done {
                raw.finish().await;
            }
            let answer = raw.answer().await.expect("an answer, and the end of the connection");
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert!(answer.text.ends_with('}'), "{}", answer.text);
        }
        let records = v.audit().await;
        assert_eq!(records.count("app/root", "list", "sys/tokens/self", "allowed"), 2);
    }
}
