//! Another history of a store: what it was once is kept beside it, and put back while nodes run.
//! A writer of the database stands for a failover, a pooler or a backup.

use super::cluster::Cluster;

/// Where the change sequence stands.
pub const SEQ: &str = "SELECT seq FROM world";
const TABLES: [&str; 7] = [
    "world",
    "note",
    "document",
    "version",
    "wrapped_key",
    "stream",
    "segment",
];

/// Keeps the whole store as it is.
pub async fn keep(cluster: &Cluster) {
    let copies = TABLES.map(|table| format!("CREATE TABLE old.{table} AS TABLE public.{table};"));
    cluster
        .alter(&format!("CREATE SCHEMA old; {}", copies.concat()))
        .await;
}

/// Puts back what was kept, at one stroke.
pub async fn restore(cluster: &Cluster) {
    let copies = TABLES.map(|table| {
        format!("DELETE FROM public.{table}; INSERT INTO public.{table} SELECT * FROM old.{table};")
    });
    cluster.alter(&copies.concat()).await;
}
