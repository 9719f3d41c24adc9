//! How many calls are on their way at once: of all hosts, of each host, and of imports, which have a budget of their own.
//! A host that answers slowly, or not at all, holds up its own connections and nobody else's.
//!
//! Invariant: a call holds its permit until its answer is safe, so that draining is waiting for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Refreshes on their way.
const CALLS_MAX: u32 = 256;
/// Of them, to one host and port.
const CALLS_PER_HOST_MAX: usize = 32;
/// First refreshes of imports.
const IMPORTS_MAX: u32 = 32;

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

    /// Waits for an import's turn.
    pub(super) async fn import(&self) -> Permit {
        Permit {
            _host: None,
            _call: acquire(Arc::clone(&self.imports)).await,
        }
    }

    /// Waits until none is on its way.
    pub(super) async fn drain(&self) {
        for (calls, all) in [(&self.all, CALLS_MAX), (&self.imports, IMPORTS_MAX)] {
            let none = calls.acquire_many(all).await;
            drop(none.expect("it is never closed"));
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
        let _import = calls.import().await;
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
        let (refresh, import) = (calls.refresh("host:443").await, calls.import().await);
        let mut drained = Box::pin(calls.drain());
        for permit in [refresh, import] {
            let waits = tokio::time::timeout(std::time::Duration::ZERO, &mut drained).await;
            assert!(waits.is_err());
            drop(permit);
        }
        drained.await;
    }
}
