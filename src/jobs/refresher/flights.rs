//! The refreshes that this process is at: one for each connection, which everybody who waits joins.
//!
//! Invariant: a flight that ends, however it ends, leaves the table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::model::SecretName;

/// How a flight ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Landed {
    /// Something happened: decide again.
    Changed,
    /// Nothing can come of waiting.
    Later,
    /// It has waited long enough for another node.
    TimeOver,
}

type Teller = Arc<watch::Sender<Option<Landed>>>;
type Table = Arc<Mutex<HashMap<SecretName, Teller>>>;

/// Requests that wait for one flight: each keeps a place of its source's share.
const WAITERS_MAX: usize = 256;

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Flights(Table);

/// A flight, for whoever makes it.
pub(super) struct Flight {
    name: SecretName,
    table: Table,
    tell: Teller,
}

impl Flights {
    /// The flight of this connection; whoever is first makes it. Nothing when as many wait for it as may.
    pub(super) fn join(
        &self,
        name: &SecretName,
    ) -> Option<(watch::Receiver<Option<Landed>>, Option<Flight>)> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match table.entry(name.clone()) {
            Entry::Occupied(flying) if flying.get().receiver_count() >= WAITERS_MAX => None,
            Entry::Occupied(flying) => Some((flying.get().subscribe(), None)),
            Entry::Vacant(free) => {
                let (tell, landed) = watch::channel(None);
                let tell = Arc::new(tell);
                free.insert(Arc::clone(&tell));
                let flight = Flight {
                    name: name.clone(),
                    table: Arc::clone(&self.0),
                    tell,
                };
                Some((landed, Some(flight)))
            }
        }
    }
}

impl Flights {
    /// How many there are, and how many wait for them.
    pub(super) fn count(&self) -> (u64, u64) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiters = table.values().map(|teller| teller.receiver_count() as u64);
        (table.len() as u64, waiters.sum())
    }
}

impl Flight {
    /// Tells everybody who waits.
    pub(super) fn land(self, landed: Landed) {
        self.tell.send_replace(Some(landed));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EnvironmentName;

    #[tokio::test]
    async fn everybody_joins_one_flight_until_it_ends() {
        let name = SecretName {
            place: EnvironmentName {
                project: "p".parse().expect("a name"),
                environment: "e".parse().expect("a name"),
            },
            path: "grant".parse().expect("a path"),
        };
        let flights = Flights::default();
        let (mut one, flight) = flights.join(&name).expect("few wait");
        let flight = flight.expect("the first makes it");
        let (mut two, second) = flights.join(&name).expect("few wait");
        assert!(second.is_none());
        flight.land(Landed::Changed);
        for landed in [&mut one, &mut two] {
            let landed = landed.wait_for(Option::is_some).await.expect("it was told");
            assert_eq!(*landed, Some(Landed::Changed));
        }
        let (mut lost, flight) = flights.join(&name).expect("few wait");
        drop(flight.expect("the table is free again"));
        assert!(lost.wait_for(Option::is_some).await.is_err());
        let (landed, flight) = flights.join(&name).expect("few wait");
        assert!(flight.is_some());
        let more = || flights.join(&name).map(|(landed, _)| landed);
        let waiting: Vec<_> = std::iter::from_fn(more).collect();
        assert_eq!(waiting.len() + 1, WAITERS_MAX);
        drop(landed);
        assert!(flights.join(&name).is_some());
    }
}
