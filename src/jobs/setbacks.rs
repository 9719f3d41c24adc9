//! What was refused waits longer each time: a damaged row must neither fill the log nor keep the others waiting.
//!
//! Invariant: what is due no more is forgotten, which bounds what is remembered.

use std::collections::{HashMap, HashSet};

use crate::model::{SecretName, Timestamp, Ttl};

const WAIT_MIN: Ttl = Ttl::seconds(60);
const WAIT_MAX: Ttl = Ttl::seconds(3600);

/// See the module.
#[derive(Default)]
pub(super) struct Setbacks(HashMap<SecretName, Setback>);

struct Setback {
    until: Timestamp,
    wait: Ttl,
}

impl Setbacks {
    /// What is due and need not wait, each with what else is known of it.
    pub(super) fn ready<T>(
        &mut self,
        mut due: Vec<(SecretName, T)>,
        now: Timestamp,
    ) -> Vec<(SecretName, T)> {
        if !self.0.is_empty() {
            let known: HashSet<_> = due.iter().map(|(name, _)| name).collect();
            self.0.retain(|name, _| known.contains(name));
        }
        due.retain(|(name, _)| self.0.get(name).is_none_or(|setback| setback.until <= now));
        due
    }

    pub(super) fn note(&mut self, name: SecretName, now: Timestamp) {
        let wait = self.0.get(&name).map_or(WAIT_MIN, |setback| {
            Ttl::seconds(setback.wait.as_seconds() * 2)
        });
        let wait = wait.min(WAIT_MAX);
        let until = now.after(wait);
        self.0.insert(name, Setback { until, wait });
    }

    pub(super) fn forget(&mut self, name: &SecretName) {
        self.0.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EnvironmentName;

    #[test]
    fn what_is_refused_waits_longer_each_time() {
        let name = |path: &str| SecretName {
            place: EnvironmentName {
                project: "p".parse().expect("a name"),
                environment: "e".parse().expect("a name"),
            },
            path: path.parse().expect("a path"),
        };
        let mut setbacks = Setbacks::default();
        let start = Timestamp::from_micros(0);
        setbacks.note(name("a"), start);
        assert_eq!(
            setbacks.ready(vec![(name("a"), 1), (name("b"), 2)], start),
            [(name("b"), 2)]
        );
        let later = start.after(WAIT_MIN);
        assert_eq!(
            setbacks.ready(vec![(name("a"), 1)], later),
            [(name("a"), 1)]
        );
        for _ in 0..20 {
            setbacks.note(name("a"), later);
        }
        assert_eq!(setbacks.0[&name("a")].wait, WAIT_MAX);
        assert_eq!(
            setbacks.ready(vec![(name("b"), 2)], later),
            [(name("b"), 2)]
        );
        assert!(setbacks.0.is_empty());
    }
}
