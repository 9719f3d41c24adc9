//! What must be true once a server that was changed in every way ([`super::changes`]) was killed and started again.
//!
//! Invariant: of a change whose answer was lost, the log alone says whether it happened, and the store agrees with it.

use std::collections::BTreeMap;

use super::changes::{Knows, Life, Made, Once, PLACE, newest_of};
use crate::ledger::load::Told;
use crate::support::cluster::Cluster;
use crate::support::node::Node;
use crate::support::records::{Kind, Record, Records};

/// Tokens of a load that are asked for at the end: one that is dead may fail a hundred times a minute.
const TOKENS_ASKED_MAX: usize = 20;

/// Sends again, under the same keys, what was sent last.
pub async fn ask_again(cluster: &Cluster, node: &Node, told: &Told, knows: &[Knows]) {
    for knows in knows {
        if let Knows::Once(once) = knows {
            once.again(cluster, node, told).await;
        }
    }
}

/// Everything that was acknowledged is as it was told, and all else as the log tells it.
pub async fn hold(cluster: &Cluster, node: &Node, records: &Records, knows: &[Knows]) {
    let counts = records.counts();
    for knows in knows {
        match knows {
            Knows::Tokens(made) => {
                for made in made.iter().rev().take(TOKENS_ASKED_MAX) {
                    made.holds(node, records).await;
                }
            }
            Knows::Lives(lives) => {
                for life in lives {
                    life.holds(cluster, node, &counts).await;
                }
            }
            Knows::Once(once) => {
                let secret = once.secret();
                let written = records.all().iter().filter(|record| {
                    record.text("resource") == Some(&secret)
                        && record.text("action") == Some("write")
                        && record.member("metadata")["coffer.repeats"].is_null()
                });
                assert_eq!(written.count() as u64, once.tried, "{secret}: done once");
            }
            Knows::Term(newest) => {
                let keys = node.get(&format!("/keys/{PLACE}"), &cluster.root);
                // Sealing everything anew begins with a term as well.
                let is_new = |record: &&Record| {
                    let keys = record.member("metadata")["coffer.keys"].as_str();
                    let said = keys.map(|keys| (keys, record.status()));
                    matches!(said, Some(("rotate", 200) | ("reencrypt", 202)))
                };
                let begun = 1 + records.all().iter().filter(is_new).count() as u64;
                let there = newest_of(&keys.await.is(200));
                assert_eq!(there, begun, "a term for each record of one");
                assert!(there >= *newest, "{there}, and {newest} was acknowledged");
            }
            Knows::Nothing => {}
        }
    }
}

/// How often this was done, by the log.
fn count(counts: &BTreeMap<Kind, usize>, action: &str, resource: &str) -> usize {
    let kind = ["app/root", action, resource, "allowed"].map(str::to_owned);
    *counts.get(&kind.into()).unwrap_or(&0)
}

impl Made {
    async fn holds(&self, node: &Node, records: &Records) {
        let ended = records.all().iter().filter(|record| {
            record.status() == 204 && record.member("metadata")["coffer.token"] == self.token.id
        });
        let ended = ended.count();
        let used = node.get(&format!("/secrets/{PLACE}/nothing"), &self.token);
        let used = used.await;
        // Past a hundred a minute the dead are turned away before anybody looks whether they are.
        let told: &[u16] = if ended == 1 { &[401, 429] } else { &[404] };
        assert!(told.contains(&used.status()), "{ended}: {}", used.text());
        assert!(ended <= 1 && (!self.revoked || ended == 1), "{ended}");
    }
}

impl Life {
    async fn holds(&self, cluster: &Cluster, node: &Node, counts: &BTreeMap<Kind, usize>) {
        let secret = &self.secret;
        let actions = ["write", "destroy", "delete"];
        let [written, destroyed, deleted] = actions.map(|action| count(counts, action, secret));
        let steps = written + destroyed + deleted;
        assert!((self.done..=self.tried).contains(&steps), "{secret}");
        let expected = match steps {
            0 => [0, 0, 0],
            1 => [1, 0, 0],
            2 => [2, 0, 0],
            3 => [2, 1, 0],
            4 => [2, 1, 1],
            _ => [3, 1, 1],
        };
        assert_eq!([written, destroyed, deleted], expected, "{secret}");
        let history = node.get(&format!("/history/{secret}"), &cluster.root).await;
        if steps == 0 {
            assert_eq!(history.status(), 404, "{secret}: {}", history.text());
            return;
        }
        let history = history.is(200).json();
        let versions = if steps == 4 {
            &history["deleted"][0]["versions"]
        } else {
            &history["versions"]
        };
        let states = versions.as_array().expect("versions").iter();
        let states: Vec<&str> = states
            .map(|one| one["state"].as_str().expect("a state"))
            .collect();
        let expected: &[&str] = match steps {
            1 => &["current"],
            2 => &["retired", "current"],
            _ => &["destroyed", "current"],
        };
        assert_eq!(states, expected, "{secret}, {steps} steps: {history}");
        if steps > 2 {
            let first = format!("/secrets/{secret}?version=1");
            let first = node.get(&first, &cluster.root).await;
            assert_eq!(first.status(), 404, "{secret}: {}", first.text());
        }
    }
}

impl Once {
    /// Sends the last number again, whose answer may have been lost, and the one before it, which was answered.
    async fn again(&self, cluster: &Cluster, node: &Node, told: &Told) {
        let sent = async |number| {
            let answer = self.write(node, &cluster.root, number).await;
            told.note(&answer);
            let status = if number == 1 { 201 } else { 200 };
            let answer = answer.is(status);
            assert_eq!(answer.json()["version"], number, "{}", self.name);
            answer.header("idempotency-replayed") == Some("true")
        };
        if self.tried > 0 {
            sent(self.tried).await;
            assert!(sent(self.tried).await, "{} is done once", self.name);
        }
        if self.tried > 1 {
            let before = sent(self.tried - 1).await;
            assert!(before, "{}: it was answered before", self.name);
        }
        if self.tried > 0 {
            let version = cluster.version(node, &self.secret()).await;
            assert_eq!(version, self.tried, "{}", self.name);
        }
    }
}
