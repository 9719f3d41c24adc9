//! Clients that hang up in the middle, by the thousand: what they asked for ends or does not begin, whole, and the places
//! that they took are given back.

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::cluster::{Cluster, on_both};
use crate::support::eventually;

/// Requests that are given up: more than a server answers at once.
const HANGUPS: usize = 9_000;
/// Of these at a time.
const AT_ONCE: usize = 100;
const SECRETS: usize = 20;

/// So many requests that ask for nothing are answered, one after another.
async fn answered(client: &Client, many: usize) {
    // Polled once more than it waits: what it stands beside has begun.
    tokio::task::yield_now().await;
    for _ in 0..many {
        // A connection that is told to go away answers nobody.
        let _ = client.open(Method::GET, "/health/live").sent().await;
    }
}

on_both! {
    async fn hang_ups_by_the_thousand_leave_everything_whole(engine: Engine) {
        let (cluster, a) = Cluster::with_one(engine).await;
        for begin in (0..HANGUPS).step_by(AT_ONCE) {
            let mut giving_up = JoinSet::new();
            for number in begin..begin + AT_ONCE {
                let path = format!("/secrets/payments/prod/h{}", number % SECRETS);
                let body = json!({ "fields": { "v": number.to_string() } });
                let call = if number % 4 == 0 { a.get(&path, &cluster.root) } else { a.put(&path, body, &cluster.root) };
                let client = Client::clone(&a);
                giving_up.spawn(async move {
                    // Given up after so many others were answered on the same connection, wherever it is then.
                    tokio::select! {
                        biased;
                        _ = call.sent() => {}
                        () = answered(&client, number % 3) => {}
                    }
                });
            }
            giving_up.join_all().await;
        }
        // A connection with so many resets is told to go away (too_many_resets): who asks again gets a new one.
        // And what was given up and goes on is this source's share, until it has ended.
        let heard = || async { a.get("/tokens/self", &cluster.root).sent().await.ok().filter(|answer| answer.status() != 429) };
        eventually("a connection that lasts", heard).await.is(200);
        // What they asked for still waits its turn, and whoever comes behind may be told to come back.
        let recorded = async || {
            let bundle = a.get("/audit/bundle", &cluster.root).await;
            (bundle.status() == 200).then(|| bundle.text().lines().filter(|line| line.starts_with('{')).count())
        };
        let quiet = || async {
            let before = recorded().await?;
            (recorded().await? == before + 1).then_some(())
        };
        eventually("nothing is on its way", quiet).await;
        let records = cluster.bundle(&a).await;
        let mut versions = 0;
        for number in 0..SECRETS {
            let secret = format!("payments/prod/h{number}");
            let written = records.count("app/root", "write", &secret, "allowed") as u64;
            if written > 0 {
                assert_eq!(cluster.version(&a, &secret).await, written, "{secret}");
            }
            versions += written;
        }
        assert!(versions > 0, "nobody was heard before hanging up");
        assert!(versions < HANGUPS as u64, "nobody hung up in time");
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}
