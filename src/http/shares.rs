//! How much of the server is in use, in all and by each source: requests being answered, and memory for bodies and answers.
//! A connection looks its own source up once; a request then costs two counters, and no lock. Only a request that comes
//! through a trusted proxy is looked up by itself (advisory H12).
//!
//! Invariant: no source ever holds more than its share, and what is held is given back.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::limits::{
    ANSWERS_KIB_MAX, ANSWERS_PER_SOURCE_KIB_MAX, BODIES_KIB_MAX, BODIES_PER_SOURCE_KIB_MAX,
    REQUESTS_MAX, REQUESTS_PER_SOURCE_MAX,
};
use super::problem::Fault;
use super::source::network_of;

/// Sources are looked through for idle ones when there are this many, and then whenever they have doubled.
const SOURCES_KEPT: usize = 1_024;

/// All sources.
#[derive(Default)]
pub(super) struct Shares {
    all: Arc<Usage>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_source: HashMap<IpAddr, Arc<Share>>,
    /// How many were left when idle ones were last forgotten.
    left: usize,
}

#[derive(Default)]
struct Usage {
    requests: AtomicUsize,
    bodies_kib: AtomicUsize,
    answers_kib: AtomicUsize,
}

/// What one source uses: an address, or a /64 of IPv6.
pub(super) struct Share {
    all: Arc<Usage>,
    own: Usage,
}

/// Where a connection comes from, and what its source uses.
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) share: Arc<Share>,
}

impl Shares {
    pub(super) fn of(&self, source: IpAddr) -> Arc<Share> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_source.len() >= SOURCES_KEPT.max(2 * known.left) {
            // One that nobody but this table holds is used by nobody: it is handed out under this lock alone.
            let used = |share: &Arc<Share>| Arc::strong_count(share) > 1;
            known.by_source.retain(|_, share| used(share));
            known.left = known.by_source.len();
        }
        let fresh = || {
            Arc::new(Share {
                all: Arc::clone(&self.all),
                own: Usage::default(),
            })
        };
        let share = known.by_source.entry(network_of(source));
        Arc::clone(share.or_insert_with(fresh))
    }

    /// Requests being answered.
    pub(super) fn requests(&self) -> usize {
        self.all.requests.load(Relaxed)
    }

    pub(super) fn peer(&self, address: IpAddr) -> Peer {
        Peer {
            address: address.to_canonical(),
            share: self.of(address),
        }
    }
}

impl Share {
    /// One more request: its place, until its answer was sent.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Fault> {
        let (own, all) = (&self.own.requests, &self.all.requests);
        take_both((own, REQUESTS_PER_SOURCE_MAX), (all, REQUESTS_MAX), 1)?;
        Ok(Place {
            share: Arc::clone(self),
            kib: 0,
        })
    }

    /// Memory for one body: none yet.
    pub(super) const fn room(&self) -> Room<'_> {
        Room {
            share: self,
            kib: 0,
        }
    }
}

/// Takes so many more, if that is not past the limit.
fn take(count: &AtomicUsize, more: usize, max: usize) -> bool {
    let taken = count.fetch_add(more, Relaxed) + more <= max;
    if !taken {
        count.fetch_sub(more, Relaxed);
    }
    taken
}

/// Takes so many more of a source's share and of all that there is, or of neither.
fn take_both(
    (own, own_max): (&AtomicUsize, usize),
    (all, all_max): (&AtomicUsize, usize),
    more: usize,
) -> Result<(), Fault> {
    if !take(own, more, own_max) {
        return Err(Fault::Share);
    }
    if !take(all, more, all_max) {
        own.fetch_sub(more, Relaxed);
        return Err(Fault::Busy);
    }
    Ok(())
}

/// A request among those that are being answered, with the memory that its answer takes.
pub(super) struct Place {
    share: Arc<Share>,
    kib: usize,
}

impl Place {
    /// The share that it is a part of.
    pub(super) fn share(&self) -> &Share {
        &self.share
    }

