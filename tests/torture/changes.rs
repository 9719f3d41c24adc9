//! A load of every other kind of change, beside numbers that rise: tokens that are made and revoked, versions that are
//! destroyed, secrets that are deleted and brought back, terms of a key, and writes that are sent again under their
//! `Idempotency-Key`. What each client knows is held against the store and the log afterwards (`held.rs`).
//!
//! Invariant: a client counts as done only what it was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::ledger::load::Told;
use crate::support::client::{Answer, Call, Client, Token};
use crate::support::cluster::{Cluster, ask};
use crate::support::node::Node;

/// Where everything happens.
pub const PLACE: &str = "payments/prod";
/// Of a version that is destroyed later: so long that SQLite's log is copied back during a run.
const LONG: usize = 20_000;
/// New terms of the key in one load: an environment's key has 1,000 at most.
const TERMS_MAX: usize = 8;
/// The server is gone.
struct Gone;

/// A client of this load.
#[derive(Clone)]
struct Asker {
    client: Client,
    root: Token,
    told: Told,
    stop: Arc<AtomicBool>,
    name: String,
}

/// A token that was made.
pub struct Made {
    pub token: Token,
    /// Whether its end was acknowledged.
    pub revoked: bool,
}

/// A secret on its way through [`Asker::step`].
pub struct Life {
    pub secret: String,
    /// Steps that were acknowledged, one after another.
    pub done: usize,
    /// One more when the answer to the last was lost.
    pub tried: usize,
}

/// A secret of numbers that rise, each written under a key of its own.
pub struct Once {
    pub name: String,
    pub tried: u64,
}

/// What a client knows at its end.
pub enum Knows {
    /// Tokens.
    Tokens(Vec<Made>),
    /// Secrets of which a version is destroyed.
    Lives(Vec<Life>),
    /// What is written once.
    Once(Once),
    /// The newest term that was acknowledged.
    Term(u64),
    /// It has only looked.
    Nothing,
}

/// The running load.
pub struct Changes {
    running: JoinSet<Knows>,
    stop: Arc<AtomicBool>,
}

impl Changes {
    /// Starts its clients, whose secrets are named after `name`.
    pub fn start(cluster: &Cluster, node: &Node, told: &Told, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        let asker = |own: &str| Asker {
            client: Client::clone(node),
            root: cluster.root.clone(),
            told: told.clone(),
            stop: Arc::clone(&stop),
            name: format!("{name}{own}"),
        };
        running.spawn(asker("token").tokens());
        running.spawn(asker("life").lives());
        running.spawn(asker("more").lives());
        running.spawn(asker("once").once());
        running.spawn(asker("term").terms());
        running.spawn(asker("look").look());
        Self { running, stop }
    }

    /// Lets the clients end, and tells what they know.
    pub async fn end(self) -> Vec<Knows> {
        self.stop.store(true, Ordering::Release);
        self.running.join_all().await
    }
}

