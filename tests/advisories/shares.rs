//! Group H: what one source can hold of the server, its token being as good as any: a share, and the rest is for others.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use coffer::store::Engine;
use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame};
use hyper::{Request, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use super::raw::{ELSEWHERE, Raw, head, http2};
use crate::support::vault::TestVault;

/// Requests of one source that run at once.
const REQUESTS_PER_SOURCE_MAX: usize = 1_024;
/// Bodies of more than half a MiB that one source can have in memory: each has a buffer of one.
const BODIES_PER_SOURCE_MAX: usize = 8;
/// Requests of one HTTP/2 connection at once.
const STREAMS_MAX: usize = 128;

const PUT: &str = "/api/v1/secrets/payments/prod/put";

/// A body that is begun and never ends.
pub struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// Reads from another address, while this one holds all that it can.
async fn others_read(v: &TestVault) {
    let mut other = Raw::connect_from(v, ELSEWHERE).await;
    let read = head("GET", "/api/v1/tokens/self", &v.root);
    other.send(format!("{read}\r\n").as_bytes()).await;
    let answer = other.answer().await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Reads and writes from there.
async fn others_are_served(v: &TestVault) {
    others_read(v).await;
    let mut other = Raw::connect_from(v, ELSEWHERE).await;
    let body = json!({ "fields": { "value": "x".repeat(20_000) } }).to_string();
    let length = body.len();
    let write = head("PUT", PUT, &v.root);
    let lines = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    other
        .send(format!("{write}{lines}\r\n{body}").as_bytes())
        .await;
    let answer = other.answer().await.expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text);
    let records = v.audit().await;
    let from_there = |source: &str| source == ELSEWHERE.to_string();
    let records = records.all().iter().rev().take(2);
    let records = records.filter(|record| record.text("source").is_some_and(from_there));
    assert_eq!(records.count(), 2, "they are recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h12_one_source_holds_every_request() {
    let v = TestVault::new(Engine::Sqlite).await;
    let mut asked = JoinSet::new();
    for _ in 0..=REQUESTS_PER_SOURCE_MAX / STREAMS_MAX {
        let connection = http2::<Endless>(&v).await;
        for _ in 0..STREAMS_MAX {
            let request = Request::put(format!("https://{}{PUT}", v.address()))
                .header("authorization", format!("Bearer {}", v.root.text))
                .header("content-type", "application/json")
                .body(Endless)
                .expect("a request");
            let mut connection = connection.clone();
            asked.spawn(async move { connection.send_request(request).await });
        }
    }
    for _ in 0..STREAMS_MAX {
        let answer = asked.join_next().await.expect("more were asked");
        let answer = answer.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
    let here = v.get("/tokens/self", &v.root).await;
    here.is_problem(429, "too-many-requests");
    others_read(&v).await;
    // Whoever hangs up gives back what it held, once the server has seen it.
    asked.shutdown().await;
    while v.get("/tokens/self", &v.root).await.status() == 429 {}
    others_are_served(&v).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h12_one_source_holds_all_memory_for_bodies() {
    const HELD: usize = 100;
    let v = TestVault::new(Engine::Sqlite).await;
    let mut sent = JoinSet::new();
    for _ in 0..HELD {
        let mut raw = Raw::connect(&v).await;
        let head = head("PUT", PUT, &v.root);
        let lines = "content-type: application/json\r\ncontent-length: 1000000\r\n";
        sent.spawn(async move {
            raw.send(format!("{head}{lines}\r\n{}", " ".repeat(525 << 10)).as_bytes())
                .await;
            raw.answer().await
        });
    }
    for _ in 0..HELD - BODIES_PER_SOURCE_MAX {
        let answer = sent.join_next().await.expect("more were sent");
        let answer = answer.expect("no panic").expect("an answer");
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert!(answer.text.contains("\r\nretry-after: 1\r\n"));
    }
    others_are_served(&v).await;
}

/// Answers that nobody reads, over HTTP/2, take no more memory than one source's share; and log streams count as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h12_one_source_reads_none_of_its_answers() {
    const FIELDS: usize = 8;
    const VALUE: usize = 65_000;
    /// Of answers that were not sent.
    const SHARE: usize = 128 << 20;
    /// What hyper's client takes of one connection without being asked to.
    const TAKEN: usize = 5 << 20;
    const CONNECTIONS: usize = 3;
    let v = TestVault::new(Engine::Sqlite).await;
    let fields = (0..FIELDS).map(|field| (format!("f{field}"), json!("x".repeat(VALUE))));
    let fields: serde_json::Map<_, _> = fields.collect();
    let large = "/secrets/payments/prod/large";
    let put = v.put(large, json!({ "fields": fields }), &v.root).await;
    put.is(201);
    for (path, share) in [
        (large, SHARE / (FIELDS * VALUE)),
        ("/audit/export", SHARE / (8 << 20)),
    ] {
        let mut asked = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let connection = http2::<Full<Bytes>>(&v).await;
            for _ in 0..STREAMS_MAX {
                let request = Request::get(format!("https://{}/api/v1{path}", v.address()))
                    .header("authorization", format!("Bearer {}", v.root.text))
                    .body(Full::default())
                    .expect("a request");
                let mut connection = connection.clone();
                asked.spawn(async move { connection.send_request(request).await });
            }
        }
        let mut given = Vec::new();
        let mut refused = 0;
        while let Some(answer) = asked.join_next().await {
            let answer = answer.expect("no panic").expect("an answer");
            match answer.status() {
                // It is kept, and not read.
                StatusCode::OK => given.push(answer),
                StatusCode::TOO_MANY_REQUESTS => refused += 1,
                status => panic!("{path}: {status}"),
            }
        }
        let most = share + CONNECTIONS * (TAKEN / (FIELDS * VALUE) + 1);
        assert!(
            !given.is_empty() && refused > 0,
            "{path}: {refused} refused"
        );
        if path == large {
            assert!(given.len() <= most, "{path}: {} given", given.len());
        }
        others_read(&v).await;
        drop(given);
        while v.get(path, &v.root).await.status() == 429 {}
    }
}
