//! Group H: what lasts. Memory after many requests, tokens without an end, and readers that never read.

use coffer::model::Ttl;
use coffer::operations::sweep::SweepTokens;
use coffer::store::Engine;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::raw::{ELSEWHERE, Raw, head};
use crate::support::built::{Built, Opened, Place};
use crate::support::vault::{TestVault, both_engines};

/// Requests before memory is looked at, and between two looks.
const REQUESTS: usize = 3_000;
/// What may be more at the second look, in KiB: allocators keep some of what they were given.
const GROWN_KIB_MAX: u64 = 12 << 10;

/// Memory that a server has, in KiB.
fn resident_kib(server: &Built) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse().ok()).expect("a size")
}

/// The same requests again and again, of each kind of answer.
async fn ask(server: &Built, place: &Place) {
    for round in 0..REQUESTS / 6 {
        let read = server.get("/secrets/shop/dev/stripe", &place.root).await;
        read.is(200);
        server
            .get("/secrets/shop/dev/nothing", &place.root)
            .await
            .is_problem(404, "not-found");
        server
            .get("/secrets/shop/dev/a%2fb", &place.root)
            .await
            .is_problem(400, "bad-request");
        server
            .get("/tokens/self?x=1", &place.root)
            .await
            .is_problem(400, "bad-request");
        server
            .call(Method::GET, "/tokens/self")
            .await
            .is_problem(401, "token-missing");
        let body = json!({ "fields": { "value": round.to_string() } });
        let patched = server
            .patch("/secrets/shop/dev/stripe", body, &place.root)
            .await;
        patched.is(200);
    }
}

/// A server that has answered thousands holds what it held before the next thousands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h05_memory_after_many_requests() {
    let place = Place::found(Engine::Sqlite).await;
    let server = place.serve("one", Opened::ByFile).await;
    for (path, body) in [
        ("/projects", json!({ "name": "shop" })),
        ("/projects/shop/environments", json!({ "name": "dev" })),
    ] {
        server.post(path, body, &place.root).await.is(201);
    }
    let body = json!({ "fields": { "value": "1" } });
    server
        .put("/secrets/shop/dev/stripe", body, &place.root)
        .await
        .is(201);
    ask(&server, &place).await;
    let before = resident_kib(&server);
    ask(&server, &place).await;
    let after = resident_kib(&server);
    assert!(
        after < before + GROWN_KIB_MAX,
        "{before} KiB, then {after} KiB"
    );
    server.stop().await;
}

both_engines! {
    /// Tokens as fast as they can be made: others are served as before, a page has its length, and the dead are swept away.
    async fn replay_h14_tokens_without_end(v: TestVault) {
        const TOKENS: usize = 600;
        let maker = v.token("read:payments/**", Ttl::days(1)).await;
        for _ in 0..TOKENS / 20 {
            let made = (0..20).map(|_| v.post("/tokens", json!({ "scopes": ["read:payments/**"], "ttl": 60 }), &maker));
            let made: JoinSet<_> = made.map(|call| async move { call.await.is(201); }).collect();
            made.join_all().await;
        }
        v.get("/tokens/self", &v.root).await.is(200);
        let page = v.get("/tokens?limit=1000", &v.root).await.is(200).json();
        assert_eq!(page["tokens"].as_array().map(Vec::len), Some(100), "a page is a page");
        v.advance(Ttl::days(40));
        // What the sweeper does each hour: so many at a time, until none is left.
        let (mut swept, mut steps) = (0, 0);
        loop {
            let step = v.door().run_system("sweeper", SweepTokens).await.expect("it is stored").reply;
            (swept, steps) = (swept + step.dropped, steps + 1);
            if !step.left {
                break;
            }
        }
        assert_eq!((swept, steps), (1 + TOKENS as u64, 1 + (1 + TOKENS) / 200));
        let left = v.get("/tokens?limit=100", &v.root).await.is(200).json();
        assert_eq!(left["tokens"].as_array().map(Vec::len), Some(1));
    }
}

/// Whoever asks for the whole log and does not read it holds its own source's share of that: it still writes and reads
/// secrets, and others export meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_h15_readers_that_do_not_read() {
    let v = TestVault::new(Engine::Sqlite).await;
    for number in 0..60 {
        let agent = "x".repeat(256);
        let body = json!({ "fields": { "value": number.to_string() } });
        v.put("/secrets/payments/prod/read", body, &v.root)
            .header("user-agent", &agent)
            .await;
    }
    let mut held = Vec::new();
    for _ in 0..40 {
        for path in [
            "/api/v1/audit/bundle",
            "/api/v1/audit/export",
            "/api/v1/audit/records?order=newest&limit=100000",
        ] {
            let mut raw = Raw::connect(&v).await;
            // Many at once on one connection, none of which is ever read.
            let asked = head("GET", path, &v.root).replace("connection: close\r\n", "");
            raw.send(format!("{asked}\r\n").repeat(20).as_bytes()).await;
            held.push(raw);
        }
    }
    for number in 0..20 {
        v.set("payments/prod/other", "value", &number.to_string())
            .await;
        let read = v
            .get("/secrets/payments/prod/other", &v.root)
            .await
            .is(200)
            .json();
        assert_eq!(read["fields"]["value"], number.to_string());
    }
    let mut other = Raw::connect_from(&v, ELSEWHERE).await;
    let asked = head("GET", "/api/v1/audit/export", &v.root);
    other.send(format!("{asked}\r\n").as_bytes()).await;
    let answer = other.answer().await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text);
    drop(held);
    while v.get("/audit/export", &v.root).await.status() == 429 {}
    v.verify().await;
}
