//! A load of many clients that remember what they were told, and what must be true of a log and a store afterwards.
//! A request without an answer, or with a 503, may or may not have happened; every other is held to its word.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::client::{Answer, Client};
use crate::support::cluster::Cluster;
use crate::support::node::Node;
use crate::support::records::Records;

/// Recorded of a change that goes on in further steps.
const ACCEPTED: u64 = 202;

/// A request's id, and the statuses that its record may have.
type Answered = (String, [u64; 2]);

/// What clients were told: each request's id with the statuses that its record may have.
#[derive(Clone, Default)]
pub struct Told {
    answers: Arc<Mutex<Vec<Answered>>>,
    acknowledged: Arc<AtomicUsize>,
    unknown: Arc<AtomicUsize>,
}

impl Told {
    /// Notes an answer.
    pub fn note(&self, answer: &Answer) {
        let status = u64::from(answer.status());
        self.push(answer, [status, status]);
    }

    /// Notes what a change was answered, if it was.
    pub fn changed(&self, answer: Option<&Answer>) {
        answer.inspect(|answer| self.note(answer));
        self.count_change(answer);
    }

    /// The same of a change in steps, the first of which has its request's id.
    pub fn changed_in_steps(&self, answer: Option<&Answer>) {
        answer.inspect(|answer| self.push(answer, [answer.status().into(), ACCEPTED]));
        self.count_change(answer);
    }

    fn push(&self, answer: &Answer, statuses: [u64; 2]) {
        let id = answer.header("x-request-id").expect("an id").to_owned();
        let mut told = self.answers.lock().expect("no panic");
        told.push((id, statuses));
    }

    fn count_change(&self, answer: Option<&Answer>) {
        let counted = match answer {
            Some(answer) if answer.status() < 300 => &self.acknowledged,
            Some(answer) if answer.status() != 503 => return,
            _ => &self.unknown,
        };
        counted.fetch_add(1, Ordering::AcqRel);
    }

    /// How many answers there were.
    pub fn count(&self) -> usize {
        self.answers.lock().expect("no panic").len()
    }

    /// How many changes were acknowledged, and of how many nobody was told whether they happened.
    pub fn changes(&self) -> (usize, usize) {
        let [acknowledged, unknown] = [&self.acknowledged, &self.unknown];
        (
            acknowledged.load(Ordering::Acquire),
            unknown.load(Ordering::Acquire),
        )
    }

    /// Each answer but a 503 is in the log, once, as it was said; and nothing is there twice.
    pub fn is_in(&self, records: &Records) {
        let mut by_id = HashMap::new();
        for record in records.all() {
            let id = record.text("id").expect("an id");
            let before = by_id.insert(id.to_owned(), record.status());
            assert_eq!(before, None, "recorded twice: {record:?}");
        }
        for (id, statuses) in self.answers.lock().expect("no panic").iter() {
            if statuses[0] != 503 {
                let recorded = by_id.get(id);
                let fits = recorded.is_some_and(|status| statuses.contains(status));
                assert!(fits, "{id} was answered {statuses:?}: {recorded:?}");
            }
        }
    }
}

/// Clients that each write rising numbers into a secret of their own, and read it, until they are told to stop or the
/// server is gone.
pub struct Load {
    pub told: Told,
    running: JoinSet<(String, u64, u64)>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Starts so many clients; each makes secrets named after `name`.
    pub fn start(cluster: &Cluster, node: &Node, name: &str, clients: usize) -> Self {
        let told = Told::default();
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for number in 0..clients {
            let client = Client::clone(node);
            let (told, stop, root) = (told.clone(), Arc::clone(&stop), cluster.root.clone());
            let secret = format!("payments/prod/{name}{number}");
            running.spawn(async move {
                let path = format!("/secrets/{secret}");
                let (mut acknowledged, mut tried) = (0, 0);
                while !stop.load(Ordering::Acquire) {
                    tried += 1;
                    let body = json!({ "fields": { "v": tried.to_string() } });
                    let written = client.put(&path, body, &root).sent().await.ok();
                    told.changed(written.as_ref());
                    let Some(written) = written else { break };
                    if matches!(written.status(), 200 | 201) {
                        acknowledged = tried;
                    } else {
                        assert_eq!(written.status(), 503, "{}", written.text());
                    }
                    let Ok(read) = client.get(&path, &root).sent().await else {
                        break;
                    };
                    told.note(&read);
                    if read.status() == 200 {
                        let value = number_in(&read);
                        assert!((acknowledged..=tried).contains(&value), "{secret}: {value}");
                    } else {
                        assert!(read.status() == 503 || acknowledged == 0, "{}", read.text());
                    }
                }
                (secret, acknowledged, tried)
            });
        }
        Self {
            told,
            running,
            stop,
        }
    }

    /// Lets the clients end, and tells of each secret the last number that was acknowledged and the last that was tried.
    pub async fn end(self) -> (Told, Vec<(String, u64, u64)>) {
        self.stop.store(true, Ordering::Release);
        (self.told, self.running.join_all().await)
    }
}

/// Every acknowledged write is there with its record, nothing is there twice, and the log verifies; the log.
pub async fn holds(
    cluster: &Cluster,
    node: &Node,
    told: &Told,
    written: &[(String, u64, u64)],
) -> Records {
    let mut versions = HashMap::new();
    for (secret, acknowledged, tried) in written {
        let read = node.get(&format!("/secrets/{secret}"), &cluster.root).await;
        if read.status() == 404 && *acknowledged == 0 {
            versions.insert(secret.as_str(), 0);
            continue;
        }
        let value = number_in(&read);
        assert!(
            (*acknowledged..=*tried).contains(&value),
            "{secret}: {value} of {acknowledged}..={tried}"
        );
        versions.insert(
            secret,
            read.is(200).json()["version"].as_u64().expect("a number"),
        );
    }
    let records = cluster.bundle(node).await;
    told.is_in(&records);
    let counts = records.counts();
    for (secret, version) in versions {
        let kind = ["app/root", "write", secret, "allowed"].map(str::to_owned);
        let written = counts.get(&kind.into()).unwrap_or(&0);
        assert_eq!(
            *written as u64, version,
            "{secret}: a version for each record, a record for each version"
        );
    }
    records
}

/// The number in a secret's field `v`.
pub fn number_in(answer: &Answer) -> u64 {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let json = answer.json();
    let value = json["fields"]["v"].as_str().expect("text");
    value.parse().expect("a number")
}
