//! Advisories G1 to G5, G8 and G9: every secret of a run of the built server, at its most talkative, and every key that it
//! holds are looked for in what it logged, stored, answered and exported, in every spelling in which others have found theirs.
//!
//! Invariant: the scan finds a text that is there to be seen; otherwise it would prove nothing.

mod memory;
mod song;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coffer::store::Engine;
use reqwest::Method;
use serde_json::json;
use song::sing;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::leaks::files;
use crate::support;
use crate::support::built::{Built, Opened, PASSPHRASE, Place};
use crate::support::canary::{Canary, Search};
use crate::support::client::{Client, Token};
use crate::support::provider::{Fault, Provider};

/// What a scan has found, and where it looked.
fn assert_nowhere(canaries: &[Canary], places: &[(String, Vec<u8>)]) {
    let search = Search::of(canaries);
    for (place, bytes) in places {
        let found = search.find(bytes);
        assert!(found.is_empty(), "in {place}: {found:?}");
    }
}

/// Everything that is stored: the database's files, or each row of each table as text.
async fn stored(place: &Place, engine: Engine) -> Vec<(String, Vec<u8>)> {
    if engine == Engine::Sqlite {
        return Vec::new();
    }
    let mut connection = PgConnection::connect(place.database())
        .await
        .expect("PostgreSQL answers");
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut connection)
            .await
            .expect("there are tables");
    assert!(tables.len() > 5, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let rows = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(rows)
            .fetch_all(&mut connection)
            .await
            .expect("it is read");
        found.push((table, rows.join("\n").into_bytes()));
    }
    found
}

/// Every key that a server holds now, from the pages that are locked for keys.
fn keys(server: &Built) -> Vec<Canary> {
    let keys = support::memory::keys(server.id()).into_iter();
    keys.map(|key| Canary::of("a key of the server's", key))
        .collect()
}

/// The scan would find this key in a file of the folder, however it is spelt there.
fn is_found_in_a_file(folder: &Path, key: &Canary) {
    let search = Search::of([key]);
    let hex: String = key.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    for spelt in [
        key.bytes.clone(),
        hex.into_bytes(),
        STANDARD.encode(&key.bytes).into_bytes(),
    ] {
        let path = folder.join("planted");
        std::fs::write(&path, [b"before ", &spelt[..], b" behind"].concat()).expect("a file");
        let found = contents(folder);
        let found = found.iter().filter(|(_, bytes)| search.is_in(bytes));
        let found: Vec<&String> = found.map(|(name, _)| name).collect();
        assert_eq!(found, [&path.display().to_string()], "and nowhere else");
        std::fs::remove_file(path).expect("it goes");
    }
}

/// What is in the files of a folder.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = files(folder).into_iter().filter(|path| path.is_file());
    let read = files.map(|path| {
        let bytes = std::fs::read(&path).expect("it is read");
        (path.display().to_string(), bytes)
    });
    read.collect()
}

/// A grant is imported, refreshed, refused and lost; what it gives is read by who may.
async fn refresh(server: &Client, root: &Token, provider: &Provider) {
    let at = |name: &str| format!("/connections/shop/dev/{name}");
    let grant = provider.grant();
    server
        .post(&at("github"), grant.import(), root)
        .await
        .is(201);
    let fresh = format!("{}/token?min_ttl=3600", at("github"));
    let token = server.get(&fresh, root).await.is(200).json();
    let token = token["access_token"].as_str().expect("a token");
    assert!(provider.accepts(token) && provider.refreshes() == 2);
    for fault in [
        Fault::InvalidGrant,
        Fault::Html,
        Fault::DropAfter,
        Fault::InvalidClient,
    ] {
        provider.arm(fault, 1);
        let refused = server.post(&at("other"), provider.grant().import(), root);
        assert_eq!(refused.await.status(), 409);
    }
}

