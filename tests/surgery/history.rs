//! What happened on the ground before the knife: two nodes, two projects, every kind of row, and a time in the middle that
//! is looked at as well, so that older true values are known.
//!
//! Invariant: what was true in the middle and what is true in the end differ in every table that can differ.

use std::sync::Arc;

use coffer::crypto::PlainToken;
use coffer::door::{Credential, Door, Operation, Request};
use coffer::model::{
    BootId, ClientAuth, EnvironmentName, Exchange, LifetimeSource, ProviderClient, Refreshing,
    Refusal, SecretName, TokenAnswer, Ttl, Value,
};
use coffer::operations::Generate;
use coffer::operations::connections::{
    BeginImport, Begun, ConcludeRefresh, Concluded, GivenGrant, IntendRefresh, Intended,
    SendRefresh, Wanted,
};
use coffer::operations::keys::{DestroyTerm, ReencryptKeys, RewrapKeys, RotateKey};
use coffer::operations::leases::TakeLease;
use coffer::operations::once::Ticket;
use coffer::operations::places::{CreateEnvironment, CreateProject};
use coffer::operations::rotations::{RotateNow, SetRotation};
use coffer::operations::secrets::{DeleteSecret, DestroySecret, Expected, Mode, WriteSecret};
use coffer::operations::tokens::{CreateToken, RevokeToken, TokenNamed};
use coffer::store::Engine;
use zeroize::Zeroizing;

use super::ground::{AHEAD, Ground, PATIENCE};
use super::questions::{Answers, Tokens, ask_all};
use super::rows::{Rows, Table};
use super::truth::assert_true;

/// Records of a merged segment, at most.
const MERGED: u64 = 24;

/// A ground with its history, and what is known of it.
pub struct History {
    pub ground: Ground,
    pub tokens: Arc<Tokens>,
    pub tables: Vec<Table>,
    /// All rows in the middle, and in the end.
    pub then: Rows,
    pub now: Rows,
    /// All answers in the middle, and in the end.
    pub answered_then: Answers,
    pub answered_now: Answers,
}

impl History {
    pub async fn new(engine: Engine) -> Self {
        let mut ground = Ground::new(engine).await;
        let mut tokens = Tokens {
            root: ground.found().await,
            ..Tokens::default()
        };
        let two = ground.open("two").await;
        begin(&two, &tokens).await;
        two.close().await;
        drop(two);
        let one = ground.open("one").await;
        first_half(&one, &mut tokens).await;
        let tokens = Arc::new(tokens);
        let answered_then = ask_all(&one, &tokens).await;
        let (_, then) = ground.look().await;
        second_half(&one, &tokens).await;
        one.close().await;
        drop(one);
        ground.clock.advance_us(AHEAD.micros());
        // The file is whole and let go of once it can be opened again.
        ground.store(ground.url()).await.close().await;
        let (tables, now) = ground.look().await;
        ground.keep(&tables).await;
        let copy = ground.copy();
        let store = ground.store(&copy.url).await;
        assert_eq!(ground.check(&store).await, Vec::<String>::new());
        let door = ground
            .open_copy(store, &copy, PATIENCE)
            .await
            .expect("it is whole");
        let answered_now = ask_all(&door, &tokens).await;
        assert_true(&answered_now);
        door.close().await;
        ground.undo(&tables, copy).await;
        Self {
            ground,
            tokens,
            tables,
            then,
            now,
            answered_then,
            answered_now,
        }
    }
}

async fn begin(door: &Door, tokens: &Tokens) {
    let root = tokens.root.as_str();
    for name in ["p", "q"] {
        done(
            door,
            root,
            CreateProject {
                name: name.parse().expect("a name"),
            },
        )
        .await;
    }
    for name in ["p/e", "p/f", "q/e"] {
        done(door, root, CreateEnvironment { name: place(name) }).await;
    }
    done(door, root, write("p/e", "api", "first api")).await;
}

