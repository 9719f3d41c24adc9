//! The end of a log cut off, where it holds what changed nothing, and a log put into the place of another history's: its
//! head is signed, and no change is missing. The node itself and the anchors of other streams know better, and `check` asks
//! them.
//!
//! Invariant: of what was acknowledged nothing is gone unnoticed, while anybody is left who knew of it.

use std::path::Path;

use coffer::operations::secrets::{ReadSecret, Which};
use coffer::store::Engine;

use super::ground::Ground;
use super::history::{run, secret, write};
use super::rows::{Cell, Rows, Table};
use super::turned_back::{begun, set};

/// What a node keeps outside of the database.
const STATE: [&str; 3] = ["node", "boot", "head"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    cut_off(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    cut_off(Engine::Postgres).await;
}

async fn cut_off(engine: Engine) {
    let (ground, root, door) = begun(engine).await;
    let written = run(&door, &root, write("p/e", "api", "first")).await;
    written.expect("a secret");
    door.close().await;
    drop(door);
    let (tables, before) = ground.look().await;
    let state = STATE.map(|name| ground.path("one.state").join(name));
    let kept = state
        .each_ref()
        .map(|file| std::fs::read(file).expect("a state file"));
    reads(&ground, &root, 3).await;
    let (_, now) = ground.look().await;
    let [(id, less)] = &heads(&tables, &before)[..] else {
        panic!("one stream")
    };
    let (_, more) = heads(&tables, &now)[0];
    let (one, less) = (uuid(id), *less);

    // The end of it is gone.
    set(&ground, &tables, &now, &before, &["stream", "segment"]).await;
    let said =
        format!("stream {one}: it has {less} records, and the state directory tells of {more}");
    let mine = ground.path("one.state");
    assert_eq!(lines(&ground, Some(&mine)).await, [said]);
    assert_eq!(lines(&ground, None).await, [""; 0], "nobody else was told");

    // Another node has begun its stream with the heads of all.
    set(&ground, &tables, &now, &now, &[]).await;
    let door = ground.open("two").await;
    door.close().await;
    drop(door);
    let (_, later) = ground.look().await;
    let two = heads(&tables, &later)
        .into_iter()
        .find_map(|(other, _)| (other != *id).then(|| uuid(&other)))
        .expect("a second stream");
    assert_eq!(lines(&ground, None).await, [""; 0]);
    with_stream(&ground, &tables, &later, &before, id).await;
    let said = format!("stream {one}: it has {less} records, and stream {two} tells of {more}");
    assert_eq!(lines(&ground, None).await, [said]);

    // A history that is given up, and longer.
    for (file, bytes) in state.iter().zip(&kept) {
        std::fs::write(file, bytes).expect("a state file");
    }
    set(&ground, &tables, &before, &before, &[]).await;
    reads(&ground, &root, 7).await;
    let (_, forked) = ground.look().await;
    assert!(heads(&tables, &forked)[0].1 > more);
    assert_eq!(lines(&ground, Some(&mine)).await, [""; 0]);
    with_stream(&ground, &tables, &later, &forked, id).await;
    let said = format!("stream {one}: with {more} records it was another, as stream {two} tells");
    assert_eq!(lines(&ground, None).await, [said]);

    // And the whole of the database is an older one.
    let theirs = ground.path("two.state");
    set(&ground, &tables, &now, &now, &[]).await;
    assert_eq!(lines(&ground, None).await, [""; 0]);
    let said = lines(&ground, Some(&theirs)).await;
    let gone = format!("stream {two}: it is gone, and the state directory tells of it");
    assert_eq!(said, [gone]);
    std::fs::write(theirs.join("head"), "no head").expect("a state file");
    let said = lines(&ground, Some(&theirs)).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("state directory: "), "{said:?}");
}

/// A run of the node `one` that only reads.
async fn reads(ground: &Ground, root: &str, count: usize) {
    let door = ground.open("one").await;
    for _ in 0..count {
        let read = ReadSecret {
            name: secret("p/e", "api"),
            which: Which::Current,
            fields: None,
            if_none_match: Vec::new(),
        };
        run(&door, root, read).await.expect("it is there");
    }
    door.close().await;
}

/// All rows as they are `now`, but for those of one stream, which are those of another state.
async fn with_stream(ground: &Ground, tables: &[Table], now: &Rows, other: &Rows, id: &Cell) {
    let mut rows = now.clone();
    for (table, column) in [("stream", "id"), ("segment", "stream")] {
        let at = place(tables, table, column);
        let theirs = now[table].iter().filter(|row| row[at] != *id);
        let its = other[table].iter().filter(|row| row[at] == *id);
        rows.insert(table.to_owned(), theirs.chain(its).cloned().collect());
    }
    set(ground, tables, &rows, &rows, &[]).await;
}

/// The streams, and how many records each has.
fn heads(tables: &[Table], rows: &Rows) -> Vec<(Cell, i64)> {
    let (id, size) = (
        place(tables, "stream", "id"),
        place(tables, "stream", "size"),
    );
    let head = |row: &Vec<Cell>| match &row[size] {
        Cell::Number(size) => (row[id].clone(), *size),
        other => panic!("{other:?} is no number"),
    };
    rows["stream"].iter().map(head).collect()
}

fn place(tables: &[Table], table: &str, column: &str) -> usize {
    let table = tables.iter().find(|known| known.name == table);
    let mut columns = table.expect("a table").columns.iter();
    columns
        .position(|known| known.name == column)
        .expect("a column")
}

fn uuid(id: &Cell) -> String {
    let Cell::Bytes(bytes) = id else {
        panic!("{id:?} is no id")
    };
    let id = <[u8; 16]>::try_from(&bytes[..]).expect("an id");
    coffer::model::StreamId::from_bytes(id).to_string()
}

async fn lines(ground: &Ground, state: Option<&Path>) -> Vec<String> {
    let store = ground.store(ground.url()).await;
    let lines = ground.check_beside(&store, state).await;
    store.close().await;
    lines
}
