//! A grant that two nodes keep fresh: whoever asks, wherever a node stops or dies, its refresh token is shown once.
//! The provider ends a grant whose refresh token is shown twice, so a grant that lives at the end is the proof.

mod troubles;

use coffer::model::Ttl;
use coffer::store::Engine;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::cluster::{Cluster, Start};
use crate::support::eventually;
use crate::support::node::Node;
use crate::support::provider::{Grant, Provider};
use crate::support::proxy::{Mode, Proxy};

const LIST: &str = "/connections/payments/prod";
const GITHUB: &str = "/connections/payments/prod/github";
const TOKEN: &str = "/connections/payments/prod/github/token";
const PATH: &str = "payments/prod/github";

/// A token of an hour is refreshed ahead of time by now, and has a tenth of the hour left.
const DUE: u64 = 2_900;
/// It has run out, every lease has, and ten minutes have gone by.
const OVER: u64 = 4_500;

/// A cluster and a provider that agree on the time, and a grant that was imported.
struct Scene {
    cluster: Cluster,
    provider: Provider,
    grant: Grant,
}

impl Scene {
    async fn imported(cluster: Cluster, node: &Node) -> Self {
        let provider = Provider::start().await;
        let grant = provider.grant();
        let imported = node.post(GITHUB, grant.import(), &cluster.root).await;
        imported.is(201);
        Self {
            cluster,
            provider,
            grant,
        }
    }

    /// Moves all clocks to this many seconds after the machine's.
    fn set_clock(&self, ahead: u64) {
        self.provider.set_clock(Ttl::seconds(ahead));
        self.cluster.set_clock(Ttl::seconds(ahead));
    }

    /// What the list says of it.
    async fn listed(&self, node: &Node) -> Value {
        let list = node.get(LIST, &self.cluster.root).await.is(200).json();
        list["items"][0].clone()
    }

    async fn until(&self, node: &Node, state: &str) -> Value {
        eventually(state, || async {
            Some(self.listed(node).await).filter(|item| item["state"] == state)
        })
        .await
    }

    /// The token, as soon as there is one; the provider takes it.
    async fn token(&self, node: &Node) -> Value {
        let token = eventually("a token", || async {
            let read = node.get(TOKEN, &self.cluster.root).await;
            match read.status() {
                200 => Some(read.json()),
                _ => {
                    read.is_problem(503, "token-refreshing");
                    None
                }
            }
        })
        .await;
        assert!(self.provider.accepts(access(&token)), "{token}");
        token
    }

    /// The token that is served, which the provider takes.
    async fn token_at_once(&self, node: &Node) -> Value {
        let token = node.get(TOKEN, &self.cluster.root).await.is(200).json();
        assert!(self.provider.accepts(access(&token)), "{token}");
        token
    }

    /// Accepted refreshes; none of them was one too many.
    #[track_caller]
    fn refreshes_are(&self, refreshes: u64) {
        let found = (self.provider.refreshes(), self.provider.reuses());
        assert_eq!(found, (refreshes, 0));
        assert!(self.provider.lives(&self.grant));
    }

    /// The next refresh after all of this goes well.
    async fn goes_on(&self, node: &Node, ahead: u64) {
        let refreshes = self.provider.refreshes();
        self.set_clock(ahead);
        self.token(node).await;
        self.refreshes_are(refreshes + 1);
    }

    /// Nothing secret was printed or recorded, and the store is whole.
    async fn ends(self, node: Node) {
        let records = format!("{:?}", self.cluster.bundle(&node).await);
        assert!(records.contains("system/refresher"));
        for secret in self.provider.secrets() {
            assert!(
                !node.has_said(&secret) && !records.contains(&secret),
                "{secret}"
            );
        }
        assert_eq!(node.end().await.code, Some(0));
        self.cluster.check().await;
    }
}

