//! Group H: what who shows no living token can cost, though it looks like one: no body is read, none is waited for, and
//! past a limit there is not even a record.

use coffer::model::Ttl;
use coffer::store::Engine;
use hyper::{Request, StatusCode};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::raw::{Raw, head, http2};
use super::shares::Endless;
use super::unchanged;
use crate::matrix::column::stranger;
use crate::matrix::rows::ROWS;
use crate::support::client::Token;
use crate::support::vault::{TestVault, both_engines};

/// Tokens of a kind that one source may show in a minute.
const SHOWN_MAX: usize = 100;
const PUT: &str = "/secrets/payments/prod/put";

/// Shows a token to `GET /tokens/self` so often: how many were answered 401, and how many 429.
async fn show(v: &TestVault, token: &Token, times: usize, code: &str) -> (usize, usize) {
    let mut answers = (0, 0);
    for _ in 0..times {
        let answer = v.get("/tokens/self", token).await;
        match answer.status() {
            401 => {
                answer.is_problem(401, code);
                answers.0 += 1;
            }
            _ => {
                answer.is_problem(429, "too-many-requests");
                answers.1 += 1;
            }
        }
    }
    answers
}

/// What the system has counted of this reason, in all its summaries; the server is started anew.
async fn counted(v: TestVault, why: &str) -> (TestVault, usize) {
    let v = v.restart().await;
    let records = v.audit().await;
    let records = records.all().iter();
    let summaries = records.filter(|record| record.text("principal") == Some("system/door"));
    let key = format!("127.0.0.1 {why}");
    let counts = summaries.filter_map(|summary| summary.member("metadata")[&key].as_str());
    let sum = counts.map(|count| count.parse::<usize>().expect("a number"));
    let sum = sum.sum();
    (v, sum)
}

both_engines! {
    async fn replay_h12_a_token_that_nobody_made_has_no_body_read(v: TestVault) {
        let mut v = v;
        v.start_jobs();
        let unknown = stranger();
        let with_body: Vec<_> = ROWS.iter().filter(|row| matches!(row.method(), Method::PUT | Method::PATCH | Method::POST)).collect();
        unchanged!(v, {
            // Announced, and never sent: the answer does not wait for it.
            for row in &with_body {
                for announced in ["content-length: 1000", "transfer-encoding: chunked"] {
                    let mut raw = Raw::connect(&v).await;
                    let head = head(row.method().as_str(), &format!("/api/v1{}", row.path_with("{token}")), &unknown);
                    raw.send(format!("{head}content-type: application/json\r\n{announced}\r\n\r\n").as_bytes()).await;
                    let answer = raw.answer().await.expect("an answer");
                    assert_eq!(answer.status, 401, "{}: {announced}: {}", row.route, answer.text);
                }
            }
        });
        let records = v.audit().await;
        for row in &with_body {
            let alike = with_body.iter().filter(|other| (other.action, other.resource_of_path()) == (row.action, row.resource_of_path())).count();
            let count = records.count("-", row.action, row.resource_of_path(), "refused: token-invalid");
            assert_eq!(count, 2 * alike, "{}", row.route);
        }
        let shown = 2 * with_body.len();

        // Bodies that are no JSON are not looked at, however many they are.
        let mut answers = (0, 0);
        for _ in 0..250 {
            match v.call(Method::PUT, PUT).by(&unknown).text("{").await.status() {
                401 => answers.0 += 1,
                429 => answers.1 += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!(answers, (SHOWN_MAX - shown, 250 + shown - SHOWN_MAX));
        v.put(PUT, json!({ "fields": { "value": "1" } }), &v.root).await.is(201);
        v.call(Method::PUT, PUT).by(&v.root).text("{").await.is_problem(400, "bad-request");
        let records = v.audit().await;
        let recorded = records.all().iter().filter(|record| record.outcome() == "refused: token-invalid");
        assert_eq!(recorded.count(), SHOWN_MAX);
        let (_, counted) = counted(v, "too-many-requests").await;
        assert_eq!(counted, answers.1);
    }

    async fn replay_h12_a_dead_token_shown_for_ever(v: TestVault) {
        let mut v = v;
        v.start_jobs();
        let hour = Ttl::seconds(3600);
        let (good, revoked, expired) = (v.token("read:payments/**", hour).await, v.token("read:payments/**", hour).await, v.token("read:payments/**", Ttl::seconds(10)).await);
        let child = v.child(&revoked, "read:payments/**", hour).await;
        v.delete(&format!("/tokens/{}", revoked.id), &v.root).await.is(204);
        v.advance(Ttl::seconds(10));
        assert_eq!(show(&v, &revoked, 60, "token-revoked").await, (60, 0));
        assert_eq!(show(&v, &child, 30, "token-revoked").await, (30, 0));
        assert_eq!(show(&v, &expired, 210, "token-expired").await, (10, 200));
        // They keep out nobody else, not even one whom this node has not seen before.
        let fresh = v.token("read:payments/**", hour).await;
        for token in [&good, &fresh, &v.root] {
            v.get("/tokens/self", token).await.is(200);
        }
        let body = json!({ "fields": { "value": "1" } });
        v.put(PUT, body.clone(), &revoked).await.is_problem(429, "too-many-requests");
        v.put(PUT, body, &v.root).await.is(201);
        let records = v.audit().await;
        let dead = |code: &str| records.count("-", "list", "sys/tokens/self", &format!("refused: {code}"));
        assert_eq!((dead("token-revoked"), dead("token-expired")), (90, 10));
        v.advance(Ttl::seconds(60));
        assert_eq!(show(&v, &expired, 1, "token-expired").await, (1, 0));
        let (v, counted) = counted(v, "too-many-requests").await;
        assert_eq!(counted, 201);
        v.get("/tokens/self", &good).await.is(200);
    }
}

/// A route that takes no body waits for none: neither for chunks, nor for the end of a stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h12_a_read_that_does_not_end() {
    let mut v = TestVault::new(Engine::Sqlite).await;
    v.start_jobs();
    let bodiless: Vec<_> = ROWS
        .iter()
        .filter(|row| matches!(row.method(), Method::GET | Method::DELETE))
        .collect();
    let before = v.audit().await.all().len();
    for token in [stranger(), v.root.clone()] {
        for row in &bodiless {
            let mut raw = Raw::connect(&v).await;
            let path = row.path_with("x");
            let head = head(row.method().as_str(), &format!("/api/v1{path}"), &token);
            raw.send(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())
                .await;
            let answer = raw.answer().await.expect("an answer");
            assert_eq!(answer.status, 400, "{}: {}", row.route, answer.text);
        }
    }
    let streams = 2 * 128;
    let mut asked = JoinSet::new();
    let token = stranger();
    for _ in 0..2 {
        let connection = http2::<Endless>(&v).await;
        for _ in 0..streams / 2 {
            let request = Request::get(format!("https://{}/api/v1/tokens/self", v.address()))
                .header("authorization", format!("Bearer {}", token.text))
                .body(Endless)
                .expect("a request");
            let mut connection = connection.clone();
            asked.spawn(async move { connection.send_request(request).await });
        }
    }
    while let Some(answer) = asked.join_next().await {
        let answer = answer.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    v.get("/tokens/self", &v.root).await.is(200);
    let after = v.audit().await.all().len();
    assert_eq!(after, before + 2, "the good read, and the look at the log");
    let (_, counted) = counted(v, "bad-request").await;
    assert_eq!(counted, 2 * bodiless.len() + streams);
}
