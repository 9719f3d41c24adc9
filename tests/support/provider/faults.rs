//! What a provider can be told to do wrong, call by call, and a call that is held until a test lets it go.
//!
//! Invariant: a fault is met by as many calls as it was armed for, in the order of arming.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::support::PATIENCE;

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is carried out, and the connection is closed without an answer.
    DropAfter,
    /// The connection is closed, and nothing was done.
    DropBefore,
    /// 503.
    Unavailable,
    /// 429 with `Retry-After`, in seconds.
    TooMany(u64),
    /// A page of HTML with 200, from something in between: nothing was done.
    Html,
    /// It is carried out, and the answer does not say for how long.
    NoExpiresIn,
    /// It is carried out, and the refresh token goes on living: the answer has none.
    NoRefreshToken,
    /// The client is not known.
    InvalidClient,
    /// The refresh token is not taken, whatever it is.
    InvalidGrant,
}

/// What a call meets.
#[derive(Clone)]
pub(super) enum Met {
    Fault(Fault),
    Hold(Arc<Hold>),
}

/// The faults that wait for their calls.
#[derive(Default)]
pub(super) struct Faults(Mutex<VecDeque<Met>>);

impl Faults {
    pub(super) fn arm(&self, met: &Met, calls: usize) {
        let mut waiting = self.0.lock().expect("no panic under the lock");
        waiting.extend(std::iter::repeat_n(met.clone(), calls));
    }

    pub(super) fn take(&self) -> Option<Met> {
        let mut waiting = self.0.lock().expect("no panic under the lock");
        waiting.pop_front()
    }

    pub(super) fn clear(&self) {
        self.0.lock().expect("no panic under the lock").clear();
    }
}

/// Calls that wait, seen from the provider.
pub(super) struct Hold {
    arrived: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl Hold {
    pub(super) async fn pass(&self) {
        self.arrived.send_modify(|calls| *calls += 1);
        let mut released = self.released.subscribe();
        // The sender is in here as well: waiting cannot fail.
        let _ = released.wait_for(|released| *released).await;
    }
}

/// Calls that wait, seen from the test. They are let go when this is dropped.
pub struct Held(Arc<Hold>);

impl Held {
    pub(super) fn new() -> Self {
        Self(Arc::new(Hold {
            arrived: watch::Sender::new(0),
            released: watch::Sender::new(false),
        }))
    }

    pub(super) fn met(&self) -> Met {
        Met::Hold(Arc::clone(&self.0))
    }

    /// Waits until so many calls have come.
    pub async fn arrived(&self, calls: usize) {
        let mut arrived = self.0.arrived.subscribe();
        let all = arrived.wait_for(|now| *now >= calls);
        let all = tokio::time::timeout(PATIENCE, all).await;
        all.expect("the provider is asked").expect("it runs");
    }

    /// Lets them go: each is carried out now, also when its caller is gone.
    pub fn release(&self) {
        self.0.released.send_replace(true);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}
