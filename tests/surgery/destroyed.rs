//! The key of a destroyed term is put back, alone and with a version that it opened: `check` names both, no server believes
//! either.
//!
//! Invariant: what a destroyed term wrapped is not served, though its owner's document still names it by id and digest.

use std::collections::BTreeSet;

use coffer::model::Refusal;
use coffer::operations::keys::{DestroyTerm, ListKeys, RewrapKeys, RotateKey, TermState};
use coffer::operations::places::{CreateEnvironment, CreateProject};
use coffer::operations::secrets::{ReadReply, ReadSecret, Which};
use coffer::store::Engine;

use super::ground::Ground;
use super::history::{place, run, secret, write};
use super::rows::{Knife, Row};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    put_back(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    put_back(Engine::Postgres).await;
}

async fn put_back(engine: Engine) {
    let ground = Ground::new(engine).await;
    let root = ground.found().await;
    let root = root.as_str();
    let at = || place("p/e");
    let door = ground.open("one").await;
    let name = "p".parse().expect("a name");
    let made = run(&door, root, CreateProject { name }).await;
    made.expect("a project");
    let made = run(&door, root, CreateEnvironment { name: at() }).await;
    made.expect("an environment");
    let written = run(&door, root, write("p/e", "api", "the value")).await;
    written.expect("a secret");
    let rotated = run(&door, root, RotateKey { place: at() }).await;
    rotated.expect("a new term");
    let (tables, then) = ground.look().await;
    run(&door, root, RewrapKeys::of(at()))
        .await
        .expect("it is moved");
    let destroy = DestroyTerm {
        place: at(),
        term: 1,
    };
    run(&door, root, destroy).await.expect("it is destroyed");
    door.close().await;
    drop(door);
    let (_, now) = ground.look().await;

    let lost = |name: &str| -> (Vec<Row>, Vec<Row>) {
        let set = |rows: &Vec<Row>| rows.iter().cloned().collect::<BTreeSet<_>>();
        let (then, now) = (set(&then[name]), set(&now[name]));
        let older = then.difference(&now).cloned().collect();
        (now.difference(&then).cloned().collect(), older)
    };
    let (newer, keys) = lost("wrapped_key");
    assert_eq!((newer.len(), keys.len()), (0, 1), "one key is gone");
    // An older key, and what is no key at all: neither is in the way of what lives.
    let mut junk = keys.clone();
    if let Some(super::rows::Cell::Bytes(wrapped)) = junk[0].last_mut() {
        wrapped.truncate(7);
    }
    for key in [keys.clone(), junk] {
        replace(&ground, &tables, "wrapped_key", (&[], &key)).await;
        let lines = check(&ground).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("wrapped key environment 1 of "),
            "{lines:?}"
        );
        assert_eq!(read(&ground, root).await.as_deref(), Ok("the value"));
        replace(&ground, &tables, "wrapped_key", (&key, &[])).await;
    }
    let (moved, old) = lost("version");
    assert_eq!((moved.len(), old.len()), (1, 1), "one version was moved");
    replace(&ground, &tables, "wrapped_key", (&[], &keys)).await;
    replace(&ground, &tables, "version", (&moved, &old)).await;
    let lines = check(&ground).await;
    for row in ["wrapped key environment 1 of ", "version "] {
        assert!(lines.iter().any(|line| line.starts_with(row)), "{lines:?}");
    }
    assert_eq!(read(&ground, root).await, Err(Refusal::Tampered));
}

async fn replace(
    ground: &Ground,
    tables: &[super::rows::Table],
    name: &str,
    (gone, put): (&[Row], &[Row]),
) {
    let table = tables.iter().find(|table| table.name == name);
    let mut knife = Knife::at(ground.url()).await;
    let replaced = knife.replace(table.expect("a table"), gone, put).await;
    replaced.expect("the database takes it");
    knife.close().await;
}

async fn check(ground: &Ground) -> Vec<String> {
    let store = ground.store(ground.url()).await;
    let lines = ground.check(&store).await;
    store.close().await;
    lines
}

/// What a server started anew serves; it says that the term is destroyed, whatever is there.
async fn read(ground: &Ground, root: &str) -> Result<String, Refusal> {
    let door = ground.open("one").await;
    let census = run(
        &door,
        root,
        ListKeys {
            place: place("p/e"),
        },
    )
    .await;
    let census = census.expect("the environment opens");
    assert_eq!(census.terms[0].state, TermState::Destroyed);
    let read = ReadSecret {
        name: secret("p/e", "api"),
        which: Which::Current,
        fields: None,
        if_none_match: Vec::new(),
    };
    let read = run(&door, root, read).await;
    door.close().await;
    let found = match read? {
        ReadReply::Found(found) => found,
        ReadReply::NotModified(_) => panic!("nothing was there already"),
    };
    let name = "value".parse().expect("a field");
    let field = found.fields.find(&name).expect("the field");
    Ok(String::from_utf8(field.expose().to_vec()).expect("text"))
}
