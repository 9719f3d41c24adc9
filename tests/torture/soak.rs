//! A server under a mixed load: reads, writes, tokens that are made and revoked, questions to the log, exports, clients that
//! hang up, and garbage. Nothing fails that should not, records and answers are the same, and memory does not grow with
//! what was answered.
//!
//! `COFFER_TORTURE_MINUTES` says for how long; without it, for a moment, after which memory says nothing yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::growth::{Sample, growth, memory};
use super::{Chance, number};
use crate::ledger::load::Told;
use crate::support::client::{Answer, Call, Client, Token};
use crate::support::cluster::{Cluster, on_both};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::records::Record;

const SECRETS: usize = 50;
const READERS: usize = 4;
const WRITERS: usize = 2;
/// What each client waits between two requests, so that the log of hours can still be read back.
const PAUSE: Duration = Duration::from_millis(10);
/// Requests of a client between two exports.
const EXPORT_EVERY: usize = 2_000;
/// Looks at the server during a run; the second half of them is judged.
const SAMPLES: usize = 60;
/// From one question for its memory to the next: what an export or a page of the log takes for a moment is no growth.
const SCRAPE_EVERY: Duration = Duration::from_millis(500);
/// Answers after which a short run ends.
const ANSWERS_SHORT: usize = 1_500;

/// Files beyond those before the load, once it is over: connections to the database that it keeps.
const FILES_KEPT_MAX: f64 = 16.0;

/// What all clients have.
struct Ground {
    cluster: Cluster,
    told: Told,
    stop: AtomicBool,
    wrong: Mutex<Vec<String>>,
    /// Of each answer since the last look, in microseconds.
    times_us: Mutex<Vec<u64>>,
}

impl Ground {
    /// Asks, and notes what should not have been answered.
    async fn ask(&self, what: &str, call: Call, expected: &[u16]) -> Option<Answer> {
        let began = Instant::now();
        let answer = match call.sent().await {
            Ok(answer) => answer,
            Err(error) => {
                self.is_wrong(format!("{what}: {error:?}"));
                return None;
            }
        };
        let us = u64::try_from(began.elapsed().as_micros()).expect("a short time");
        self.times_us.lock().expect("no panic").push(us);
        if !expected.contains(&answer.status()) {
            self.is_wrong(format!("{what}: {} {}", answer.status(), answer.text()));
        }
        sleep(PAUSE).await;
        Some(answer)
    }

    /// The same of what is recorded under this request's own id.
    async fn recorded(&self, what: &str, call: Call, expected: &[u16]) -> Option<Answer> {
        let answer = self.ask(what, call, expected).await?;
        self.told.note(&answer);
        Some(answer)
    }

