//! The connections that read: a bounded number, each used by one task at a time.
//! One that met an error, or whose future was dropped half way, is closed and not handed out again.
//!
//! Invariant: a reader that is handed out has no transaction open and nothing unread.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{on, run};
use super::{Connection, Role, Source, StoreError};

/// How long a reader is waited for.
const READER_WAIT_MS: u64 = 5_000;

/// The pool.
pub(super) struct Readers {
    source: Source,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub fn new(source: Source, readers: u32) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(readers.max(1) as usize));
        Arc::new(Self {
            source,
            idle: Mutex::default(),
            permits,
        })
    }

    pub async fn find_reader(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let wait = Duration::from_millis(READER_WAIT_MS);
        let permit = tokio::time::timeout(wait, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| StoreError::Busy)?
            .expect("the semaphore is never closed");
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.source.connect(Role::Reader).await?,
        };
        Ok(Reader {
            held: Some((connection, permit)),
            readers: Arc::clone(self),
        })
    }

    pub async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            connection.close().await;
        }
    }

    /// Closes what lies idle: where one connection was lost, its neighbours went the same way, and better found now than
    /// by the next that asks.
    pub fn drop_idle(&self) {
        self.idle().clear();
    }

    fn take_back(&self, connection: Connection) {
        if connection.lost {
            self.drop_idle();
        } else if connection.usable && !connection.open {
            self.idle().push(connection);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that reads.
pub struct Reader {
    /// Given back on drop.
    held: Option<(Connection, OwnedSemaphorePermit)>,
    readers: Arc<Readers>,
}

impl Reader {
    /// Ends a snapshot and gives the reader back; dropping it does the same a little later.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        if self.open {
            end(&mut self).await
        } else {
            Ok(())
        }
    }

    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.open = true;
        let begin = self.engine().begin_snapshot();
        run!(self, begin)?;
        Ok(())
    }
}

async fn end(connection: &mut Connection) -> Result<(), StoreError> {
    run!(connection, "ROLLBACK")?;
    connection.open = false;
    Ok(())
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.held.as_ref().expect(HELD).0
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.held.as_mut().expect(HELD).0
    }
}

const HELD: &str = "a reader holds its connection until it is dropped";

impl Drop for Reader {
    fn drop(&mut self) {
        let Some((mut connection, permit)) = self.held.take() else {
            return;
        };
        let readers = Arc::clone(&self.readers);
        if !(connection.open && connection.usable) {
            return readers.take_back(connection);
        }
        // Outside a runtime nothing can be sent any more; dropping the connection ends the snapshot too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // A failure leaves it unusable, and it is not taken back.
                let _ = end(&mut connection).await;
                readers.take_back(connection);
                drop(permit);
            });
        }
    }
}
