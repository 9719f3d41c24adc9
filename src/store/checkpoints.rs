//! SQLite's write-ahead log, copied back into the database beside those who write. A commit that has to do it takes long, and
//! everybody waits for a commit.
//!
//! Invariant: what is copied was committed, and the log stays whole until all of it was copied and synced.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::connection::{on, rows};
use super::{Connection, Role, Source, StoreError};

/// Pages that are not copied yet from which on they are.
const PAGES_MANY: i64 = 1_000;
/// From one look to the next while the log grows.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same while it does not.
const LOOK_IDLE: Duration = Duration::from_secs(1);

/// How many pages the log has, and how many of them were copied; does nothing.
pub(super) const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";

/// Copies what nobody reads any more, without waiting for anybody and without anybody waiting.
const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Copies from time to time, until it is ended or dropped.
pub(super) struct Checkpoints {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Checkpoints {
    /// Begins, with a connection of its own.
    pub(super) fn start(source: Source) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            while let Err(error) = serve(&source, &mut stopped).await {
                tracing::warn!(%error, "SQLite's write-ahead log was not copied back, and grows until it is");
                if is_over(&mut stopped, LOOK_IDLE).await {
                    break;
                }
            }
        });
        Self { task, stop }
    }

    /// Ends it, and waits until its connection is closed.
    pub(super) async fn end(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "copying SQLite's write-ahead log back ended by itself");
        }
    }
}

async fn serve(source: &Source, stopped: &mut oneshot::Receiver<()>) -> Result<(), StoreError> {
    let mut connection = source.connect(Role::Keeper).await?;
    let (mut before, mut pause) = (0, LOOK_IDLE);
    while !is_over(stopped, pause).await {
        let (pages, copied) = ask(&mut connection, LOOK).await?;
        if pages - copied >= PAGES_MANY {
            ask(&mut connection, COPY).await?;
        }
        let grew = std::mem::replace(&mut before, pages) != pages;
        pause = if grew { LOOK_EVERY } else { LOOK_IDLE };
    }
    connection.close().await;
    Ok(())
}

/// Waits for so long; whether it is over meanwhile.
async fn is_over(stopped: &mut oneshot::Receiver<()>, pause: Duration) -> bool {
    tokio::time::timeout(pause, stopped).await.is_ok()
}

async fn ask(connection: &mut Connection, text: &'static str) -> Result<(i64, i64), StoreError> {
    let rows = rows!(connection, (i64, i64, i64), text)?;
    let told = rows.first();
    Ok(told.map_or((0, 0), |(_, pages, copied)| (*pages, *copied)))
}