fn access(token: &Value) -> &str {
    token["access_token"].as_str().expect("an access token")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_two_nodes_cause_one_refresh() {
    let (cluster, a, b) = Cluster::with_two().await;
    let s = Scene::imported(cluster, &a).await;
    let old = s.token_at_once(&b).await;
    let held = s.provider.hold(1);
    s.set_clock(3_700);
    assert!(!s.provider.accepts(access(&old)));
    let mut asking = JoinSet::new();
    for number in 0..100 {
        let client = Client::clone(if number % 2 == 0 { &a } else { &b });
        let root = s.cluster.root.clone();
        asking.spawn(async move { client.get(TOKEN, &root).await.is(200).json() });
    }
    held.arrived(1).await;
    held.release();
    for token in asking.join_all().await {
        assert!(s.provider.accepts(access(&token)), "{token}");
    }
    assert_eq!(s.provider.asked(), 2);
    s.refreshes_are(2);
    let reads = s.cluster.bundle(&b).await;
    assert_eq!(reads.count("app/root", "read", PATH, "allowed"), 101);
    s.goes_on(&b, 7_400).await;
    s.goes_on(&a, 11_100).await;
    assert_eq!(b.end().await.code, Some(0));
    s.ends(a).await;
}

/// Who goes on after a node was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// The same node, started again.
    Itself,
    /// The same node, started again beside another that waited for it.
    ItselfBeside,
    /// Another node alone.
    Another,
}

impl Next {
    const fn engine(self) -> Engine {
        match self {
            Self::Itself => Engine::Sqlite,
            Self::ItselfBeside | Self::Another => Engine::Postgres,
        }
    }
}

/// A node is killed there while it refreshes ahead of time; who goes on is given back, once it serves.
async fn killed_at(point: &str, next: Next) -> (Scene, Node) {
    let (cluster, a) = Cluster::with_one(next.engine()).await;
    let s = Scene::imported(cluster, &a).await;
    let b = match next {
        Next::Itself => None,
        Next::ItselfBeside | Next::Another => {
            let b = s.cluster.start("b").await;
            // It stands by: who refreshes is known.
            b.stop().await;
            Some(b)
        }
    };
    a.arm(&format!("{point}=kill"));
    s.set_clock(DUE);
    assert_eq!(a.ended().await.code, None, "killed at {point}");
    a.met(point).await;
    drop(a);
    let node = match (next, b) {
        (Next::Another, Some(b)) => {
            b.go_on();
            b
        }
        (_, b) => {
            let a = s.cluster.start("a").await;
            if let Some(b) = b {
                b.go_on();
                s.token_at_once(&b).await;
                assert_eq!(b.end().await.code, Some(0));
            }
            a
        }
    };
    s.token_at_once(&node).await;
    (s, node)
}

/// The grant lives: the token that is served in the end is the one of the refresh that was begun, or of one after it.
async fn lives_on(point: &'static str, next: Next) {
    let (s, node) = killed_at(point, next).await;
    s.set_clock(OVER);
    let token = s.token(&node).await;
    let item = s.until(&node, "active").await;
    assert_eq!(
        token["version"], item["version"],
        "killed at {point}, {next:?}"
    );
    assert_eq!(s.provider.asked(), 2, "killed at {point}, {next:?}");
    s.refreshes_are(2);
    s.goes_on(&node, 9_000).await;
    s.ends(node).await;
}

