//! All that was ever true of any secret: which path had which value at which version. And clients that write, read, and
//! hold every answer to it, whatever has been done to the database meanwhile.
//!
//! Invariant: no two writes have the same value, so a value that is not its own path's and version's is told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::task::JoinSet;

use super::Chance;
use crate::support::client::{Answer, Client, Token};
use crate::support::eventually;

/// The paths there are; what `limited` may read is below the first part of the first ones.
pub const PATHS: [&str; 8] = [
    "payments/prod/own/a",
    "payments/prod/own/b",
    "payments/prod/own/c",
    "payments/prod/db/a",
    "payments/prod/db/b",
    "payments/prod/top",
    "payments/test/own/a",
    "payments/test/top",
];
/// What `limited` may read.
pub const LIMITED: &str = "payments/prod/own/";
/// Of a path, the newest versions that are read by number.
const VERSIONS: u64 = 3;

/// See the module.
#[derive(Default)]
pub struct Truths {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    writes: u64,
    /// The values that a path has had at a version.
    told: BTreeMap<(String, u64), BTreeSet<String>>,
    /// Values of a path whose write was not answered, or not yet.
    tried: BTreeMap<String, BTreeSet<String>>,
}

/// What each path says now; nothing where it says nothing.
pub type Current = BTreeMap<&'static str, Option<String>>;

/// Whose words they are.
#[derive(Clone)]
pub struct Callers {
    pub root: Token,
    pub limited: Token,
}

impl Truths {
    /// Writes something new; the value, if it may be there now.
    pub async fn write(&self, client: &Client, path: &str, by: &Token) -> Option<String> {
        let value = {
            let mut known = self.known.lock().expect("no panic");
            known.writes += 1;
            let value = format!("{path} {}", known.writes);
            let tried = known.tried.entry(path.to_owned()).or_default();
            tried.insert(value.clone());
            value
        };
        let body = json!({ "fields": { "v": value } });
        let sent = client.put(&format!("/secrets/{path}"), body, by).sent();
        let Ok(answer) = sent.await else {
            return Some(value);
        };
        let mut known = self.known.lock().expect("no panic");
        match answer.status() {
            200 | 201 => {
                let version = answer.json()["version"].as_u64().expect("a number");
                let told = known.told.entry((path.to_owned(), version)).or_default();
                told.insert(value.clone());
            }
            503 => return Some(value),
            _ => {}
        }
        let tried = known.tried.get_mut(path).expect("it was put there");
        tried.remove(&value);
        matches!(answer.status(), 200 | 201).then_some(value)
    }

    /// Looks at an answer to a read of a path: the value, if it has one, was true of that path and version.
    pub fn hold(&self, path: &str, answer: &Answer) -> Option<String> {
        if answer.status() != 200 {
            return None;
        }
        let said = answer.json();
        let value = said["fields"]["v"].as_str().expect("text").to_owned();
        let version = said["version"].as_u64().expect("a number");
        assert_eq!(said["path"], path, "{said}");
        let known = self.known.lock().expect("no panic");
        let told = known.told.get(&(path.to_owned(), version));
        let tried = known.tried.get(path);
        let is_in = |values: Option<&BTreeSet<String>>| {
            values.is_some_and(|values| values.contains(&value))
        };
        assert!(
            is_in(told) || is_in(tried),
            "{path} was served as {value} at version {version}, where it was {told:?}"
        );
        Some(value)
    }

    fn versions(&self, path: &str) -> u64 {
        let known = self.known.lock().expect("no panic");
        let told = known.told.keys().filter(|(told, _)| told == path);
        told.map(|(_, version)| *version).max().unwrap_or(0)
    }

    /// How many writes there were: the number in the last one's value.
    pub fn writes(&self) -> u64 {
        self.known.lock().expect("no panic").writes
    }