async fn first_half(door: &Door, tokens: &mut Tokens) {
    let root = tokens.root.clone();
    let root = root.as_str();
    done(door, root, write("p/e", "db/password", "first password")).await;
    done(door, root, write("p/e", "shredded", "first shredded")).await;
    done(door, root, write("p/e", "gone", "gone value")).await;
    done(door, root, write("p/e", "root/inner", "inner value")).await;
    done(door, root, write("p/f", "api", "the api of f")).await;
    done(door, root, write("q/e", "other", "other value")).await;
    let rotation = SetRotation {
        name: secret("p/e", "db/password"),
        every: Ttl::days(30),
        grace: Some(Ttl::days(1)),
        field: None,
        generate: Generate::default(),
    };
    done(door, root, rotation).await;
    let scopes = ["list,read:p/e/**", "!read:p/e/root/**"];
    tokens.reader = made(door, root, &scopes, Ttl::days(30), None).await;
    tokens.child = made(door, &tokens.reader, &["read:p/e/**"], Ttl::days(30), None).await;
    tokens.revoked = made(door, root, &["read:p/e/**"], Ttl::days(30), None).await;
    tokens.orphaned = made(door, &tokens.revoked, &["read:p/e/**"], Ttl::days(30), None).await;
    tokens.expired = made(door, root, &["read:p/e/**"], Ttl::seconds(3_600), None).await;
    tokens.app = made(door, root, &["read:p/e/api"], Ttl::days(30), Some("ci")).await;
    lease(door).await;
    import(door, root).await;
}

async fn second_half(door: &Door, tokens: &Tokens) {
    let root = tokens.root.as_str();
    done(door, root, write("p/e", "api", "second api")).await;
    done(door, root, write("p/e", "shredded", "second shredded")).await;
    let shred = DestroySecret {
        name: secret("p/e", "shredded"),
        versions: Some(vec![1]),
        id: None,
    };
    done(door, root, shred).await;
    done(
        door,
        root,
        RotateNow {
            name: secret("p/e", "db/password"),
        },
    )
    .await;
    let delete = DeleteSecret {
        name: secret("p/e", "gone"),
        expected: Expected::Any,
    };
    done(door, root, delete).await;
    done(
        door,
        root,
        RotateKey {
            place: place("p/e"),
        },
    )
    .await;
    for _ in 0..2 {
        done(door, root, RewrapKeys::of(place("p/e"))).await;
    }
    // Here the older term ends.
    let at = || place("q/e");
    done(door, root, RotateKey { place: at() }).await;
    done(door, root, RewrapKeys::of(at())).await;
    let destroy = DestroyTerm {
        place: at(),
        term: 1,
    };
    done(door, root, destroy).await;
    // Only begun: one version stays under the older term.
    done(door, root, ReencryptKeys::of(place("p/f"))).await;
    let revoked = PlainToken::parse(tokens.revoked.as_bytes()).expect("a token");
    done(
        door,
        root,
        RevokeToken {
            token: TokenNamed::Plain(revoked),
        },
    )
    .await;
    made(door, root, &["read:p/e/**"], Ttl::days(30), Some("ci")).await;
    lease(door).await;
    refresh(door).await;
    merge(door).await;
}

/// Most of the log comes to lie in merged segments; the last records stay in their batches'.
async fn merge(door: &Door) {
    let mut merger = door.merger(MERGED);
    let mut merged = 0;
    while merger.merge().await.expect("what was signed is merged") {
        merged += 1;
    }
    assert!(merged > 0, "nothing was merged");
}

async fn lease(door: &Door) {
    let take = TakeLease {
        name: "surgery",
        holder: BootId::from_bytes([3; 16]),
        ttl: Ttl::seconds(10),
        seen: None,
    };
    door.run_system("surgery", take).await.expect("a lease");
}

/// The import of the history's grant, which is begun once: asked again, it is told that it was begun.
pub fn begin_import(door: &Door) -> BeginImport {
    let text = |text: &str| Value::text(Zeroizing::new(text.to_owned()));
    let url = "https://provider.example/token";
    let grant = GivenGrant {
        client: ProviderClient {
            token_url: url.parse().expect("a URL"),
            auth: ClientAuth::Basic,
            client_id: "client".to_owned(),
            scope: None,
        },
        client_secret: Some(text("the client's secret")),
        refresh_token: text("first grant"),
    };
    let (key, fingerprint) = ("begun once".to_owned(), door.fingerprint(&[b"import"]));
    BeginImport {
        name: secret("p/e", "grant"),
        grant: Arc::new(grant),
        holder: door.holder(),
        ticket: Some(Arc::new(Ticket::new(key, fingerprint, door.request_id()))),
    }
}

