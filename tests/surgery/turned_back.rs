//! The change sequence set back, world and notes together, so that it agrees with itself: numbers of changes would be given
//! twice, and the log's last word on a row would be one from before. Or put forward, to where another history of the same
//! cluster stood: it would tell of changes that have no record. `check` names both at once, and for ever after.
//!
//! Invariant: no row is the log's last word because an older change has the higher number.

use coffer::door::Door;
use coffer::operations::places::{CreateEnvironment, CreateProject};
use coffer::store::Engine;

use super::ground::Ground;
use super::history::{place, run, write};
use super::rows::{Knife, Rows, Table};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    turned_back(Engine::Sqlite).await;
    put_forward(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    turned_back(Engine::Postgres).await;
    put_forward(Engine::Postgres).await;
}

async fn turned_back(engine: Engine) {
    let (ground, root, door) = begun(engine).await;
    let (tables, before) = ground.look().await;
    for (path, value) in [("other", "any"), ("api", "second")] {
        let written = run(&door, &root, write("p/e", path, value)).await;
        written.expect("a secret");
    }
    door.close().await;
    drop(door);
    let (_, second) = ground.look().await;
    set(&ground, &tables, &second, &before, &["world", "note"]).await;
    assert!(names(&ground, "world: ").await, "it is set back");

    // This change has the number that the first of the two had; the word on what it writes is the second's.
    let door = ground.open("one").await;
    let written = run(&door, &root, write("p/e", "api", "third")).await;
    written.expect("it goes on");
    door.close().await;
    drop(door);
    let (_, third) = ground.look().await;
    set(&ground, &tables, &third, &second, &["document", "version"]).await;
    assert!(names(&ground, "segment ").await, "the third write is gone");

    // And now the world stands where it stood.
    set(&ground, &tables, &third, &third, &[]).await;
    let door = ground.open("one").await;
    for at in 0..4 {
        let written = run(&door, &root, write("p/e", "more", &at.to_string())).await;
        written.expect("a secret");
    }
    door.close().await;
    drop(door);
    assert!(names(&ground, "segment ").await, "it was set back once");
}

async fn put_forward(engine: Engine) {
    let (ground, root, door) = begun(engine).await;
    door.close().await;
    drop(door);
    let (tables, now) = ground.look().await;
    let state = ["node", "boot", "head"].map(|name| ground.path("one.state").join(name));
    let kept = state
        .each_ref()
        .map(|file| std::fs::read(file).expect("a state file"));

    // A history that is given up: the database and the state directory are set back to before it.
    let door = ground.open("one").await;
    for path in ["other", "api"] {
        let written = run(&door, &root, write("p/e", path, "any")).await;
        written.expect("a secret");
    }
    door.close().await;
    drop(door);
    let (_, given_up) = ground.look().await;
    for (file, bytes) in state.iter().zip(&kept) {
        std::fs::write(file, bytes).expect("a state file");
    }
    set(&ground, &tables, &now, &now, &[]).await;
    assert_eq!(lines(&ground).await, [""; 0], "it is as it was");
    set(&ground, &tables, &now, &given_up, &["world", "note"]).await;
    assert!(
        names(&ground, "world: ").await,
        "it tells of what is not recorded"
    );

    // It is gone on with, and the world stands at the log's last change.
    let door = ground.open("one").await;
    let written = run(&door, &root, write("p/e", "api", "third")).await;
    written.expect("it goes on");
    door.close().await;
    drop(door);
    assert!(names(&ground, "change ").await, "no record tells of it");
}

/// A ground with an environment, its first token, and a door.
pub async fn begun(engine: Engine) -> (Ground, String, Door) {
    let ground = Ground::new(engine).await;
    let root = ground.found().await;
    let door = ground.open("one").await;
    let name = "p".parse().expect("a name");
    let made = run(&door, &root, CreateProject { name }).await;
    made.expect("a project");
    let made = run(&door, &root, CreateEnvironment { name: place("p/e") });
    made.await.expect("an environment");
    (ground, root, door)
}

/// All rows as they are `now`, but for these tables, which are as they were.
pub async fn set(ground: &Ground, tables: &[Table], now: &Rows, then: &Rows, names: &[&str]) {
    let mut rows = now.clone();
    for name in names {
        rows.insert((*name).to_owned(), then[*name].clone());
    }
    let mut knife = Knife::at(ground.url()).await;
    knife.set(tables, &rows).await.expect("it can be set back");
    knife.close().await;
}

/// Whether a line of `check` begins so.
async fn names(ground: &Ground, with: &str) -> bool {
    lines(ground)
        .await
        .iter()
        .any(|line| line.starts_with(with))
}

async fn lines(ground: &Ground) -> Vec<String> {
    let store = ground.store(ground.url()).await;
    let lines = ground.check(&store).await;
    store.close().await;
    lines
}
