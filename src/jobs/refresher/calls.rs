//! How many calls are on their way at once: of all hosts, of each host, and of imports, which have a budget of their own.
//! A host that answers slowly, or not at all, holds up its own connections and nobody else's.
//!
//! Invariant: a call holds its permit until its answer is safe, so that draining is waiting for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Refreshes on their way.
const CALLS_MAX: u32 = 256;
/// Of them, to one host and port.
const CALLS_PER_HOST_MAX: usize = 32;
/// First refreshes of imports.
const IMPORTS_MAX: u32 = 32;
/// How long an import waits for its turn.
const IMPORT_WAIT_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Calls {
    all: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A call's right to be on its way.
pub struct Permit {
    _host: Option<OwnedSemaphorePermit>,
    _call: OwnedSemaphorePermit,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(CALLS_MAX as usize)),
            imports: Arc::new(Semaphore::new(IMPORTS_MAX as usize)),
            hosts: Mutex::default(),
        }
    }
}

impl Calls {
    /// Waits for a refresh's turn.
    pub(super) async fn refresh(&self, host: &str) -> Permit {
        let of_host = acquire(self.host(host)).await;
        self.with(of_host).await
    }

    /// Waits for a refresh's turn among all, unless its host has as many as it may.
    pub(super) async fn refresh_if_free(&self, host: &str) -> Option<Permit> {
        let of_host = self.host(host).try_acquire_owned().ok()?;
        Some(self.with(of_host).await)
    }

    /// Waits for an import's turn, for a while: whoever waits keeps a request's place from others.
    pub(super) async fn import(&self) -> Option<Permit> {
        let turn = acquire(Arc::clone(&self.imports));
        Some(Permit {
            _host: None,
            _call: timeout(IMPORT_WAIT_MAX, turn).await.ok()?,
        })
    }

    /// Waits until none is on its way. None begins any more, not even one that waits for its turn.
    pub(super) async fn drain(&self) {
        for (calls, all) in [(&self.all, CALLS_MAX), (&self.imports, IMPORTS_MAX)] {
            let none = calls.acquire_many(all).await;
            none.expect("it is never closed").forget();
        }
    }

    async fn with(&self, of_host: OwnedSemaphorePermit) -> Permit {
        Permit {
            _host: Some(of_host),
            _call: acquire(Arc::clone(&self.all)).await,
        }
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(host).and_then(Weak::upgrade) {
            return known;
        }
        // What nobody calls any more is forgotten, which bounds what is remembered.
        hosts.retain(|_, calls| calls.strong_count() > 0);
        let calls = Arc::new(Semaphore::new(CALLS_PER_HOST_MAX));
        hosts.insert(host.to_owned(), Arc::downgrade(&calls));
        calls
    }
}

async fn acquire(calls: Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = calls.acquire_owned().await;
    permit.expect("it is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_hangs_holds_up_nobody_else() {
        let calls = Calls::default();
        let mut hanging = Vec::new();
        while let Some(permit) = calls.refresh_if_free("slow:443").await {
            hanging.push(permit);
        }
        assert_eq!(hanging.len(), CALLS_PER_HOST_MAX);
        assert!(calls.refresh_if_free("quick:443").await.is_some());
        let _import = calls.import().await.expect("its turn");
        drop(hanging.pop());
        assert!(calls.refresh_if_free("slow:443").await.is_some());
        hanging.clear();
        assert!(calls.refresh_if_free("other:443").await.is_some());
        let hosts = calls.hosts.lock().expect("no panic under the lock");
        assert!(!hosts.contains_key("slow:443"));
    }

    #[tokio::test]
    async fn draining_waits_for_every_call() {
        let calls = Calls::default();
        let (refresh, import) = (
            calls.refresh("host:443").await,
            calls.import().await.expect("its turn"),
        );
        let mut drained = Box::pin(calls.drain());
        for permit in [refresh, import] {
            let waits = timeout(Duration::ZERO, &mut drained).await;
            assert!(waits.is_err());
            drop(permit);
        }
        drained.await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_while_all_are_drained_does_not_begin() {
        let calls = Calls::default();
        let last = calls.refresh("host:443").await;
        let mut drained = Box::pin(calls.drain());
        assert!(timeout(Duration::ZERO, &mut drained).await.is_err());
        let mut late = Box::pin(calls.refresh("host:443"));
        assert!(timeout(Duration::ZERO, &mut late).await.is_err());
        drop(last);
        drained.await;
        assert!(timeout(Duration::from_secs(60), late).await.is_err());
        assert!(calls.import().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_import_waits_for_its_turn_for_a_while() {
        let calls = Calls::default();
        let mut on_their_way = Vec::new();
        for _ in 0..IMPORTS_MAX {
            on_their_way.push(calls.import().await.expect("its turn"));
        }
        assert!(calls.import().await.is_none());
        on_their_way.pop();
        assert!(calls.import().await.is_some());
    }
}
