//! What is left in a server's memory: ten seconds after they were used, no value, token, grant, passphrase or key that a
//! client chose, in any spelling, in any page; and no key of the server's own but in the pages that are locked for keys.
//!
//! Invariant: the scan finds what is in use at that moment; otherwise it would prove nothing.

use std::time::Duration;

use coffer::store::Engine;
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{refresh, song};
use crate::support::built::{Opened, PASSPHRASE, Place};
use crate::support::canary::{Canary, Search};
use crate::support::client::{Client, Token};
use crate::support::cluster::{Cluster, Start, on_both};
use crate::support::eventually;
use crate::support::memory::{self, Mapping};
use crate::support::provider::Provider;

/// How long after its use a secret may be in memory.
const TIME_MAX: Duration = Duration::from_secs(10);
/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What is told of what stands around something that was found, in bytes to each side.
const AROUND: usize = 64;

/// Looks until nothing is found any more; what is found ten seconds after the use fails the test.
async fn is_gone(process: u32, canaries: &[Canary], used: Instant) {
    let search = Search::of(canaries);
    loop {
        let began = Instant::now();
        let found = look(&search, &memory::of(process));
        if found.is_empty() {
            return;
        }
        let late = began.duration_since(used) >= TIME_MAX;
        assert!(!late, "ten seconds after:\n{}", found.join("\n"));
        sleep(LOOK_EVERY).await;
    }
}

/// What is in memory, with where that is.
fn look(search: &Search, memory: &[Mapping]) -> Vec<String> {
    let mut told = Vec::new();
    for mapping in memory {
        for (at, bytes) in &mapping.runs {
            for found in search.find(bytes) {
                let from = found.at.saturating_sub(AROUND);
                let to = (found.at + AROUND).min(bytes.len());
                let around = bytes[from..to].escape_ascii();
                let (at, line) = (at + found.at as u64, &mapping.line);
                let (name, spelling) = (&found.name, found.spelling);
                told.push(format!("{name} ({spelling}) at {at:x} of {line}: {around}"));
            }
        }
    }
    told
}

/// Every key of the server is where keys belong, and nowhere else.
async fn keys_are_in_their_pages(process: u32, root: Option<&[u8]>) {
    let used = Instant::now();
    loop {
        let began = Instant::now();
        let memory = memory::of(process);
        let (theirs, rest): (Vec<Mapping>, Vec<Mapping>) =
            memory.into_iter().partition(Mapping::is_for_keys);
        assert_eq!(theirs.len(), 1, "the pages for keys");
        let keys = theirs[0].keys();
        let keys: Vec<Canary> = keys.map(|key| Canary::of("a key", key)).collect();
        assert!(
            keys.len() > 5,
            "the root key and six below it: {}",
            keys.len()
        );
        let holds = |root: &[u8]| keys.iter().filter(|key| key.bytes == root).count();
        assert!(
            root.is_none_or(|root| holds(root) == 1),
            "the root key is there once"
        );
        let found = look(&Search::of(&keys), &rest);
        if found.is_empty() {
            return;
        }
        let late = began.duration_since(used) >= TIME_MAX;
        assert!(!late, "ten seconds after:\n{}", found.join("\n"));
        sleep(LOOK_EVERY).await;
    }
}

/// A client writes, reads and is refused; its connection stays open. What it used, from this number on.
async fn use_everything(client: &Client, root: &Token, name: &str, number: u32) -> Vec<Canary> {
    let used = ["short", "long", "request", "unread"];
    let used = (number..).zip(used);
    let used: Vec<Canary> = used
        .map(|(number, what)| Canary::new(&format!("{what} of {name}"), number))
        .collect();
    let [short, long, request, unread] = [0, 1, 2, 3].map(|at| used[at].text());
    let path = format!("/secrets/shop/dev/{name}");
    let long = format!("{}{long}", "x".repeat(60_000));
    let body = json!({ "fields": { "short": short, "long": long } });
    let written = client.put(&path, body, root);
    written.header("idempotency-key", request).await.is(201);
    let read = client.get(&path, root).await.is(200);
    assert!(read.text().contains(short));
    let body = json!({ "fields": { "a": unread.repeat(60_000) } });
    let refused = client.post("/tokens", body, root).await;
    refused.is_problem(413, "too-large");
    // What is asked last is short: it must not be by chance that what came before is overwritten.
    client.open(Method::GET, "/health/live").await.is(204);
    used
}