    /// Takes memory for the answer, as long as the place is held.
    pub(super) fn grow(&mut self, kib: usize) -> Result<(), Fault> {
        let (own, all) = (&self.share.own.answers_kib, &self.share.all.answers_kib);
        take_both(
            (own, ANSWERS_PER_SOURCE_KIB_MAX),
            (all, ANSWERS_KIB_MAX),
            kib,
        )?;
        self.kib += kib;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for usage in [&self.share.own, &self.share.all] {
            usage.requests.fetch_sub(1, Relaxed);
            usage.answers_kib.fetch_sub(self.kib, Relaxed);
        }
    }
}

/// Memory that a body may take while it is read.
pub(super) struct Room<'a> {
    share: &'a Share,
    kib: usize,
}

impl Room<'_> {
    pub(super) fn grow(&mut self, kib: usize) -> Result<(), Fault> {
        let (own, all) = (&self.share.own.bodies_kib, &self.share.all.bodies_kib);
        take_both((own, BODIES_PER_SOURCE_KIB_MAX), (all, BODIES_KIB_MAX), kib)?;
        self.kib += kib;
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.share.own.bodies_kib.fetch_sub(self.kib, Relaxed);
        self.share.all.bodies_kib.fetch_sub(self.kib, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_takes_its_share_and_no_more() {
        let shares = Shares::default();
        let places = |source: &str| -> Vec<Place> {
            let share = shares.of(address(source));
            std::iter::from_fn(|| share.enter().ok()).collect()
        };
        let one = places("2001:db8::1");
        assert_eq!(one.len(), REQUESTS_PER_SOURCE_MAX);
        let neighbour = shares.of(address("2001:db8::ffff:2")).enter();
        assert!(matches!(neighbour, Err(Fault::Share)), "the same /64");
        let others: Vec<_> = (1..8)
            .map(|host| places(&format!("192.0.2.{host}")))
            .collect();
        let late = shares.of(address("192.0.2.99"));
        assert!(matches!(late.enter(), Err(Fault::Busy)), "all is in use");
        drop(one);
        assert!(late.enter().is_ok());
        drop(others);
        assert_eq!(shares.all.requests.load(Relaxed), 0);
    }

    #[test]
    fn room_for_bodies_is_given_back() {
        let shares = Shares::default();
        let (one, other) = (
            shares.of(address("192.0.2.1")),
            shares.of(address("192.0.2.2")),
        );
        let mut room = one.room();
        assert!(room.grow(BODIES_PER_SOURCE_KIB_MAX).is_ok());
        assert!(matches!(one.room().grow(1), Err(Fault::Share)));
        assert!(other.room().grow(1).is_ok());
        drop(room);
        assert!(one.room().grow(1).is_ok());
        assert_eq!(shares.all.bodies_kib.load(Relaxed), 0);
    }

    #[test]
    fn room_for_answers_is_given_back() {
        let shares = Shares::default();
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| shares.of(address(text)));
        let (mut place, mut next) = (one.enter().ok().unwrap(), one.enter().ok().unwrap());
        assert!(place.grow(ANSWERS_PER_SOURCE_KIB_MAX).is_ok());
        assert!(matches!(next.grow(1), Err(Fault::Share)));
        assert!(other.enter().ok().unwrap().grow(1).is_ok());
        drop(place);
        assert!(next.grow(1).is_ok());
        drop(next);
        assert_eq!(shares.all.answers_kib.load(Relaxed), 0);
        assert_eq!(shares.all.requests.load(Relaxed), 0);
    }

    #[test]
    fn idle_sources_are_forgotten() {
        let shares = Shares::default();
        let kept = shares.of(address("192.0.2.1"));
        let place = kept.enter();
        for host in 0..4 * u32::try_from(SOURCES_KEPT).expect("few") {
            shares.of(IpAddr::V4((0x0a00_0000 + host).into()));
        }
        let known = shares.known.lock().expect("no panic");
        assert!(known.by_source.len() <= SOURCES_KEPT);
        let same = known.by_source.get(&address("192.0.2.1"));
        assert!(same.is_some_and(|same| Arc::ptr_eq(same, &kept)));
        drop(place);
    }
}
