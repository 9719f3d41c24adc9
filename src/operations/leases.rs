//! Leases: who may begin a piece of the system's work, decided over like any other row.
//! A lease chooses who begins and guards nothing else: what is done under it is guarded by what it changes.
//!
//! Invariant: a foreign lease changes hands only when its time is over and its beat was seen to stand still.

use crate::door::{Access, Cx, Decision, Lease, Operation, View};
use crate::model::{Action, BootId, Refusal, Resource, SecretId, Timestamp, Ttl};

/// The instant that a lease is free since, once released.
const RELEASED: Timestamp = Timestamp::from_micros(0);

/// Takes a lease, or renews it.
pub struct TakeLease {
    /// What it is on.
    pub name: &'static str,
    /// Who asks.
    pub holder: BootId,
    /// For how long.
    pub ttl: Ttl,
    /// Epoch and beat that the taker has seen stand still, over several spaced looks.
    pub seen: Option<(u64, u64)>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum TakenLease {
    /// It is the asker's.
    Taken(Lease),
    /// Another holds it.
    Held(Lease),
}

impl Operation for TakeLease {
    const ACTION: Action = Action::Manage;
    const ACCESS: Access = Access::System;
    type Reply = TakenLease;

    fn resource(&self) -> Resource<'_> {
        Resource::LEASES
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<TakenLease>, Refusal> {
        let found = view.find_lease(self.name).await?;
        if let Some(lease) = found.as_ref().filter(|lease| !self.may_take(lease, cx.now)) {
            return Ok(
                Decision::new(TakenLease::Held(lease.clone())).say("coffer.lease", self.name)
            );
        }
        let id = found
            .as_ref()
            .map_or_else(|| SecretId::new(cx.now, cx.id_bytes()), |lease| lease.id);
        let renewed = found
            .as_ref()
            .is_some_and(|lease| lease.holder == self.holder && lease.until != RELEASED);
        let (epoch, beat) = found
            .as_ref()
            .map_or((0, 0), |lease| (lease.epoch, lease.beat));
        let lease = Lease {
            id,
            name: self.name.to_owned(),
            holder: self.holder,
            epoch: if renewed { epoch } else { epoch + 1 },
            beat: beat + 1,
            until: cx.now.after(self.ttl),
        };
        let decision =
            Decision::new(TakenLease::Taken(lease.clone())).say("coffer.lease", self.name);
        decision.put_lease(cx, &lease)
    }
}

impl TakeLease {
    /// Free when released or the asker's own; another's only past its time, and when its beat stood still.
    fn may_take(&self, lease: &Lease, now: Timestamp) -> bool {
        let stood_still = self.seen == Some((lease.epoch, lease.beat));
        lease.until == RELEASED
            || lease.holder == self.holder
            || (lease.until <= now && stood_still)
    }
}

/// Gives a lease back, if it is still the same.
pub struct ReleaseLease {
    /// What it is on.
    pub name: &'static str,
    /// Who gives it back.
    pub holder: BootId,
    /// In which epoch it was taken.
    pub epoch: u64,
}

impl Operation for ReleaseLease {
    const ACTION: Action = Action::Manage;
    const ACCESS: Access = Access::System;
    type Reply = ();

    fn resource(&self) -> Resource<'_> {
        Resource::LEASES
    }

    async fn decide(&self, cx: &Cx<'_>, view: &View) -> Result<Decision<()>, Refusal> {
        let found = view.find_lease(self.name).await?;
        let decision = Decision::new(()).say("coffer.lease", self.name);
        match found.filter(|lease| lease.holder == self.holder && lease.epoch == self.epoch) {
            Some(lease) => decision.put_lease(
                cx,
                &Lease {
                    until: RELEASED,
                    ..lease
                },
            ),
            None => Ok(decision),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_changes_hands_only_when_it_stood_still() {
        let (me, other) = (BootId::from_bytes([1; 16]), BootId::from_bytes([2; 16]));
        let lease = |holder, until| Lease {
            id: SecretId::from_bytes([0; 16]),
            name: "rotation".to_owned(),
            holder,
            epoch: 3,
            beat: 7,
            until: Timestamp::from_micros(until),
        };
        let take = |seen| TakeLease {
            name: "rotation",
            holder: me,
            ttl: Ttl::seconds(10),
            seen,
        };
        let now = Timestamp::from_micros(100);
        for (lease, seen, free) in [
            (lease(other, 0), None, true),
            (lease(me, 200), None, true),
            (lease(me, 50), None, true),
            (lease(other, 200), None, false),
            (lease(other, 200), Some((3, 7)), false),
            (lease(other, 50), None, false),
            (lease(other, 50), Some((3, 6)), false),
            (lease(other, 50), Some((2, 7)), false),
            (lease(other, 50), Some((3, 7)), true),
        ] {
            assert_eq!(take(seen).may_take(&lease, now), free, "{lease:?} {seen:?}");
        }
    }
}
