//! Two servers on one PostgreSQL that is restarted and partitioned meanwhile, and clients that read, write, check and set,
//! and revoke: what they saw has one order, and each record fits its position.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::seen::{Done, Seen};
use super::{Chance, replay, rounds};
use crate::support::client::{Answer, Client, Token};
use crate::support::cluster::{Cluster, PROCESS, Start};
use crate::support::eventually;
use crate::support::postgres::Server;
use crate::support::proxy::{Mode, Proxy};

const SECRETS: usize = 4;
const CLIENTS: usize = 8;
/// Operations of each client.
const OPERATIONS: usize = 60;
/// From one mischief to the next, at most, in milliseconds.
const CALM_MS: usize = 400;
/// How long a held connection is held, at most, in milliseconds.
const HELD_MS: usize = 700;

/// What every client has.
struct Ground {
    nodes: [Client; 2],
    root: Token,
    seen: Seen,
    /// A write's value, given to nobody else.
    values: Seen,
}

impl Ground {
    async fn operate(self: Arc<Self>, mut chance: Chance) -> Vec<String> {
        let mut wrong = Vec::new();
        // The last version of each secret that this client has seen.
        let mut known = [0; SECRETS];
        for _ in 0..OPERATIONS {
            match chance.below(12) {
                0 => wrong.extend(self.revoke(&mut chance).await),
                1..=3 => self.write(&mut chance, &mut known, false).await,
                4..=6 => self.write(&mut chance, &mut known, true).await,
                _ => self.read(&mut chance, &mut known).await,
            }
        }
        wrong
    }

    async fn read(&self, chance: &mut Chance, known: &mut [u64; SECRETS]) {
        let (node, secret) = (&self.nodes[chance.below(2)], chance.below(SECRETS));
        let began = self.seen.now();
        let path = format!("/secrets/payments/prod/s{secret}");
        let Ok(read) = node.get(&path, &self.root).sent().await else {
            return;
        };
        let (version, value) = match read.status() {
            200 => (version_of(&read), value_of(&read)),
            404 => (0, 0),
            503 => return,
            _ => panic!("{}", read.text()),
        };
        known[secret] = version;
        self.seen.note(secret, began, Done::Read { version, value });
    }

    async fn write(&self, chance: &mut Chance, known: &mut [u64; SECRETS], checked: bool) {
        let (node, secret) = (&self.nodes[chance.below(2)], chance.below(SECRETS));
        let expected = checked.then_some(known[secret]);
        let check = expected.map_or(String::new(), |version| format!("?if_version={version}"));
        let value = self.values.now();
        let began = self.seen.now();
        let path = format!("/secrets/payments/prod/s{secret}{check}");
        let body = json!({ "fields": { "v": value.to_string() } });
        let written = node.put(&path, body, &self.root).sent().await;
        let done = match written.as_ref().map(Answer::status) {
            Ok(200 | 201) => {
                let version = written.as_ref().map(version_of).expect("an answer");
                known[secret] = version;
                Done::Written {
                    value,
                    expected,
                    version,
                }
            }
            Ok(412) => Done::Mismatch {
                value,
                expected: expected.expect("only a check does not match"),
            },
            // 503 may have happened, and so may what was not answered.
            Ok(503) | Err(_) => Done::Unknown { value },
            Ok(status) => panic!("{status}"),
        };
        self.seen.note(secret, began, done);
    }

    /// A token does nothing more, on either node, once its revocation was answered.
    async fn revoke(&self, chance: &mut Chance) -> Option<String> {
        let node = |chance: &mut Chance| &self.nodes[chance.below(2)];
        let body = json!({ "scopes": ["read:payments/prod/**"], "ttl": 3600 });
        let made = node(chance).post("/tokens", body, &self.root).sent().await;
        let made = made.ok().filter(|made| made.status() == 201)?.json();
        let text = |key: &str| made[key].as_str().expect("text").to_owned();
        let token = Token {
            text: text("token"),
            id: text("id"),
        };
        // Remembered on both nodes, if they answer.
        for node in &self.nodes {
            let _ = node.get("/secrets/payments/prod/s0", &token).sent().await;
        }
        let gone = node(chance).delete(&format!("/tokens/{}", token.id), &self.root);
        let gone = gone.sent().await.ok()?;
        if !matches!(gone.status(), 200 | 204) {
            return None;
        }
        let used = node(chance).get("/secrets/payments/prod/s0", &token);
        let used = used.sent().await.ok()?;
        let refused = matches!(used.status(), 401 | 429 | 503);
        (!refused).then(|| format!("a revoked token got {}", used.text()))
    }
}