async fn all(rows: impl IntoIterator<Item = (&'static str, Next)>) {
    let mut killing = JoinSet::new();
    for (point, next) in rows {
        killing.spawn(lives_on(point, next));
    }
    while let Some(killed) = killing.join_next().await {
        killed.expect("the grant lives");
    }
}

/// On the way of a refresh; at `answered` alone the answer is lost.
const POINTS: [&str; 5] = ["intended", "sending", "spooled", "concluding", "concluded"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_whose_node_is_killed_ends_when_it_is_back() {
    all(POINTS.map(|point| (point, Next::Itself))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_whose_node_is_killed_ends_when_it_is_back_beside_another() {
    all(POINTS.map(|point| (point, Next::ItselfBeside))).await;
}

/// What was answered lies in the dead node's spool; where nothing was, or all of it was stored, the other one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_whose_node_is_killed_ends_on_another() {
    all(["intended", "sending", "concluded"].map(|point| (point, Next::Another))).await;
}

/// The answer was lost with the node: doubt is shown, the old token is served to its end, and one try tells.
async fn is_in_doubt(next: Next) {
    let (s, node) = killed_at("answered", next).await;
    s.set_clock(DUE + 300);
    let item = s.until(&node, "in_doubt").await;
    assert_eq!(s.token_at_once(&node).await["version"], item["version"]);
    assert_eq!((s.provider.asked(), s.provider.refreshes()), (2, 2));
    s.refreshes_are(2);
    s.set_clock(OVER);
    s.until(&node, "needs_reauth").await;
    let refused = node.get(TOKEN, &s.cluster.root).await;
    refused.is_problem(409, "needs-reauth");
    assert_eq!((s.provider.asked(), s.provider.reuses()), (3, 1));
    s.ends(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_with_its_node_is_in_doubt() {
    let rows = [Next::Itself, Next::ItselfBeside, Next::Another];
    let mut killing: JoinSet<()> = rows.into_iter().map(is_in_doubt).collect();
    while let Some(killed) = killing.join_next().await {
        killed.expect("it is in doubt");
    }
}

/// Two nodes, the second of which stands by, and a grant that the first one keeps.
async fn with_one_standing_by() -> (Scene, Node, Node) {
    let (cluster, a, b) = Cluster::with_two().await;
    let s = Scene::imported(cluster, &a).await;
    b.stop().await;
    (s, a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_for_longer_than_its_lease_does_not_send() {
    let (s, a, b) = with_one_standing_by().await;
    a.arm("intended=stop");
    s.set_clock(DUE);
    a.stopped().await;
    b.go_on();
    // Past its lease, and the token still lives.
    s.set_clock(DUE + 300);
    let refreshed = || async { (s.provider.refreshes() == 2).then_some(()) };
    eventually("the other node refreshes", refreshed).await;
    a.go_on();
    s.set_clock(OVER);
    let token = s.token(&b).await;
    assert_eq!(s.token(&a).await["version"], token["version"]);
    assert_eq!(s.provider.asked(), 2);
    s.refreshes_are(2);
    s.goes_on(&a, 9_000).await;
    assert_eq!(b.end().await.code, Some(0));
    s.ends(a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_after_the_lease_is_kept() {
    let (s, a, b) = with_one_standing_by().await;
    let before = s.listed(&a).await;
    let held = s.provider.hold(1);
    s.set_clock(DUE);
    held.arrived(1).await;
    a.stop().await;
    b.go_on();
    s.set_clock(DUE + 300);
    // The other node sees an attempt that may have been made, and leaves it alone.
    assert_eq!(s.until(&b, "in_doubt").await["version"], before["version"]);
    s.token_at_once(&b).await;
    held.release();
    let refreshed = || async { (s.provider.refreshes() == 2).then_some(()) };
    eventually("the call is carried out", refreshed).await;
    a.go_on();
    let after = s.until(&b, "active").await;
    assert!(after["version"].as_u64() > before["version"].as_u64());
    assert_eq!(s.token_at_once(&b).await["version"], after["version"]);
    assert_eq!(s.provider.asked(), 2);
    s.goes_on(&b, 9_000).await;
    assert_eq!(a.end().await.code, Some(0));
    s.ends(b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_while_the_database_is_away_is_kept() {
    let cluster = Cluster::new(Engine::Postgres).await;
    let (proxy, url) = Proxy::before(&cluster.url).await;
    let through = Start {
        url: Some(&url),
        ..Start::default()
    };
    let a = cluster.start_with("a", through).await;
    cluster.place(&a, "payments/prod").await;
    let s = Scene::imported(cluster, &a).await;
    let b = s.cluster.start("b").await;
    let before = s.listed(&a).await;
    b.stop().await;
    let held = s.provider.hold(1);
    s.set_clock(DUE);
    held.arrived(1).await;
    proxy.set(Mode::Cut);
    held.release();
    let refreshed = || async { (s.provider.refreshes() == 2).then_some(()) };
    eventually("the call is carried out", refreshed).await;
    // The other node sees an attempt whose answer is overdue, and does not make it again.
    s.set_clock(DUE + 300);
    b.go_on();
    assert_eq!(s.until(&b, "in_doubt").await["version"], before["version"]);
    s.token_at_once(&b).await;
    proxy.set(Mode::Pass);
    let item = s.until(&b, "active").await;
    assert!(item["version"].as_u64() > before["version"].as_u64());
    assert_eq!(s.token(&a).await["version"], item["version"]);
    assert_eq!(s.provider.asked(), 2);
    s.goes_on(&a, 9_000).await;
    assert_eq!(b.end().await.code, Some(0));
    s.ends(a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_before_it_sends_is_replaced_after_its_lease() {
    let (s, a, b) = with_one_standing_by().await;
    a.arm("intended=kill");
    s.set_clock(DUE);
    assert_eq!(a.ended().await.code, None);
    b.go_on();
    // Its lease of ten seconds, and five.
    s.set_clock(DUE + 15);
    let refreshed = || async { (s.provider.refreshes() == 2).then_some(()) };
    eventually("the other node refreshes", refreshed).await;
    let kept = || async { (s.listed(&b).await["version"] == 2).then_some(()) };
    eventually("its answer is kept", kept).await;
    s.refreshes_are(2);
    s.goes_on(&b, 9_000).await;
    s.ends(b).await;
}