    fn is_wrong(&self, what: String) {
        self.wrong.lock().expect("no panic").push(what);
        self.stop.store(true, Ordering::Release);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    async fn read(self: Arc<Self>, client: Client, token: Token, mut chance: Chance) -> usize {
        let mut answers = 0;
        while self.goes_on() {
            let path = format!("/secrets/payments/prod/s{}", chance.below(SECRETS));
            let read = self
                .recorded("a read", client.get(&path, &token), &[200])
                .await;
            answers += usize::from(read.is_some());
        }
        answers
    }

    async fn write(self: Arc<Self>, client: Client, token: Token, mut chance: Chance) -> usize {
        let mut answers = 0;
        while self.goes_on() {
            let path = format!("/secrets/payments/prod/s{}", chance.below(SECRETS));
            let long = "v".repeat(chance.below(2_000));
            let body = json!({ "fields": { "v": long, "n": answers.to_string() } });
            let call = client.put(&path, body, &token);
            let once = format!("{answers}-{}", chance.below(usize::MAX));
            let call = call.header("idempotency-key", &once);
            answers += usize::from(self.recorded("a write", call, &[200]).await.is_some());
        }
        answers
    }

    /// Tokens that are made, used, revoked, and refused from then on.
    async fn token(self: Arc<Self>, client: Client, root: Token) -> usize {
        while self.goes_on() {
            let body = json!({ "scopes": ["read:payments/prod/**"], "ttl": 3600 });
            let made = self.recorded("a token", client.post("/tokens", body, &root), &[201]);
            let Some(made) = made.await.filter(|made| made.status() == 201) else {
                break;
            };
            let made = made.json();
            let text = |key: &str| made[key].as_str().expect("text").to_owned();
            let token = Token {
                text: text("token"),
                id: text("id"),
            };
            let used = client.get("/secrets/payments/prod/s0", &token);
            self.recorded("its use", used, &[200]).await;
            let gone = client.delete(&format!("/tokens/{}", token.id), &root);
            self.recorded("its end", gone, &[204]).await;
            let used = client.get("/secrets/payments/prod/s0", &token);
            // Past a hundred a minute such a token is turned away without a record.
            let refused = self.ask("its use thereafter", used, &[401, 429]).await;
            if let Some(refused) = refused.filter(|refused| refused.status() == 401) {
                self.told.note(&refused);
            }
        }
        0
    }

    /// Questions to the log, and the whole of it now and then.
    async fn look(self: Arc<Self>, client: Client, root: Token) -> usize {
        for asked in 1.. {
            if !self.goes_on() {
                break;
            }
            let path = if asked % EXPORT_EVERY == 0 {
                "/audit/export"
            } else {
                [
                    "/audit/records?limit=100",
                    "/audit/records?verdict=refused&limit=50",
                    "/status",
                    "/tokens?limit=20",
                ][asked % 4]
            };
            self.recorded(path, client.get(path, &root), &[200]).await;
        }
        0
    }

    /// Clients that hang up, each with a connection of its own.
    async fn hang_up(
        self: Arc<Self>,
        new: impl Fn() -> Client,
        token: Token,
        mut chance: Chance,
    ) -> usize {
        while self.goes_on() {
            let client = new();
            let path = format!("/secrets/payments/prod/h{}", chance.below(SECRETS));
            let body = json!({ "fields": { "v": "v".repeat(chance.below(20_000)) } });
            // The first is answered, so that there is a connection.
            let _ = client.get(&path, &token).sent().await;
            tokio::select! {
                biased;
                _ = client.put(&path, body, &token).sent() => {}
                () = sleep(Duration::from_micros(200 * chance.below(40) as u64)) => {}
            }
            sleep(PAUSE).await;
        }
        0
    }

    /// What is no request, or one that must be refused.
    async fn babble(self: Arc<Self>, client: Client, token: Token, mut chance: Chance) -> usize {
        let refused = [400, 401, 403, 404, 405, 413, 415, 429];
        while self.goes_on() {
            let bytes: Vec<u8> = (0..chance.below(300))
                .map(|_| b' ' + chance.below(95) as u8)
                .collect();
            let escaped: String = bytes
                .iter()
                .take(8)
                .map(|byte| format!("%{byte:02x}"))
                .collect();
            let call = match chance.below(4) {
                0 => client
                    .call(Method::PUT, "/secrets/payments/prod/g")
                    .by(&token)
                    .bytes(bytes),
                1 => client.get(
                    &format!("/secrets/payments/prod/{escaped}?{escaped}={escaped}"),
                    &token,
                ),
                2 => client.call(Method::POST, "/tokens").by(&token).bytes(bytes),
                _ => client
                    .call(Method::GET, "/secrets/payments/prod/s0")
                    .header("authorization", &format!("Bearer {escaped}")),
            };
            self.ask("garbage", call, &refused).await;
        }
        0
    }

    /// Looks at the server, tells what it saw, and begins to count anew. `least` is what it has had at least since the look
    /// before.
    async fn look_at(&self, node: &Node, began: Instant, least: f64) -> Sample {
        let told = node.metrics().await;
        let (resident, kept) = memory(&told);
        let mut times_us = std::mem::take(&mut *self.times_us.lock().expect("no panic"));
        times_us.sort_unstable();
        let p99_us = times_us
            .get(times_us.len() * 99 / 100)
            .copied()
            .unwrap_or_default();
        let answers = self.told.count();
        let least = least.min(resident - kept);
        eprintln!(
            "{:>6} s {answers:>8} answers {:>7.1} MiB {:>4} files {:>3} threads {:>4} requests {:>6.1} MiB kept {:>7.1} MiB else at least {:>7.1} ms at p99",
            began.elapsed().as_secs(),
            resident / f64::from(1 << 20),
            told.value("process_open_fds"),
            told.value("process_threads"),
            told.value("coffer_http_requests_in_flight"),
            kept / f64::from(1 << 20),
            least / f64::from(1 << 20),
            p99_us as f64 / 1e3,
        );
        Sample {
            answers,
            memory_bytes: least,
        }
    }
}

on_both! {
    async fn soaked(engine: Engine) {
        let minutes = number("COFFER_TORTURE_MINUTES");
        let mut chance = Chance::new(&format!("soaked, {engine}"));
        let (cluster, a) = Cluster::with_one(engine).await;
        let root = cluster.root.clone();
        let client = Client::clone(&a);
        for number in 0..SECRETS {
            cluster.set(&a, &format!("payments/prod/s{number}"), "first").await;
        }
        let app = async |name: &str| {
            let body = json!({ "scopes": ["read,write:payments/prod/**"], "ttl": 86_400, "app": name });
            let made = client.post("/tokens", body, &root).await.is(201).json();
            let text = |key: &str| made[key].as_str().expect("text").to_owned();
            Token { text: text("token"), id: text("id") }
        };
        let (reads, writes, others) = (app("reads").await, app("writes").await, app("others").await);
        let authority = cluster.authority().to_owned();
        let ground = Arc::new(Ground {
            cluster,
            told: Told::default(),
            stop: AtomicBool::new(false),
            wrong: Mutex::default(),
            times_us: Mutex::default(),
        });
        let address = a.address();
        let new = move || Client::http1(address, &authority);
        let before = a.metrics().await.value("process_open_fds");
        let began = Instant::now();
        let mut clients = JoinSet::new();
        let mut count = [JoinSet::new(), JoinSet::new()];
        for _ in 0..READERS {
            count[0].spawn(Arc::clone(&ground).read(client.clone(), reads.clone(), chance.child()));
        }
        for _ in 0..WRITERS {
            count[1].spawn(Arc::clone(&ground).write(client.clone(), writes.clone(), chance.child()));
        }
        clients.spawn(Arc::clone(&ground).token(client.clone(), root.clone()));
        clients.spawn(Arc::clone(&ground).look(new(), root.clone()));
        clients.spawn(Arc::clone(&ground).babble(new(), others.clone(), chance.child()));
        clients.spawn(Arc::clone(&ground).hang_up(new, others, chance.child()));

        let mut samples = Vec::new();
        for sample in 1..=SAMPLES {
            let share = sample as f64 / SAMPLES as f64;
            let due = || match minutes {
                Some(minutes) => began.elapsed().as_secs_f64() >= 60.0 * minutes as f64 * share,
                None => ground.told.count() as f64 >= ANSWERS_SHORT as f64 * share,
            };
            let mut least = f64::INFINITY;
            while ground.goes_on() && !due() {
                if minutes.is_some() {
                    let (resident, kept) = memory(&a.metrics().await);
                    least = least.min(resident - kept);
                }
                sleep(if minutes.is_some() { SCRAPE_EVERY } else { PAUSE }).await;
            }
            if !ground.goes_on() || (minutes.is_none() && sample < SAMPLES) {
                continue;
            }
            samples.push(ground.look_at(&a, began, least).await);
        }
        ground.stop.store(true, Ordering::Release);
        clients.join_all().await;
        let [readers, writers] = count;
        let read: usize = readers.join_all().await.into_iter().sum();
        let written: usize = writers.join_all().await.into_iter().sum();
        let wrong = ground.wrong.lock().expect("no panic").clone();
        assert!(wrong.is_empty(), "{wrong:#?}");
        if minutes.is_some() {
            let (grown, may) = growth(&samples[samples.len() / 2..]);
            let mib = f64::from(1 << 20);
            eprintln!("in the second half memory has grown by {:.1} MiB; it may by {:.1}", grown / mib, may / mib);
            assert!(grown <= may, "memory grows without an end: {samples:#?}");
        }

        drop(client);
        let files = || async { (a.metrics().await.value("process_open_fds") <= before + FILES_KEPT_MAX).then_some(()) };
        eventually("files are given back", files).await;
        let records = ground.cluster.bundle(&a).await;
        ground.told.is_in(&records);
        let of = |app: &str, action: &str| {
            let of = |record: &&Record| record.text("principal") == Some(app) && record.text("action") == Some(action);
            records.all().iter().filter(of).count()
        };
        assert_eq!((of("app/reads", "read"), of("app/writes", "write")), (read, written), "records, and answers");
        assert_eq!(a.end().await.code, Some(0));
        ground.cluster.check().await;
    }
}
