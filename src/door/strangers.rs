//! Well-formed tokens that nobody knows: each is recorded, until one source shows too many of them.
//! Past the limit a token that the cache does not know is turned away without a look-up.
//!
//! Invariant: what is remembered is bounded, and a token that the cache knows is never turned away here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::model::Timestamp;

/// Unknown tokens that one source may show in a window.
const UNKNOWN_MAX: u32 = 100;
/// How long a window is, in microseconds.
const WINDOW_US: i64 = 60 * 1_000_000;
/// Sources remembered; beyond them the oldest window is forgotten.
const SOURCES_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Strangers(Mutex<HashMap<Option<IpAddr>, Window>>);

struct Window {
    since: i64,
    count: u32,
}

impl Strangers {
    /// Whether this source has shown too many unknown tokens lately; the seconds to wait.
    pub(super) fn over(&self, source: Option<IpAddr>, now: Timestamp) -> Option<u32> {
        let windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.get(&bucket(source))?;
        let left_us = window.since + WINDOW_US - now.micros();
        (window.count >= UNKNOWN_MAX && left_us > 0)
            .then(|| u32::try_from(left_us / 1_000_000 + 1).unwrap_or(60))
    }

    /// This source has shown an unknown token.
    pub(super) fn note(&self, source: Option<IpAddr>, now: Timestamp) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= SOURCES_MAX {
            windows.retain(|_, window| now.micros() - window.since < WINDOW_US);
            let oldest = windows
                .iter()
                .min_by_key(|(_, window)| window.since)
                .map(|(source, _)| *source);
            if let Some(oldest) = oldest.filter(|_| windows.len() >= SOURCES_MAX) {
                windows.remove(&oldest);
            }
        }
        let fresh = Window {
            since: now.micros(),
            count: 0,
        };
        let window = windows.entry(bucket(source)).or_insert(fresh);
        if now.micros() - window.since >= WINDOW_US {
            *window = Window {
                since: now.micros(),
                count: 0,
            };
        }
        window.count = window.count.saturating_add(1);
    }
}

/// An IPv6 source counts by its /64: who has one address there has them all.
fn bucket(source: Option<IpAddr>) -> Option<IpAddr> {
    source.map(|source| match source {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        IpAddr::V4(_) => source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_turned_away_past_the_limit_and_until_the_window_ends() {
        let strangers = Strangers::default();
        let (one, other) = (
            Some(IpAddr::from([1, 2, 3, 4])),
            Some(IpAddr::from([1, 2, 3, 5])),
        );
        let now = Timestamp::from_micros(1_000_000_000);
        for _ in 0..UNKNOWN_MAX {
            assert_eq!(strangers.over(one, now), None);
            strangers.note(one, now);
        }
        assert!(strangers.over(one, now).is_some());
        assert_eq!(strangers.over(other, now), None);
        assert_eq!(
            strangers.over(one, Timestamp::from_micros(now.micros() + WINDOW_US)),
            None
        );
    }
}
