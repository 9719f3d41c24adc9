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
use crate::support::vault::{TestVault, both_engines};

const REFUSED: &str = "coffer_log_merges_total{outcome=\"refused\"}";

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

both_engines! {
    /// What a node has stored itself it merges from memory: what is altered in the store meanwhile has no part in it.
    async fn what_was_altered_while_it_waited_has_no_part(v: TestVault) {
        let stored = reads(&v).await;
        let altered = with_sealed(&stored[9], |sealed| *sealed.last_mut().expect("a byte") ^= 1);
        put(&v, &stored[9], &altered).await;
        assert!(v.merge(4).await > 1);
        let metrics = v.metrics().await;
        assert_eq!(metrics.value(REFUSED), 0.0);
        v.verify().await;
        let (_, said) = v.check().await;
        assert_eq!(said, Vec::<String>::new());
    }

    /// Another segment than the one that was stored is not deleted: it may be what retention left of it.
    async fn what_was_put_in_its_place_is_not_deleted(v: TestVault) {
        let stored = reads(&v).await;
        let Cell::Bytes(other) = &stored[0][SEALED] else { panic!("no bytes") };
        let altered = with_sealed(&stored[9], |sealed| sealed.clone_from(other));
        put(&v, &stored[9], &altered).await;
        v.merge(4).await;
        assert_eq!(v.metrics().await.value(REFUSED), 1.0);
        assert!(segments(&v).await.contains(&altered), "it is left where it is");
        put(&v, &altered, &stored[9]).await;
        v.verify().await;
        let (_, said) = v.check().await;
        assert_eq!(said, Vec::<String>::new());
    }
}

/// Where a row of `segment` has its sealed records.
const SEALED: usize = 5;

/// A dozen reads, each in a segment of its own, behind what is merged; all segments there are then.
async fn reads(v: &TestVault) -> Vec<Row> {
    v.set("payments/prod/stripe", "a", "1").await;
    assert!(v.merge(4).await > 0, "what the cluster was founded with");
    for _ in 0..12 {
        let read = v.get("/secrets/payments/prod/stripe", &v.root).await;
        read.is(200);
    }
    segments(v).await
}

async fn segments(v: &TestVault) -> Vec<Row> {
    let mut knife = Knife::at(v.url()).await;
    let tables = knife.tables().await;
    let mut rows = knife.rows(&tables).await;
    knife.close().await;
    rows.remove("segment").expect("the table")
}

async fn put(v: &TestVault, gone: &Row, put: &Row) {
    let mut knife = Knife::at(v.url()).await;
    let tables = knife.tables().await;
    let table = tables.iter().find(|table| table.name == "segment");
    let table = table.expect("the table");
    assert_eq!(table.columns[SEALED].name, "sealed");
    let gone = std::slice::from_ref(gone);
    let put = std::slice::from_ref(put);
    let done = knife.replace(table, gone, put).await;
    done.expect("it can be done");
    knife.close().await;
}

fn with_sealed(row: &Row, alter: impl FnOnce(&mut Vec<u8>)) -> Row {
    let mut altered = row.clone();
    let Cell::Bytes(sealed) = &mut altered[SEALED] else {
        panic!("no bytes")
    };
    alter(sealed);
    altered
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
