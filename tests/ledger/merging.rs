//! A node is killed while it merges the segments of its log, and started again: every record is there once. And what one
//! who may write to the database has put into a segment's place is not merged with true ones.

use std::collections::BTreeSet;

use super::load::{Load, holds};
use crate::support::cluster::{Cluster, Start, on_both};
use crate::support::eventually;
use crate::support::node::Node;
use crate::surgery::rows::{Cell, Knife, Row, Rows, Table};

const CLIENTS: usize = 4;
/// Writes of each history: more than go into one merged segment, each in a segment of its own.
const WRITES: usize = 24;
const MERGED: &str = "coffer_log_merges_total{outcome=\"merged\"}";
const REFUSED: &str = "coffer_log_merges_total{outcome=\"refused\"}";
/// What the server says of it.
const SENTENCE: &str = "is not what was signed";

on_both! {
    async fn killed_while_segments_are_merged(engine: Engine) {
        let cluster = Cluster::new(engine).await;
        let small = Start { points: "small segments=plant", ..Start::default() };
        let a = cluster.start_with("a", small.clone()).await;
        cluster.place(&a, "payments/prod").await;
        a.arm("merged=kill");
        let load = Load::start(&cluster, &a, "k", CLIENTS);
        let ended = a.ended().await;
        assert_eq!(ended.code, None, "{ended:?}");
        a.met("merged").await;
        let (told, written) = load.end().await;
        let a = cluster.start_with("a", small).await;
        holds(&cluster, &a, &told, &written).await;
        a.arm("merged=plant");
        a.met("merged").await;
        told.is_in(&cluster.bundle(&a).await);
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }

    /// A segment that was signed once, and is not of the history that the node has signed since.
    async fn a_segment_of_another_history_is_not_merged(engine: Engine) {
        let cluster = Cluster::new(engine).await;
        let a = cluster.start("a").await;
        cluster.place(&a, "payments/prod").await;
        let fork = Fork::here(&cluster, a).await;
        let other = fork.grow("other").await;
        fork.go_back().await;
        let own = fork.grow("own").await;
        let (planted, true_one) = fork.same_place(&other, &own);
        fork.put(&true_one, &planted).await;

        let small = Start { points: "small segments=plant", ..Start::default() };
        let a = cluster.start_with("a", small.clone()).await;
        counts(&a, REFUSED, 1.0).await;
        write(&cluster, &a, "later").await;
        counts(&a, MERGED, 1.0).await;
        assert_eq!(a.metrics().await.value(REFUSED), 1.0);
        assert_eq!(a.times_said(SENTENCE), 1);
        assert_eq!(a.end().await.code, Some(0));
        assert!(fork.segments().await.contains(&planted), "it is left where it is");
        let checked = cluster.run("a", &["check"]).await;
        assert_eq!(checked.status.code(), Some(6));
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(said.contains("its records do not lead to its signed head"), "{said}");

        fork.put(&planted, &true_one).await;
        cluster.check().await;
        let a = cluster.start_with("a", small.clone()).await;
        counts(&a, MERGED, 1.0).await;
        assert_eq!(a.metrics().await.value(REFUSED), 0.0);
        assert_eq!(a.end().await.code, Some(0));
        assert!(!fork.segments().await.contains(&true_one), "it is merged");
        cluster.check().await;

        // Where merging begins after a start, the tree has to be read again.
        let a = cluster.start_with("a", small).await;
        write(&cluster, &a, "latest").await;
        counts(&a, MERGED, 1.0).await;
        assert_eq!(a.metrics().await.value(REFUSED), 0.0);
        assert_eq!(a.end().await.code, Some(0));
        cluster.check().await;
    }
}

/// Waits until a counter stands at a number, or has passed it.
async fn counts(node: &Node, series: &str, wanted: f64) {
    let seen = || async { (node.metrics().await.value(series) >= wanted).then_some(()) };
    eventually(series, seen).await;
}

async fn write(cluster: &Cluster, node: &Node, name: &str) {
    for at in 0..WRITES {
        let secret = format!("payments/prod/{name}-{at}");
        cluster.set(node, &secret, format!("{name} {at}")).await;
    }
}

/// A point of a cluster's history from which it went on in more than one way.
struct Fork<'a> {
    cluster: &'a Cluster,
    tables: Vec<Table>,
    rows: Rows,
}

impl<'a> Fork<'a> {
    async fn here(cluster: &'a Cluster, a: Node) -> Self {
        assert_eq!(a.end().await.code, Some(0));
        let mut knife = Knife::at(&cluster.database_url()).await;
        let tables = knife.tables().await;
        let rows = knife.rows(&tables).await;
        knife.close().await;
        cluster.keep_state("a", "fork");
        Self {
            cluster,
            tables,
            rows,
        }
    }

    /// Goes on from here; the segments there are then.
    async fn grow(&self, name: &str) -> Vec<Row> {
        let a = self.cluster.start("a").await;
        write(self.cluster, &a, name).await;
        assert_eq!(a.end().await.code, Some(0));
        self.segments().await
    }

    async fn go_back(&self) {
        let mut knife = Knife::at(&self.cluster.database_url()).await;
        let set = knife.set(&self.tables, &self.rows).await;
        set.expect("it can be set back");
        knife.close().await;
        self.cluster.put_state_back("a", "fork");
    }

    fn table(&self) -> &Table {
        let mut tables = self.tables.iter();
        tables.find(|table| table.name == "segment").expect("it")
    }

    async fn segments(&self) -> Vec<Row> {
        let mut knife = Knife::at(&self.cluster.database_url()).await;
        let mut rows = knife.rows(&self.tables).await;
        knife.close().await;
        rows.remove("segment").expect("the table")
    }

    async fn put(&self, gone: &Row, put: &Row) {
        let mut knife = Knife::at(&self.cluster.database_url()).await;
        let (gone, put) = ([gone.clone()], [put.clone()]);
        let put = knife.replace(self.table(), &gone, &put).await;
        put.expect("a segment can be put there");
        knife.close().await;
    }

    /// A segment of each history: of the same place and as many records, and behind the fork.
    fn same_place(&self, other: &[Row], own: &[Row]) -> (Row, Row) {
        let before: BTreeSet<&Row> = self.rows["segment"].iter().collect();
        let place = |row: &Row| -> Vec<Cell> { self.place(row).collect() };
        let twins = other.iter().filter(|row| !before.contains(row));
        let mut twins = twins.filter_map(|row| {
            let twin = own.iter().find(|own| place(own) == place(row))?;
            Some((row.clone(), twin.clone()))
        });
        let (planted, true_one) = twins.nth(WRITES / 2).expect("each has so many");
        assert_ne!(planted, true_one);
        (planted, true_one)
    }

    fn place(&self, row: &Row) -> impl Iterator<Item = Cell> {
        let columns = self.table().columns.iter().zip(row.clone());
        let place = columns.filter(|(column, _)| column.key || column.name == "count");
        place.map(|(_, cell)| cell)
    }
}