on_both! {
    async fn nothing_is_left_in_memory(engine: Engine) {
        let cluster = Cluster::new(engine).await;
        let start = Start { points: memory::door(), ..Start::default() };
        let a = cluster.start_with("a", start).await;
        let root = &cluster.root;
        let token = cluster.child(&a, root, "read:shop/**").await;
        let mut canaries = song::canaries();
        song::sing(&a, root, &canaries, &token).await;
        let provider = Provider::start().await;
        refresh(&a, root, &provider).await;
        let given = provider.secrets().into_iter();
        canaries.extend(given.map(|secret| Canary::of("a provider's secret", secret)));

        let held = Canary::new("held", 40);
        a.arm("decided=hold");
        let body = json!({ "fields": { "v": held.text() } });
        let client = Client::clone(&a);
        let waiting = client.put("/secrets/shop/dev/held", body, &token);
        let waiting = tokio::spawn(async { waiting.await });
        a.met("decided").await;
        let here = [held, Canary::of("the token", token.digits())];
        for canary in &here {
            let found = look(&Search::of([canary]), &memory::of(a.pid));
            assert!(!found.is_empty(), "{} is in use, and is found", canary.name);
        }
        a.go_on();
        waiting.await.expect("it ends").is_problem(403, "forbidden");
        canaries.extend(here);

        canaries.extend(use_everything(&a, root, "two-that-may-be-seen", 50).await);
        let old = Client::http1(a.address(), cluster.authority());
        canaries.extend(use_everything(&old, root, "one", 60).await);
        for verb in ["rotate", "rewrap", "reencrypt"] {
            let path = format!("/keys/shop/dev/{verb}");
            a.call(Method::POST, &path).by(root).await.is(200);
        }
        let made = cluster.child(&a, root, "read:shop/**").await;
        canaries.push(Canary::of("the first token", root.digits()));
        canaries.push(Canary::of("a token that was made last", made.digits()));
        let digits = std::fs::read_to_string(cluster.path("root.key")).expect("the root key");
        canaries.push(Canary::of("the root key's digits", digits.trim()));
        let used = Instant::now();

        is_gone(a.pid, &canaries, used).await;
        let key = bytes_of(digits.trim());
        keys_are_in_their_pages(a.pid, Some(&key)).await;
        // Names are no secrets: one that is in use is found, in the same pages.
        let name = Canary::of("a name", "that-may-be-seen");
        a.arm("decided=hold");
        let client = Client::clone(&a);
        let by = made.clone();
        let waiting = tokio::spawn(async move { client.get("/secrets/shop/dev/two-that-may-be-seen", &by).await });
        a.met("decided").await;
        assert!(!look(&Search::of([&name]), &memory::of(a.pid)).is_empty());
        a.go_on();
        waiting.await.expect("it ends").is(200);
        assert_eq!(a.end().await.code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_passphrase_is_left_in_memory() {
    let place = Place::found(Engine::Sqlite).await;
    let server = place.serve("one", Opened::ByHand).await;
    place.unseal("one");
    eventually("the server is ready", || async {
        (server.open(Method::GET, "/health/ready").await.status() == 204).then_some(())
    })
    .await;
    let used = Instant::now();
    let passphrase = Canary::of("the passphrase", PASSPHRASE);
    is_gone(server.id(), &[passphrase], used).await;
    keys_are_in_their_pages(server.id(), None).await;
    server.stop().await;
}

/// What hexadecimal digits say.
fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    let text = pairs.map(|pair| std::str::from_utf8(pair).expect("digits"));
    text.map(|pair| u8::from_str_radix(pair, 16).expect("digits"))
        .collect()
}
