//! SQLite's write-ahead log, copied back into the database beside those who write. A commit that has to do it takes long, and
//! everybody waits for a commit.
//!
//! Invariant: what is copied was committed, and the log stays whole until all of it was copied and synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::connection::{on, rows};
use super::{Connection, Role, Source, StoreError};
use crate::fault::point;

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

/// How the copying goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copying {
    /// Pages that were not copied at the last look.
    pub pages: u64,
    /// How often some were copied.
    pub copied: u64,
    /// How often they could not be.
    pub failed: u64,
}

#[derive(Default)]
struct Counted {
    pages: AtomicU64,
    copied: AtomicU64,
    failed: AtomicU64,
}

/// Copies from time to time, until it is ended or dropped.
pub(super) struct Checkpoints {
    counted: Arc<Counted>,
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Checkpoints {
    /// Begins, with a connection of its own.
    pub(super) fn start(source: Source) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let counted = Arc::new(Counted::default());
        let told = Arc::clone(&counted);
        let task = tokio::spawn(async move {
            while let Err(error) = serve(&source, &told, &mut stopped).await {
                told.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "SQLite's write-ahead log was not copied back, and grows until it is");
                if is_over(&mut stopped, LOOK_IDLE).await {
                    break;
                }
            }
        });
        Self {
            counted,
            task,
            stop,
        }
    }

    pub(super) fn copying(&self) -> Copying {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Copying {
            pages: of(&self.counted.pages),
            copied: of(&self.counted.copied),
            failed: of(&self.counted.failed),
        }
    }

    /// Ends it, and waits until its connection is closed.
    pub(super) async fn end(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "copying SQLite's write-ahead log back ended by itself");
        }
    }
}

async fn serve(
    source: &Source,
    counted: &Counted,
    stopped: &mut oneshot::Receiver<()>,
) -> Result<(), StoreError> {
    let mut connection = source.connect(Role::Keeper).await?;
    let (mut before, mut pause) = (0, LOOK_IDLE);
    while !is_over(stopped, pause).await {
        let (pages, copied) = ask(&mut connection, LOOK).await?;
        let left = pages.saturating_sub(copied);
        counted.pages.store(left.unsigned_abs(), Ordering::Relaxed);
        if left >= PAGES_MANY {
            point("log not copied yet")?;
            ask(&mut connection, COPY).await?;
            counted.copied.fetch_add(1, Ordering::Relaxed);
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