fn version_of(answer: &Answer) -> u64 {
    answer.json()["version"].as_u64().expect("a version")
}

fn value_of(answer: &Answer) -> u64 {
    let json = answer.json();
    let value = json["fields"]["v"].as_str().expect("text");
    value.parse().expect("a value of ours")
}

/// Cuts, holds and restarts until it is told to stop, and then leaves everything whole.
async fn trouble(
    proxies: Arc<[Proxy; 2]>,
    url: String,
    mut chance: Chance,
    stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let calm = Duration::from_millis(chance.below(CALM_MS) as u64);
        tokio::time::sleep(calm).await;
        let proxy = &proxies[chance.below(2)];
        match chance.below(8) {
            0 => restart(&url).await,
            1..=4 => proxy.set(Mode::Cut),
            _ => {
                proxy.set(Mode::Hold);
                let held = Duration::from_millis(chance.below(HELD_MS) as u64);
                tokio::time::sleep(held).await;
            }
        }
        proxy.set(Mode::Pass);
    }
}

/// PostgreSQL ends all sessions and recovers as after a crash when one of its processes is killed.
async fn restart(url: &str) {
    let connected = || async { PgConnection::connect(url).await.ok() };
    let mut connection = eventually("PostgreSQL", connected).await;
    let own = sqlx::query("SELECT pg_backend_pid()");
    let own: i32 = own.fetch_one(&mut connection).await.expect("a row").get(0);
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &own.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()), "kill");
    eventually("PostgreSQL is back", connected).await;
}

/// What was wrong in a round of it.
async fn round(chance: &mut Chance, (points, config): (&str, &str), troubled: bool) -> Vec<String> {
    let server = Server::start(false);
    let cluster = Cluster::on(server.url.clone()).await;
    let (first, one) = Proxy::before(&server.url).await;
    let (second, other) = Proxy::before(&server.url).await;
    let start = |url| Start {
        points,
        config,
        url: Some(url),
        ..Start::default()
    };
    let a = cluster.start_with("a", start(&one)).await;
    cluster.place(&a, "payments/prod").await;
    let b = cluster.start_with("b", start(&other)).await;
    let ground = Arc::new(Ground {
        nodes: [Client::clone(&a), Client::clone(&b)],
        root: cluster.root.clone(),
        seen: Seen::default(),
        values: Seen::default(),
    });
    let (tell, stop) = watch::channel(!troubled);
    let proxies = Arc::new([first, second]);
    let trouble = tokio::spawn(trouble(
        Arc::clone(&proxies),
        server.url.clone(),
        chance.child(),
        stop,
    ));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&ground).operate(chance.child()));
    }
    let mut wrong: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    tell.send_replace(true);
    trouble.await.expect("no panic");
    assert!(ground.seen.answered() > CLIENTS * OPERATIONS / 10);
    wrong.extend(ground.seen.wrong());
    // A connection that was cut while it lay idle is noticed by whoever uses it next.
    let records = eventually("a bundle", || cluster.try_bundle(&b)).await;
    wrong.extend(replay::wrong(&cluster, &records).await);
    if wrong.is_empty() {
        cluster.check().await;
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_has_one_order() {
    let mut chance = Chance::new("a history has one order");
    for _ in 0..rounds(1) {
        let wrong = round(&mut chance, ("", ""), true).await;
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// What was written is never lost, and what was read is right, also where the records of reads may be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_has_one_order_while_reads_do_not_wait() {
    let mut chance = Chance::new("a history has one order while reads do not wait");
    for _ in 0..rounds(1) {
        let wrong = round(&mut chance, ("", PROCESS), true).await;
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Of each way to answer from what has changed: a cache that is filled too late, a change whose notes are passed over,
/// and a batch whose second statement is not looked at again. Some rounds are enough to see it.
async fn is_found(fault: &str) {
    let mut chance = Chance::new(fault);
    for _ in 0..5 {
        let planted = format!("{fault}=plant");
        if !round(&mut chance, (&planted, ""), false).await.is_empty() {
            return;
        }
    }
    panic!("a planted fault was not found: {fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_filled_in_the_wrong_order_is_found_in_a_history() {
    is_found("cache filled in the wrong order").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_that_are_skipped_are_found_in_a_history() {
    is_found("notes skipped").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_statement_that_is_not_validated_is_found_in_a_history() {
    is_found("second statement unvalidated").await;
}
