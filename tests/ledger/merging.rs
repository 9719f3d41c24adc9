//! A node is killed while it merges the segments of its log, and started again: every record is there once.

use super::load::{Load, holds};
use crate::support::cluster::{Cluster, Start, on_both};

const CLIENTS: usize = 4;

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
}