async fn canaries_are_found_nowhere(engine: Engine) {
    let place = Place::found(engine).await;
    let server = place.serve("one", Opened::ByHand).await;
    place.unseal("one");
    support::eventually("the server is ready", || async {
        (server.open(Method::GET, "/health/ready").await.status() == 204).then_some(())
    })
    .await;
    let body = json!({ "scopes": ["read:shop/**"], "ttl": 3600 });
    let made = server
        .post("/tokens", body, &place.root)
        .await
        .is(201)
        .json();
    let member = |key: &str| made[key].as_str().expect("text").to_owned();
    let token = Token {
        text: member("token"),
        id: member("id"),
    };
    let few = keys(&server);
    let mut canaries = song::canaries();
    let answers = sing(&server, &place.root, &canaries, &token).await;
    server.get("/secrets/shop/dev/stripe", &token).await.is(200);
    let provider = Provider::start().await;
    refresh(&server, &place.root, &provider).await;
    let given = provider.secrets().into_iter();
    canaries.extend(given.map(|text| Canary::of("a provider's secret", text)));
    assert!(
        canaries.len() > 8 + 5,
        "a grant, its client's secret, and the tokens of two refreshes"
    );

    canaries.push(Canary::of("the first token", place.root.digits()));
    canaries.push(Canary::of("a token", token.digits()));
    canaries.push(Canary::of("the passphrase", PASSPHRASE));
    let agent = Canary::new("what may be seen", 99);
    server
        .get("/tokens/self", &token)
        .header("user-agent", agent.text())
        .await
        .is(200);

    let mut places = answers;
    let export = server.get("/audit/export", &place.root).await.is(200);
    let seen = Search::of([&agent]).is_in(export.bytes());
    assert!(seen, "the scan sees what is there");
    places.push(("the export".to_owned(), export.bytes().to_vec()));
    for path in [
        "/audit/bundle",
        "/audit/records?limit=1000",
        "/tokens",
        "/tokens/self",
        "/status",
        "/history/shop/dev/stripe",
        "/secrets/shop/dev",
        "/connections/shop/dev",
        "/keys/shop/dev",
    ] {
        places.push((
            path.to_owned(),
            server.get(path, &place.root).await.is(200).bytes().to_vec(),
        ));
    }
    let counted = server.metrics().await.text;
    assert!(counted.contains("route=\"/secrets/{project}/{environment}/{*path}\""));
    places.push(("the metrics".to_owned(), counted.into_bytes()));
    // While it runs, with what is only in the write-ahead log yet.
    places.extend(stored(&place, engine).await);
    places.extend(contents(server.folder()));
    let many = keys(&server);
    assert!(
        few.len() > 5 && many.len() > few.len(),
        "the root key and six below it; then an environment's and what is derived: {}, {}",
        few.len(),
        many.len()
    );
    is_found_in_a_file(server.folder(), &many[0]);
    canaries.extend(few.into_iter().chain(many));
    let (id, folder) = (server.id(), server.folder().to_owned());
    for name in ["cmdline", "environ"] {
        if let Ok(bytes) = std::fs::read(format!("/proc/{id}/{name}")) {
            places.push((name.to_owned(), bytes));
        }
    }
    server.stop().await;
    let left = contents(&folder).into_iter();
    places.extend(left.map(|(path, bytes)| (format!("{path} after the stop"), bytes)));
    let log = place.logs();
    assert!(
        log.lines().count() > 50
            && log.contains(r#""level":"DEBUG""#)
            && log.contains(r#""message":"refused""#),
        "it has talked"
    );
    places.push(("the server's log".to_owned(), log.into_bytes()));
    if engine == Engine::Sqlite {
        assert!(
            places
                .iter()
                .any(|(name, bytes)| name.ends_with("coffer.db-wal") && !bytes.is_empty())
        );
    }
    assert_nowhere(&canaries, &places);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_g01_canaries_on_sqlite() {
    canaries_are_found_nowhere(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_g01_canaries_on_postgres() {
    canaries_are_found_nowhere(Engine::Postgres).await;
}
