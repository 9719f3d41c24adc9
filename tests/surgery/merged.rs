//! A merged segment and the batches' own that it stands for: the same records, so either is the whole truth, and any
//! mixture of both is not.
//!
//! Invariant: what was put back is merged again as if nothing had been.

use coffer::metrics::{Format, Now};
use coffer::store::Engine;

use super::ground::PATIENCE;
use super::history::History;
use super::questions::ask_all;
use super::rows::{Cell, Knife, Row, Table};
use super::truth::assert_true;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    put_back_from_before(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    put_back_from_before(Engine::Postgres).await;
}

async fn put_back_from_before(engine: Engine) {
    let mut history = History::new(engine).await;
    let mut tables = history.tables.iter();
    let table = tables.find(|table| table.name == "segment").expect("it");
    let table = table.clone();
    let (merged, parts) = merged_from(&history, &table);

    let lines = told(
        &mut history,
        &table,
        std::slice::from_ref(&merged),
        &parts,
        true,
    )
    .await;
    assert_eq!(lines, Vec::<String>::new(), "they are the same records");
    for left_out in [0, parts.len() / 2, parts.len() - 1] {
        let mut some = parts.clone();
        let gone = some.remove(left_out);
        let lines = told(
            &mut history,
            &table,
            std::slice::from_ref(&merged),
            &some,
            false,
        )
        .await;
        assert!(
            lines.iter().any(|line| line.starts_with("segment")),
            "without {:?}: {lines:?}",
            table.key_of(&gone)
        );
    }
    // Beside the merged one: but for the first, whose place it has.
    let lines = told(&mut history, &table, &[], &parts[1..], false).await;
    assert!(
        lines.iter().any(|line| line.contains("another one holds")),
        "{lines:?}"
    );
}

/// A merged segment of the node's, and those that it was made from.
fn merged_from(history: &History, table: &Table) -> (Row, Vec<Row>) {
    let range = |row: &Row| {
        let number = |name: &str| {
            let at = table.columns.iter().position(|column| column.name == name);
            match row[at.expect("the column")] {
                Cell::Number(number) => number,
                _ => panic!("{name} is no number"),
            }
        };
        (
            row[0].clone(),
            number("first"),
            number("first") + number("count"),
        )
    };
    let then = &history.then["segment"];
    let found = history.now["segment"].iter().find_map(|merged| {
        let (stream, first, end) = range(merged);
        let parts = then.iter().filter(|part| {
            let (other, begin, _) = range(part);
            other == stream && (first..end).contains(&begin)
        });
        let parts: Vec<Row> = parts.cloned().collect();
        let whole = parts.len() > 2 && range(parts.last()?).2 == end;
        whole.then(|| (merged.clone(), parts))
    });
    found.expect("one was merged from what was there in the middle")
}

/// What `check` says of the ground with these rows taken away and those put. If it is `whole`, a door tells everything
/// there, merges what is to be merged, and leaves it whole.
async fn told(
    history: &mut History,
    table: &Table,
    gone: &[Row],
    put: &[Row],
    whole: bool,
) -> Vec<String> {
    let copy = history.ground.copy();
    let mut knife = Knife::at(&copy.url).await;
    let done = knife.replace(table, gone, put).await;
    done.expect("it can be done");
    knife.close().await;
    let store = history.ground.store(&copy.url).await;
    let lines = history.ground.check(&store).await;
    let opened = history.ground.open_copy(store, &copy, PATIENCE).await;
    let door = opened.expect("the last segment is there");
    let answers = ask_all(&door, &history.tokens).await;
    if whole {
        assert_true(&answers);
        let mut merger = door.merger(8);
        assert!(merger.merge().await.expect("it was signed"));
        while merger.merge().await.expect("it was signed") {}
    }
    door.close().await;
    drop(door);
    if whole {
        let told = history
            .ground
            .metrics
            .write(&Now::default(), Format::Prometheus);
        let none = "coffer_log_merges_total{outcome=\"refused\"} 0\n";
        assert!(told.contains(none), "{told}");
        let store = history.ground.store(&copy.url).await;
        assert_eq!(history.ground.check(&store).await, Vec::<String>::new());
        store.close().await;
    }
    history.ground.undo(&history.tables, copy).await;
    lines
}