impl Asker {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Acquire)
    }

    /// Asks for a change that nothing speaks against; nothing when it may or may not have happened.
    async fn change(&self, call: Call, done: u16) -> Result<Option<Answer>, Gone> {
        let answer = call.sent().await.ok();
        self.told.changed(answer.as_ref());
        let answer = answer.ok_or(Gone)?;
        if answer.status() == 503 {
            return Ok(None);
        }
        assert_eq!(answer.status(), done, "{}: {}", self.name, answer.text());
        Ok(Some(answer))
    }

    /// Looks at something. Dead tokens are turned away without a record past a hundred a minute.
    async fn see(&self, call: Call, seen: u16) -> Result<(), Gone> {
        let answer = call.sent().await.map_err(|_| Gone)?;
        if (seen, answer.status()) == (401, 429) {
            return Ok(());
        }
        self.told.note(&answer);
        let (status, text) = (answer.status(), answer.text());
        assert!(status == seen || status == 503, "{}: {text}", self.name);
        Ok(())
    }

    /// Makes tokens, and revokes each second one.
    async fn tokens(self) -> Knows {
        let mut made = Vec::new();
        while self.goes_on() && self.token(&mut made).await.is_ok() {}
        Knows::Tokens(made)
    }

    async fn token(&self, made: &mut Vec<Made>) -> Result<(), Gone> {
        let asked = ask(&format!("read:{PLACE}/**"));
        let call = self.client.post("/tokens", asked, &self.root);
        let Some(answer) = self.change(call, 201).await? else {
            return Ok(());
        };
        let answer = answer.json();
        let text = |key: &str| answer[key].as_str().expect("text").to_owned();
        let token = Token {
            text: text("token"),
            id: text("id"),
        };
        let path = format!("/secrets/{PLACE}/nothing");
        let used = self.client.get(&path, &token);
        made.push(Made {
            token: token.clone(),
            revoked: false,
        });
        self.see(used, 404).await?;
        if made.len().is_multiple_of(2) {
            let gone = format!("/tokens/{}", token.id);
            let gone = self.client.delete(&gone, &self.root);
            if self.change(gone, 204).await?.is_some() {
                made.last_mut().expect("it was put there").revoked = true;
                self.see(self.client.get(&path, &token), 401).await?;
            }
        }
        Ok(())
    }

    /// Leads one secret after another through its life.
    async fn lives(self) -> Knows {
        let mut lives = Vec::new();
        'lives: while self.goes_on() {
            lives.push(Life {
                secret: format!("{PLACE}/{}{}", self.name, lives.len()),
                done: 0,
                tried: 0,
            });
            let life = lives.last_mut().expect("it was put there");
            while let Some((call, done)) = self.step(life) {
                life.tried += 1;
                match self.change(call, done).await {
                    Ok(Some(_)) => life.done += 1,
                    Ok(None) => break,
                    Err(Gone) => break 'lives,
                }
            }
        }
        Knows::Lives(lives)
    }

    /// The next step of a life: two versions, the first of which is destroyed; then it is deleted, and comes back.
    fn step(&self, life: &Life) -> Option<(Call, u16)> {
        let (client, root, secret) = (&self.client, &self.root, &life.secret);
        let put = |value: String| {
            let body = json!({ "fields": { "v": value } });
            client.put(&format!("/secrets/{secret}"), body, root)
        };
        let post = |verb: &str, body: Value| client.post(&format!("/{verb}/{secret}"), body, root);
        Some(match life.tried {
            0 => (put("x".repeat(LONG)), 201),
            1 => (put("2".to_owned()), 200),
            2 => (post("destroy", json!({ "versions": [1] })), 200),
            3 => (client.delete(&format!("/secrets/{secret}"), root), 204),
            4 => (post("undelete", json!({})), 200),
            _ => return None,
        })
    }

    /// Writes rising numbers, each under its own key, and again under the same one for as long as the answer is 503.
    async fn once(self) -> Knows {
        let mut once = Once {
            name: self.name.clone(),
            tried: 0,
        };
        'numbers: while self.goes_on() {
            once.tried += 1;
            loop {
                let call = once.write(&self.client, &self.root, once.tried);
                let done = if once.tried == 1 { 201 } else { 200 };
                match self.change(call, done).await {
                    Ok(Some(_)) => break,
                    Ok(None) if self.goes_on() => {}
                    _ => break 'numbers,
                }
            }
        }
        Knows::Once(once)
    }

    /// Begins new terms of the key, and moves everything to them.
    async fn terms(self) -> Knows {
        let mut newest = 1;
        let mut begun = 0;
        while self.goes_on() {
            let turned = self.turn(&mut newest, begun < TERMS_MAX).await;
            if turned.is_err() {
                break;
            }
            begun += 1;
        }
        Knows::Term(newest)
    }

    async fn turn(&self, newest: &mut u64, begins: bool) -> Result<(), Gone> {
        let keys = format!("/keys/{PLACE}");
        let verbs = ["rotate", "rewrap", "reencrypt"];
        for verb in verbs.into_iter().skip(usize::from(!begins)) {
            let call = self.client.call(Method::POST, &format!("{keys}/{verb}"));
            let answer = call.by(&self.root).sent().await.ok();
            self.told.changed_in_steps(answer.as_ref());
            let answer = answer.ok_or(Gone)?;
            let (status, text) = (answer.status(), answer.text());
            // What a killed server began to seal anew is gone on with first.
            let begun = verb == "rewrap" && text.contains("\"reencrypting\"");
            let fits = matches!(status, 200 | 503) || status == 409 && begun;
            assert!(fits, "{verb}: {text}");
            let answer = (status == 200).then_some(answer);
            *newest = answer.map_or(*newest, |answer| newest_of(&answer));
            for path in [&keys, &format!("/secrets/{PLACE}")] {
                self.see(self.client.get(path, &self.root), 200).await?;
            }
        }
        Ok(())
    }

    /// Looks for what nobody has asked for, and at what others change.
    async fn look(self) -> Knows {
        for number in 0.. {
            if !self.goes_on() {
                break;
            }
            let absent = format!("/secrets/{PLACE}/{}{number}", self.name);
            let list = format!("/secrets/{PLACE}");
            let seen = async {
                self.see(self.client.get(&absent, &self.root), 404).await?;
                self.see(self.client.get(&list, &self.root), 200).await
            };
            if seen.await.is_err() {
                break;
            }
        }
        Knows::Nothing
    }
}

impl Once {
    pub fn secret(&self) -> String {
        format!("{PLACE}/{}", self.name)
    }

    pub fn write(&self, client: &Client, root: &Token, number: u64) -> Call {
        let body = json!({ "fields": { "v": number.to_string() } });
        let call = client.put(&format!("/secrets/{}", self.secret()), body, root);
        call.header("idempotency-key", &format!("{}-{number}", self.name))
    }
}

/// The newest term of a census.
pub fn newest_of(census: &Answer) -> u64 {
    let census = census.json();
    let terms = census["terms"].as_array().expect("terms").iter();
    let terms = terms.map(|term| term["term"].as_u64().expect("a number"));
    terms.max().expect("a term")
}
