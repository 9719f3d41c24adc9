//! How many calls are on their way at once: all, those to one host, those of one project, and imports, which have a budget
//! of their own. A host that answers slowly, or not at all, holds up its own connections and no other project's.
//!
//! Invariant: a call holds its permit until its answer is safe, so that draining is waiting for all of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::model::Name;

/// Refreshes on their way.
const CALLS_MAX: u32 = 256;
/// Of them, to one host and port.
const CALLS_PER_HOST_MAX: usize = 32;
/// Of them, of one project's connections.
const CALLS_PER_PROJECT_MAX: usize = 64;
/// First refreshes of imports.
const IMPORTS_MAX: u32 = 32;
/// How long an import waits for its turn.
const IMPORT_WAIT_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Calls {
    all: Arc<Semaphore>,
    imports: Arc<Semaphore>,
    hosts: Shares<String, CALLS_PER_HOST_MAX>,
    projects: Shares<Name, CALLS_PER_PROJECT_MAX>,
}

/// A call's right to be on its way.
pub struct Permit {
    /// Of its host, its project, and all.
    _held: Vec<OwnedSemaphorePermit>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(CALLS_MAX as usize)),
            imports: Arc::new(Semaphore::new(IMPORTS_MAX as usize)),
            hosts: Shares::default(),
            projects: Shares::default(),
        }
    }
}

impl Calls {
    /// Waits for a refresh's turn.
    pub(super) async fn refresh(&self, host: &str, project: &Name) -> Permit {
        let mut held = Vec::with_capacity(3);
        for share in self.shares(host, project) {
            held.push(acquire(share).await);
        }
        Permit { _held: held }
    }

    /// Waits for an import's turn, for a while: whoever waits keeps a request's place from others.
    pub(super) async fn import(&self) -> Option<Permit> {
        let turn = acquire(Arc::clone(&self.imports));
        let turn = timeout(IMPORT_WAIT_MAX, turn).await.ok()?;
        Some(Permit { _held: vec![turn] })
    }

    /// Waits until none is on its way. None begins any more, not even one that waits for its turn.
    pub(super) async fn drain(&self) {
        for (calls, all) in [(&self.all, CALLS_MAX), (&self.imports, IMPORTS_MAX)] {
            let none = calls.acquire_many(all).await;
            none.expect("it is never closed").forget();
        }
    }

    /// What a refresh needs a permit of, in the order in which it is waited for.
    fn shares(&self, host: &str, project: &Name) -> [Arc<Semaphore>; 3] {
        [
            self.hosts.of(&host.to_owned()),
            self.projects.of(project),
            Arc::clone(&self.all),
        ]
    }
}

/// So many permits for each of these.
struct Shares<K, const MAX: usize>(Mutex<HashMap<K, Weak<Semaphore>>>);

impl<K, const MAX: usize> Default for Shares<K, MAX> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, const MAX: usize> Shares<K, MAX> {
    fn of(&self, whose: &K) -> Arc<Semaphore> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shares.get(whose).and_then(Weak::upgrade) {
            return known;
        }
        // Those that nothing is held of are forgotten, which bounds what is remembered.
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(MAX));
        shares.insert(whose.clone(), Arc::downgrade(&share));
        share
    }
}

async fn acquire(calls: Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = calls.acquire_owned().await;
    permit.expect("it is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    /// A refresh's turn, if there is no waiting for it.
    async fn at_once(calls: &Calls, host: &str, project: &str) -> Option<Permit> {
        let project = name(project);
        let turn = calls.refresh(host, &project);
        timeout(Duration::ZERO, turn).await.ok()
    }

    #[tokio::test]
    async fn a_host_that_hangs_holds_up_nobody_else() {
        let calls = Calls::default();
        let mut hanging = Vec::new();
        while let Some(permit) = at_once(&calls, "slow:443", "one").await {
            hanging.push(permit);
        }
        assert_eq!(hanging.len(), CALLS_PER_HOST_MAX);
        assert!(at_once(&calls, "quick:443", "one").await.is_some());
        let _import = calls.import().await.expect("its turn");
        drop(hanging.pop());
        assert!(at_once(&calls, "slow:443", "one").await.is_some());
        hanging.clear();
        assert!(at_once(&calls, "other:443", "one").await.is_some());
        let hosts = calls.hosts.0.lock().expect("no panic under the lock");
        assert!(!hosts.contains_key("slow:443"));
    }

    #[tokio::test]
    async fn a_project_with_many_hosts_that_hang_leaves_room_for_others() {
        let calls = Calls::default();
        let mut hanging = Vec::new();
        for host in 0..CALLS_MAX {
            hanging.extend(at_once(&calls, &format!("slow{host}:443"), "one").await);
        }
        assert_eq!(hanging.len(), CALLS_PER_PROJECT_MAX);
        assert!(at_once(&calls, "slow1:443", "two").await.is_some());
    }

    #[tokio::test]
    async fn draining_waits_for_every_call() {
        let calls = Calls::default();
        let (refresh, import) = (
            calls.refresh("host:443", &name("one")).await,
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
        let (calls, one) = (Calls::default(), name("one"));
        let last = calls.refresh("host:443", &one).await;
        let mut drained = Box::pin(calls.drain());
        assert!(timeout(Duration::ZERO, &mut drained).await.is_err());
        let mut late = Box::pin(calls.refresh("host:443", &one));
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
