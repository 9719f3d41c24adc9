//! Answers that come before their request's body was read: the client that is still sending hears them, and goes on.

use bytes::Bytes;
use coffer::store::Engine;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};

use super::raw::{Raw, head, http2};
use crate::support::vault::TestVault;

const SECRET: &str = "/api/v1/secrets/payments/prod/one";

/// Method, target, whether a token is shown, the body's length, and the status.
const EARLY: [(Method, &str, bool, usize, u16); 7] = [
    (Method::PUT, SECRET, false, 200_000, 401),
    (Method::PUT, "/api/v1/nothing/here", true, 200_000, 404),
    (Method::POST, "/api/v1/status", true, 200_000, 405),
    (
        Method::PUT,
        "/api/v1/secrets/payments/prod/a%2Fb",
        true,
        200_000,
        400,
    ),
    (Method::GET, SECRET, true, 200_000, 400),
    (Method::PUT, SECRET, true, 1_200_000, 413),
    (Method::HEAD, "/health/live", false, 0, 405),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_body_arrives_over_http2() {
    let v = TestVault::new(Engine::Sqlite).await;
    let mut connection = http2::<Full<Bytes>>(&v).await;
    for (method, target, shown, length, status) in EARLY.iter().cycle().take(4 * EARLY.len()) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{}{target}", v.address()))
            .header("content-type", "application/json");
        if *shown {
            request = request.header("authorization", format!("Bearer {}", v.root.text));
        }
        let body = Full::from(vec![b' '; *length]);
        let sent = connection.send_request(request.body(body).expect("a request"));
        let answer = sent.await.expect("an answer");
        assert_eq!(answer.status(), *status, "{method} {target}");
        let body = answer.into_body().collect().await.expect("all of it");
        assert_eq!(body.to_bytes().is_empty(), *method == Method::HEAD);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_body_ends_its_http1_connection() {
    let v = TestVault::new(Engine::Sqlite).await;
    let mut raw = Raw::connect(&v).await;
    let head = head("PUT", "/api/v1/nothing/here", &v.root).replace("connection: close\r\n", "");
    let body = " ".repeat(200_000);
    let lines = "content-type: application/json\r\ncontent-length: 200000\r\n\r\n";
    raw.send(format!("{head}{lines}{body}").as_bytes()).await;
    let answer = raw.answer().await.expect("an answer");
    assert_eq!(answer.status, 404);
    let text = answer.text.to_ascii_lowercase();
    assert!(text.contains("connection: close\r\n"), "{text}");
}
