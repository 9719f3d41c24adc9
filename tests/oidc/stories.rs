//! Coffer before oidc-provider: a grant is imported, read and refreshed, by many at two nodes, and with an answer lost.
//! Its clock is the machine's, so what has to be old is old by Coffer's clock alone.

use std::ops::Deref;

use coffer::model::Ttl;
use coffer::store::Engine;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::client::{Client, Token};
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::oidc::Oidc;
use crate::support::provider::{Grant, Proof};
use crate::support::vault::TestVault;

const LIST: &str = "/connections/payments/prod";
const KEYCLOAK: &str = "/connections/payments/prod/keycloak";
const TOKEN: &str = "/connections/payments/prod/keycloak/token";
const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];
/// After so long a token of an hour is refreshed ahead of time.
const DUE: Ttl = Ttl::seconds(2_900);
/// From then to after its end.
const OVER: Ttl = Ttl::seconds(1_400);

/// A vault whose jobs run, and a grant of oidc-provider's.
struct Scene {
    v: TestVault,
    oidc: Oidc,
    grant: Grant,
}

impl Deref for Scene {
    type Target = TestVault;

    fn deref(&self) -> &TestVault {
        &self.v
    }
}

impl Scene {
    async fn new(engine: Engine, proof: Proof) -> Self {
        let mut v = TestVault::new(engine).await;
        v.start_jobs();
        let oidc = Oidc::start();
        let grant = oidc.grant(proof).await;
        Self { v, oidc, grant }
    }

    async fn imported(engine: Engine) -> Self {
        let s = Self::new(engine, Proof::Basic).await;
        let imported = s.post(KEYCLOAK, s.grant.import(), &s.root).await;
        assert_eq!(imported.is(201).json()["state"], "active");
        s
    }

    /// The token, with this query, which the provider takes.
    async fn token(&self, query: &str) -> Value {
        let path = format!("{TOKEN}{query}");
        let token = self.get(&path, &self.root).await.is(200).json();
        assert!(self.oidc.accepts(access(&token)).await, "{token}");
        token
    }

    async fn until(&self, state: &str) -> Value {
        eventually(state, || async {
            let list = self.get(LIST, &self.root).await.is(200).json();
            Some(list["items"][0].clone()).filter(|item| item["state"] == state)
        })
        .await
    }
}

fn access(token: &Value) -> &str {
    token["access_token"].as_str().expect("an access token")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_grant_is_imported_read_and_refreshed() {
    for engine in ENGINES {
        for proof in [Proof::Basic, Proof::Post, Proof::Public] {
            let s = Scene::new(engine, proof).await;
            let made = s.post(KEYCLOAK, s.grant.import(), &s.root).await;
            let made = made.is(201).json();
            assert_eq!(made["granted"], "openid offline_access api");
            let first = s.token("").await;
            s.v.advance(Ttl::seconds(10));
            let second = s.token("?min_ttl=3595").await;
            assert!(access(&first) != access(&second) && first["version"] != second["version"]);
            s.v.advance(Ttl::seconds(3_700));
            s.token("").await;
            assert_eq!(s.oidc.counts().await, (3, 3));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_grant_that_was_spent_elsewhere_is_refused() {
    for engine in ENGINES {
        let s = Scene::imported(engine).await;
        let other = format!("{LIST}/other");
        // The token that it was imported with is spent: the provider ends the grant, here as well.
        let refused = s.post(&other, s.grant.import(), &s.root).await;
        assert!(refused.detail().contains("invalid_grant"));
        refused.is_problem(409, "grant-refused");
        s.v.advance(DUE);
        let item = s.until("needs_reauth").await;
        assert!(
            item["reason"]
                .as_str()
                .is_some_and(|why| why.contains("invalid_grant"))
        );
        s.v.advance(OVER);
        s.get(TOKEN, &s.root).await.is_problem(409, "needs-reauth");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_provider_that_fails_for_a_while_costs_nothing() {
    for engine in ENGINES {
        for fault in ["503", "429"] {
            let s = Scene::imported(engine).await;
            let first = s.token("").await;
            s.oidc.arm(fault, 1).await;
            s.v.advance(DUE);
            // Either it is seen, or it is over already.
            eventually("the fault is met", || async {
                (s.oidc.counts().await.0 >= 2).then_some(())
            })
            .await;
            s.token("").await;
            s.v.advance(OVER);
            let item = eventually("the next tokens", || async {
                Some(s.until("active").await).filter(|item| item["version"] != first["version"])
            });
            assert_eq!(item.await.get("last_error"), None);
            s.token("").await;
            assert_eq!(s.oidc.counts().await, (3, 2));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_lifetime_that_is_not_told_is_the_last_one() {
    for engine in ENGINES {
        let s = Scene::imported(engine).await;
        s.oidc.arm("no_expires_in", 1).await;
        s.v.advance(Ttl::seconds(10));
        assert!(s.token("?min_ttl=3595").await["expires_at"].is_string());
        s.v.advance(Ttl::seconds(3_700));
        s.token("").await;
        assert_eq!(s.oidc.counts().await, (3, 3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_lost_answer_is_doubtful_and_tried_once_more() {
    for engine in ENGINES {
        let s = Scene::imported(engine).await;
        let first = s.token("").await;
        s.oidc.arm("drop", 1).await;
        s.v.advance(DUE);
        let item = s.until("in_doubt").await;
        assert_eq!(item["version"], first["version"]);
        assert_eq!(s.token("").await, first, "the old token is not put at risk");
        assert_eq!(s.oidc.counts().await, (2, 2));
        s.v.advance(OVER);
        s.until("needs_reauth").await;
        s.get(TOKEN, &s.root).await.is_problem(409, "needs-reauth");
        assert_eq!(s.oidc.counts().await, (3, 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs oidc-provider: scripts/test --all"]
async fn a_hundred_at_two_nodes_cause_one_refresh() {
    let (cluster, a, b) = Cluster::with_two().await;
    let oidc = Oidc::start();
    let grant = oidc.grant(Proof::Basic).await;
    a.post(KEYCLOAK, grant.import(), &cluster.root)
        .await
        .is(201);
    for round in 1..=3_u64 {
        cluster.set_clock(Ttl::seconds(round * 3_700));
        let mut asking = JoinSet::new();
        for number in 0..100 {
            let client = Client::clone(if number % 2 == 0 { &a } else { &b });
            asking.spawn(ask(client, cluster.root.clone()));
        }
        let tokens = asking.join_all().await;
        for token in &tokens {
            assert_eq!(token["version"], tokens[0]["version"]);
        }
        assert!(oidc.accepts(access(&tokens[0])).await);
        assert_eq!(oidc.counts().await, (round + 1, round + 1));
    }
}

async fn ask(client: Client, root: Token) -> Value {
    client.get(TOKEN, &root).await.is(200).json()
}