    /// Asks for everything, and holds each answer to what is known; what each path says, and how many answers told
    /// something. All at once: a server that stores nothing lets each wait for some time.
    pub async fn ask(self: &Arc<Self>, client: &Client, callers: &Callers) -> (Current, usize) {
        let mut asked = JoinSet::new();
        for path in PATHS {
            let newest = self.versions(path);
            let numbers = newest.saturating_sub(VERSIONS).max(1)..=newest;
            let queries = numbers.map(|number| format!("?version={number}"));
            for query in queries.chain(["", "?previous=true"].map(str::to_owned)) {
                let read = client.get(&format!("/secrets/{path}{query}"), &callers.root);
                let truths = Arc::clone(self);
                asked.spawn(async move {
                    let answer = read.sent().await.ok();
                    let value = answer.and_then(|answer| truths.hold(path, &answer));
                    (path, query.is_empty(), value)
                });
            }
            let read = client.get(&format!("/secrets/{path}"), &callers.limited);
            let truths = Arc::clone(self);
            asked.spawn(async move {
                let answer = read.sent().await.ok();
                let value = answer.and_then(|answer| truths.hold(path, &answer));
                let may = value.is_none() || path.starts_with(LIMITED);
                assert!(may, "{path} was served to who may not read it");
                (path, false, value)
            });
        }
        let (mut current, mut told) = (Current::new(), 0);
        for (path, is_current, value) in asked.join_all().await {
            told += usize::from(value.is_some());
            if is_current {
                current.insert(path, value);
            }
        }
        if told > 0 {
            self.ask_lists(client, callers).await;
        }
        (current, told)
    }

    /// Lists name what there was, and a whole bundle verifies.
    async fn ask_lists(&self, client: &Client, callers: &Callers) {
        for place in ["payments/prod", "payments/test"] {
            for by in [&callers.root, &callers.limited] {
                let list = format!("/secrets/{place}?recursive=true");
                let Ok(answer) = client.get(&list, by).sent().await else {
                    continue;
                };
                if answer.status() == 200 {
                    listed(&answer, place, by.id == callers.limited.id);
                }
            }
        }
        if let Ok(own) = client.get("/tokens/self", &callers.limited).sent().await
            && own.status() == 200
        {
            assert_eq!(own.json()["id"], callers.limited.id.as_str());
        }
        let Ok(key) = client.get("/audit/key", &callers.root).sent().await else {
            return;
        };
        let Ok(bundle) = client.get("/audit/bundle", &callers.root).sent().await else {
            return;
        };
        if (key.status(), bundle.status()) == (200, 200) {
            let key = key.json()["key"].as_str().expect("text").parse();
            let verified = coffer_audit_log::verify(bundle.bytes(), &key.expect("a key"));
            verified.expect("a bundle that is whole verifies");
        }
    }
}

fn listed(answer: &Answer, place: &str, limited: bool) {
    let said = answer.json();
    for item in said["items"].as_array().expect("items") {
        let path = item["path"].as_str().expect("a path");
        let known = PATHS.contains(&path) && path.starts_with(place);
        assert!(known, "{place} lists {path}");
        assert!(
            !limited || path.starts_with(LIMITED),
            "{path} is listed to who may not"
        );
    }
}

/// Clients that write and read at random, and hold each answer.
pub struct Clients {
    running: JoinSet<()>,
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    /// Clients that the server has gone from.
    gone: Arc<AtomicUsize>,
}

impl Clients {
    pub fn start(
        client: &Client,
        truths: &Arc<Truths>,
        callers: &Callers,
        chance: &mut Chance,
        clients: usize,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (answers, gone) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let (client, truths, callers) = (client.clone(), Arc::clone(truths), callers.clone());
            let (stop, answers, gone) =
                (Arc::clone(&stop), Arc::clone(&answers), Arc::clone(&gone));
            let mut chance = chance.child();
            running.spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    let path = *chance.one_of(&PATHS);
                    if chance.below(3) == 0 {
                        truths.write(&client, path, &callers.root).await;
                    } else {
                        let read = client.get(&format!("/secrets/{path}"), &callers.root);
                        let Ok(answer) = read.sent().await else { break };
                        truths.hold(path, &answer);
                    }
                    answers.fetch_add(1, Ordering::AcqRel);
                }
                gone.fetch_add(1, Ordering::AcqRel);
            });
        }
        Self {
            running,
            stop,
            answers,
            gone,
        }
    }

    /// Waits for so many more answers, or until the server is gone from all of them.
    pub async fn answered(&self, more: usize) {
        let count = |counted: &AtomicUsize| counted.load(Ordering::Acquire);
        let wanted = count(&self.answers) + more;
        eventually("answers, or their end", || async {
            let seen = count(&self.answers) >= wanted || count(&self.gone) == self.running.len();
            seen.then_some(())
        })
        .await;
    }

    pub async fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.running.join_all().await;
    }
}