/// A grant, and the first tokens it gives, as if a provider had been asked.
async fn import(door: &Door, root: &str) {
    let Begun::Now(refreshing) = done(door, root, begin_import(door)).await else {
        panic!("it is begun once");
    };
    carry_out(
        door,
        refreshing,
        ("first grant", "first token", "second grant"),
    )
    .await;
}

async fn refresh(door: &Door) {
    let intend = IntendRefresh {
        name: secret("p/e", "grant"),
        runner: door.runner(),
        wanted: Wanted::InsteadOf(1),
    };
    // Two refreshes that somebody asks for are a second apart.
    let intended = crate::support::eventually("the refresh may begin", || async {
        door.run_system("surgery", intend.clone()).await.ok()
    });
    let Intended::Attempt(refreshing) = intended.await.reply else {
        panic!("it is proven");
    };
    carry_out(
        door,
        refreshing,
        ("second grant", "second token", "third grant"),
    )
    .await;
}

/// Sends and concludes an attempt: this grant is shown, and these tokens are given.
async fn carry_out(door: &Door, refreshing: Refreshing, (shown, access, next): (&str, &str, &str)) {
    let text = |text: &str| Value::text(Zeroizing::new(text.to_owned()));
    let send = SendRefresh {
        refreshing: refreshing.clone(),
    };
    let sent = door
        .run_system("surgery", send)
        .await
        .expect("it is sent")
        .reply;
    assert_eq!(sent.refresh_token.expose(), shown.as_bytes());
    let answer = TokenAnswer {
        access_token: text(access),
        refresh_token: Some(text(next)),
        token_type: "Bearer".to_owned(),
        scope: Some("a b".to_owned()),
        lifetime: Some(Ttl::days(30)),
        lifetime_from: LifetimeSource::ExpiresIn,
    };
    let conclude = ConcludeRefresh {
        refreshing,
        sent_at: sent.sent_at,
        exchange: Arc::new(Exchange::Tokens(answer)),
    };
    let concluded = door.run_system("surgery", conclude).await;
    assert_eq!(
        concluded.expect("it is concluded").reply,
        Concluded::Refreshed
    );
}

async fn made(door: &Door, by: &str, scopes: &[&str], ttl: Ttl, app: Option<&str>) -> String {
    let create = CreateToken {
        scopes: scopes
            .iter()
            .map(|scope| scope.parse().expect("a scope"))
            .collect(),
        ttl,
        app: app.map(|name| name.parse().expect("a name")),
        orphan: false,
    };
    done(door, by, create).await.token.expose().to_owned()
}

async fn done<O: Operation>(door: &Door, by: &str, operation: O) -> O::Reply {
    match run(door, by, operation).await {
        Ok(reply) => reply,
        Err(refusal) => panic!("history is refused: {refusal:?}"),
    }
}

/// Runs an operation as a token.
pub async fn run<O: Operation>(door: &Door, by: &str, operation: O) -> Result<O::Reply, Refusal> {
    let request = Request {
        credential: Credential::Token(PlainToken::parse(by.as_bytes()).expect("a token")),
        id: door.request_id(),
        source: None,
        user_agent: None,
        metadata: None,
    };
    door.run(request, operation)
        .await
        .map(|answer| answer.reply)
}

pub fn place(text: &str) -> EnvironmentName {
    let (project, environment) = text.split_once('/').expect("two parts");
    EnvironmentName {
        project: project.parse().expect("a name"),
        environment: environment.parse().expect("a name"),
    }
}

pub fn secret(within: &str, path: &str) -> SecretName {
    SecretName {
        place: place(within),
        path: path.parse().expect("a path"),
    }
}

/// Writes a secret of one field, `value`.
pub fn write(within: &str, path: &str, value: &str) -> WriteSecret {
    let value = Value::text(Zeroizing::new(value.to_owned()));
    WriteSecret {
        name: secret(within, path),
        mode: Mode::Merge,
        fields: vec![("value".parse().expect("a field"), Some(value))],
        generate: Vec::new(),
        expected: Expected::Any,
    }
}
