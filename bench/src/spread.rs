//! How events lie in time: seconds are counted from the first event on.
//!
//! Invariant: a second without an event counts in the median, between the first and the last.

use std::time::Instant;

use crate::figures::Rounds;

/// See the module.
#[derive(Debug, Default)]
pub struct Spread {
    /// From the first to the last.
    pub seconds: f64,
    /// The most in a second.
    pub most: f64,
    /// In a second, the middle of all.
    pub median: f64,
    /// When the last was.
    pub last: Option<Instant>,
}

impl Spread {
    /// Of events in order.
    pub fn of(events: &[Instant]) -> Self {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Self::default();
        };
        let whole = |at: &Instant| (*at - *first).as_secs() as usize;
        let mut counts = vec![0.0; whole(last) + 1];
        for at in events {
            counts[whole(at)] += 1.0;
        }
        let mut seconds = Rounds::default();
        counts.into_iter().for_each(|count| seconds.push(count));
        Self {
            seconds: (*last - *first).as_secs_f64(),
            most: seconds.max(),
            median: seconds.median(),
            last: Some(*last),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn seconds_are_counted_from_the_first_event() {
        let begun = Instant::now();
        let events = [0, 100, 999, 2_500].map(|ms| begun + Duration::from_millis(ms));
        let spread = Spread::of(&events);
        assert_eq!((spread.most, spread.median), (3.0, 1.0));
        assert_eq!(spread.seconds, 2.5);
        assert_eq!(Spread::of(&[]).most, 0.0);
    }
}
