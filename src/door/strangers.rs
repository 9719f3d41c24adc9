//! Well-formed tokens that nobody knows, and those that are dead: each is recorded, until one source shows too many.
//! The two are counted apart: past the limit of unknown ones, a token that the cache does not know is turned away without
//! a look-up, which an application that goes on with its expired token must not bring upon its neighbours.
//!
//! Invariant: what is remembered is bounded, and a living token that the cache knows is never turned away here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::model::Timestamp;

/// Tokens of each kind that one source may show in a window.
const SHOWN_MAX: u32 = 100;
/// How long a window is, in microseconds.
const WINDOW_US: i64 = 60 * 1_000_000;
/// Sources remembered; beyond them the oldest window is forgotten.
const SOURCES_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Strangers(Mutex<HashMap<Option<IpAddr>, Window>>);

/// What is wrong with a well-formed token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stranger {
    /// Nobody knows it.
    Unknown,
    /// It, or one it was made with, has expired or was revoked.
    Dead,
}

struct Window {
    since: i64,
    /// By [`Stranger`].
    counts: [u32; 2],
}

impl Window {
    const fn new(now: Timestamp) -> Self {
        Self {
            since: now.micros(),
            counts: [0; 2],
        }
    }

    /// The seconds to wait when there were too many.
    fn over(&self, stranger: Stranger, now: Timestamp) -> Option<u32> {
        let left_us = self.since + WINDOW_US - now.micros();
        (self.counts[stranger as usize] >= SHOWN_MAX && left_us > 0)
            .then(|| u32::try_from(left_us / 1_000_000 + 1).unwrap_or(60))
    }
}

impl Strangers {
    /// Whether this source has shown too many unknown tokens lately; the seconds to wait.
    pub(super) fn over(&self, source: Option<IpAddr>, now: Timestamp) -> Option<u32> {
        let windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.get(&bucket(source))?.over(Stranger::Unknown, now)
    }

    /// This source has shown such a token; when it had shown too many before, the seconds to wait.
    pub(super) fn note(
        &self,
        source: Option<IpAddr>,
        stranger: Stranger,
        now: Timestamp,
    ) -> Option<u32> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let source = bucket(source);
        if windows.len() >= SOURCES_MAX && !windows.contains_key(&source) {
            make_room(&mut windows, now);
        }
        let window = windows.entry(source).or_insert(Window::new(now));
        if now.micros() - window.since >= WINDOW_US {
            *window = Window::new(now);
        }
        let over = window.over(stranger, now);
        let count = &mut window.counts[stranger as usize];
        *count = count.saturating_add(1);
        over
    }
}

/// Forgets windows that have ended, or the oldest.
fn make_room(windows: &mut HashMap<Option<IpAddr>, Window>, now: Timestamp) {
    windows.retain(|_, window| now.micros() - window.since < WINDOW_US);
    let oldest = windows
        .iter()
        .min_by_key(|(_, window)| window.since)
        .map(|(source, _)| *source);
    if let Some(oldest) = oldest.filter(|_| windows.len() >= SOURCES_MAX) {
        windows.remove(&oldest);
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
        for _ in 0..SHOWN_MAX {
            assert_eq!(strangers.over(one, now), None);
            assert_eq!(strangers.note(one, Stranger::Unknown, now), None);
        }
        assert!(strangers.over(one, now).is_some());
        assert!(strangers.note(one, Stranger::Unknown, now).is_some());
        assert_eq!(strangers.over(other, now), None);
        let later = Timestamp::from_micros(now.micros() + WINDOW_US);
        assert_eq!(strangers.over(one, later), None);
        assert_eq!(strangers.note(one, Stranger::Unknown, later), None);
    }

    #[test]
    fn dead_tokens_are_counted_apart() {
        let strangers = Strangers::default();
        let source = Some(IpAddr::from([1, 2, 3, 4]));
        let now = Timestamp::from_micros(1_000_000_000);
        for _ in 0..SHOWN_MAX {
            assert_eq!(strangers.note(source, Stranger::Dead, now), None);
        }
        assert_eq!(strangers.note(source, Stranger::Dead, now), Some(61));
        assert_eq!(strangers.over(source, now), None, "nobody else is kept out");
        assert_eq!(strangers.note(source, Stranger::Unknown, now), None);
    }
}
