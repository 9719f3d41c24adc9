//! Rotations that are due, on whichever node lives: a lease chooses who begins, the document says what is still due.
//! A node that finds nothing due writes nothing; one that dies at work leaves a lease that stands still, and another goes on.
//!
//! Invariant: the lease saves double work only; a rotation happens once because its decision is made on the document.

use std::time::Duration;

use super::Beat;
use super::setbacks::Setbacks;
use crate::door::{Door, Lease};
use crate::fault;
use crate::model::{Refusal, SecretName, Ttl};
use crate::operations::leases::{ReleaseLease, TakeLease, TakenLease};
use crate::operations::rotations::RotateDue;

/// From one look at what is due to the next.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

const PART: &str = "scheduler";
const LEASE: &str = "rotation";
const LEASE_TTL: Ttl = Ttl::seconds(10);
/// A lease is renewed when less than this is left of it: every three seconds while there is work.
const LEASE_LEFT: Ttl = Ttl::seconds(7);
/// Turns between two looks at another's lease.
const LOOK_EVERY: u32 = 3;
/// Looks at a beat that stands still before the lease is taken over: together longer than four renewals.
const LOOKS: u32 = 5;
/// Secrets asked for at a time; those that wait after a failure are among them.
const DUE_MAX: u32 = 1_000;
/// Rotations in one turn, so that what is due meanwhile is seen.
const TURN_MAX: usize = 100;

pub(super) async fn run(door: Door, mut beat: Beat) {
    let mut scheduler = Scheduler {
        door,
        watch: Watch::default(),
        setbacks: Setbacks::default(),
    };
    while beat.next().await {
        scheduler.turn(&beat).await;
        fault::pause("turn over").await;
    }
}

struct Scheduler {
    door: Door,
    watch: Watch,
    setbacks: Setbacks,
}

impl Scheduler {
    /// Rotates what is due, if this node gets the lease.
    async fn turn(&mut self, beat: &Beat) {
        let due = match self.door.list_due(DUE_MAX).await {
            Ok(due) => due,
            Err(refusal) => {
                return tracing::warn!(code = refusal.code(), "what is due could not be read");
            }
        };
        let due = due.into_iter().map(|name| (name, ())).collect();
        let work = self.setbacks.ready(due, self.door.now());
        if work.is_empty() {
            self.watch = Watch::default();
            return;
        }
        let Some(mut lease) = self.take().await else {
            return;
        };
        if fault::point("lease taken").is_err() {
            return;
        }
        for (name, ()) in work.into_iter().take(TURN_MAX) {
            if beat.is_over() || !self.keep(&mut lease).await || !self.rotate(name).await {
                break;
            }
        }
        self.release(&lease).await;
    }

    /// The lease, if it can be had now.
    async fn take(&mut self) -> Option<Lease> {
        if !self.watch.is_turn() {
            return None;
        }
        let take = TakeLease {
            name: LEASE,
            holder: self.door.boot(),
            ttl: LEASE_TTL,
            seen: self.watch.stood_still(),
        };
        match self
            .door
            .run_system(PART, take)
            .await
            .map(|answer| answer.reply)
        {
            Ok(TakenLease::Taken(lease)) => {
                self.watch = Watch::default();
                Some(lease)
            }
            Ok(TakenLease::Held(lease)) => {
                self.watch.look((lease.epoch, lease.beat));
                None
            }
            Err(refusal) => {
                tracing::warn!(
                    code = refusal.code(),
                    "the lease on rotations could not be taken"
                );
                None
            }
        }
    }

    /// Renews the lease when little is left of it; `false` when it is another's by now.
    async fn keep(&mut self, lease: &mut Lease) -> bool {
        if self.door.now().after(LEASE_LEFT) < lease.until {
            return true;
        }
        let take = TakeLease {
            name: LEASE,
            holder: self.door.boot(),
            ttl: LEASE_TTL,
            seen: None,
        };
        match self
            .door
            .run_system(PART, take)
            .await
            .map(|answer| answer.reply)
        {
            Ok(TakenLease::Taken(renewed)) => {
                *lease = renewed;
                true
            }
            Ok(TakenLease::Held(_)) => false,
            Err(refusal) => {
                tracing::warn!(
                    code = refusal.code(),
                    "the lease on rotations could not be renewed"
                );
                false
            }
        }
    }

    /// Rotates one secret; `false` when there is no sense in going on.
    async fn rotate(&mut self, name: SecretName) -> bool {
        let rotated = self
            .door
            .run_system(PART, RotateDue { name: name.clone() })
            .await;
        let counted = &self.door.metrics().rotations;
        match rotated {
            Ok(answer) => {
                counted.rotated.one();
                tracing::info!(secret = %name, version = answer.reply.version, "rotated");
                self.setbacks.forget(&name);
                fault::point("rotation done").is_ok()
            }
            // Another node was faster, or somebody took the policy or the secret away.
            Err(Refusal::Conflict("not-due", _) | Refusal::NotFound) => true,
            Err(Refusal::Unavailable(why)) => {
                counted.failed.one();
                tracing::warn!(secret = %name, why, "a rotation was not made");
                false
            }
            Err(refusal) => {
                counted.failed.one();
                tracing::warn!(secret = %name, code = refusal.code(), "a rotation was not made");
                self.setbacks.note(name, self.door.now());
                true
            }
        }
    }

    async fn release(&self, lease: &Lease) {
        let release = ReleaseLease {
            name: LEASE,
            holder: self.door.boot(),
            epoch: lease.epoch,
        };
        if let Err(refusal) = self.door.run_system(PART, release).await {
            tracing::warn!(
                code = refusal.code(),
                "the lease on rotations was not given back; it will run out"
            );
        }
    }
}

/// What this node has seen of another's lease.
#[derive(Default)]
struct Watch {
    seen: Option<(u64, u64)>,
    looks: u32,
    turns: u32,
}

impl Watch {
    /// Whether to look in this turn: the first time, and then every few turns.
    fn is_turn(&mut self) -> bool {
        let now = self.turns.is_multiple_of(LOOK_EVERY);
        self.turns = self.turns.wrapping_add(1);
        now
    }

    /// Epoch and beat that were the same in all of the last looks.
    fn stood_still(&self) -> Option<(u64, u64)> {
        self.seen.filter(|_| self.looks >= LOOKS)
    }

    fn look(&mut self, at: (u64, u64)) {
        self.looks = if self.seen == Some(at) {
            self.looks.saturating_add(1)
        } else {
            1
        };
        self.seen = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_over_only_after_several_looks_at_one_beat() {
        let mut watch = Watch::default();
        for _ in 1..LOOKS {
            watch.look((1, 1));
            assert_eq!(watch.stood_still(), None);
        }
        watch.look((1, 1));
        assert_eq!(watch.stood_still(), Some((1, 1)));
        watch.look((1, 2));
        assert_eq!(watch.stood_still(), None);
    }

    #[test]
    fn looks_are_spaced() {
        let mut watch = Watch::default();
        let looks: Vec<bool> = (0..7).map(|_| watch.is_turn()).collect();
        assert_eq!(looks, [true, false, false, true, false, false, true]);
        const { assert!((LOOKS - 1) as u64 * LOOK_EVERY as u64 > LEASE_TTL.as_seconds()) };
    }
}
