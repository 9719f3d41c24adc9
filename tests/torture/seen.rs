//! What clients saw, each operation with when it began and ended, and whether one order of all of them explains it.
//! Each version has a number, so the order of writes is known, and a history is linearisable exactly if that order
//! agrees with the order in which operations began and ended (Herlihy and Wing 1990). No search is needed.
//!
//! Invariant: what was not answered may have happened at any time after it began, or never.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was done to a secret, and answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// This value was written, if the version was the expected one, and is this version.
    Written {
        value: u64,
        expected: Option<u64>,
        version: u64,
    },
    /// The version was not the expected one, and this value was not written.
    Mismatch { value: u64, expected: u64 },
    /// This value may have been written.
    Unknown { value: u64 },
    /// This was read; 0 when there was nothing.
    Read { version: u64, value: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    secret: usize,
    began: u64,
    ended: u64,
    done: Done,
}

/// Everything that clients saw, by one clock that counts.
#[derive(Default)]
pub struct Seen {
    clock: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

impl Seen {
    /// Now.
    pub fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Notes an operation that began then, and ends now.
    pub fn note(&self, secret: usize, began: u64, done: Done) {
        let ended = match done {
            Done::Unknown { .. } => u64::MAX,
            _ => self.now(),
        };
        let operation = Operation {
            secret,
            began,
            ended,
            done,
        };
        self.operations.lock().expect("no panic").push(operation);
    }

    /// How many were answered.
    pub fn answered(&self) -> usize {
        let operations = self.operations.lock().expect("no panic");
        let answered = operations.iter().filter(|done| done.ended < u64::MAX);
        answered.count()
    }

    /// What no order explains.
    pub fn wrong(&self) -> Vec<String> {
        let mut by_secret: BTreeMap<usize, Vec<Operation>> = BTreeMap::new();
        for operation in self.operations.lock().expect("no panic").iter() {
            by_secret
                .entry(operation.secret)
                .or_default()
                .push(*operation);
        }
        by_secret.into_values().flat_map(wrong_of).collect()
    }
}

impl Operation {
    /// The version that it made or saw.
    fn version(&self) -> Option<u64> {
        match self.done {
            Done::Written { version, .. } | Done::Read { version, .. } => Some(version),
            Done::Mismatch { .. } | Done::Unknown { .. } => None,
        }
    }

    /// Whether it is of the same version or value.
    fn is_of(&self, other: &Self) -> bool {
        let value = |operation: &Self| match operation.done {
            Done::Written { value, .. }
            | Done::Mismatch { value, .. }
            | Done::Unknown { value }
            | Done::Read { value, .. } => value,
        };
        let version = self
            .version()
            .filter(|version| other.version() == Some(*version));
        version.is_some() || value(self) == value(other)
    }
}

/// Of one secret.
fn wrong_of(mut operations: Vec<Operation>) -> Vec<String> {
    let mut wrong = Vec::new();
    // Who may have made which value, and who made which version.
    let (mut values, mut makers) = (BTreeMap::new(), BTreeMap::new());
    for operation in &operations {
        match operation.done {
            Done::Written { value, version, .. } => {
                values.insert(value, (operation.began, Some(version)));
                if let Some(other) = makers.insert(version, *operation) {
                    wrong.push(format!("two made one version: {other:?}, {operation:?}"));
                }
            }
            Done::Unknown { value } => drop(values.insert(value, (operation.began, None))),
            Done::Mismatch { .. } | Done::Read { .. } => {}
        }
    }
    operations.sort_by_key(|operation| operation.began);
    let mut ended = operations.clone();
    ended.sort_by_key(|operation| operation.ended);
    let (mut ended, mut floor) = (ended.into_iter().peekable(), 0);
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    for operation in &operations {
        // What was made or seen before this began.
        while let Some(before) = ended.next_if(|before| before.ended < operation.began) {
            floor = floor.max(before.version().unwrap_or(0));
        }
        let holds = match operation.done {
            Done::Written {
                expected, version, ..
            } => version > floor && expected.is_none_or(|expected| version == expected + 1),
            Done::Read { version: 0, .. } => floor == 0,
            Done::Read { version, value } => {
                let made = values.get(&value).is_some_and(|(began, made)| {
                    *began < operation.ended && made.is_none_or(|made| made == version)
                });
                let same = *seen.entry(version).or_insert(value) == value;
                version >= floor && made && same
            }
            Done::Mismatch { expected, .. } => {
                let passed_by = |other: &Operation| {
                    other.began < operation.ended
                        && match other.done {
                            Done::Unknown { .. } => true,
                            Done::Written { version, .. } => version > expected,
                            _ => false,
                        }
                };
                floor != expected || operations.iter().any(passed_by)
            }
            Done::Unknown { .. } => true,
        };
        if !holds {
            let others = operations.iter().filter(|other| other.is_of(operation));
            let others: Vec<_> = others.collect();
            wrong.push(format!(
                "after version {floor}: {operation:?}, and {others:#?}"
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(began: u64, ended: u64, version: u64) -> Operation {
        let done = Done::Read {
            version,
            value: version * 10,
        };
        Operation {
            secret: 0,
            began,
            ended,
            done,
        }
    }

    fn written(began: u64, ended: u64, version: u64, expected: Option<u64>) -> Operation {
        let done = Done::Written {
            value: version * 10,
            expected,
            version,
        };
        Operation {
            secret: 0,
            began,
            ended,
            done,
        }
    }

    fn mismatch(began: u64, ended: u64, expected: u64) -> Operation {
        Operation {
            secret: 0,
            began,
            ended,
            done: Done::Mismatch { value: 0, expected },
        }
    }

    #[test]
    fn what_one_order_explains_is_right() {
        let two = written(4, 9, 2, Some(1));
        let history = [
            written(0, 1, 1, None),
            two,
            read(5, 6, 1),
            read(7, 8, 2),
            read(10, 11, 2),
        ];
        assert_eq!(wrong_of(history.to_vec()), [""; 0]);
        let unknown = Operation {
            done: Done::Unknown { value: 20 },
            ended: u64::MAX,
            ..two
        };
        let lost = [
            written(0, 1, 1, None),
            unknown,
            read(5, 6, 2),
            mismatch(7, 8, 1),
        ];
        assert_eq!(wrong_of(lost.to_vec()), [""; 0]);
    }

    #[test]
    fn what_no_order_explains_is_wrong() {
        let (one, two) = (written(0, 1, 1, None), written(2, 3, 2, Some(1)));
        for history in [
            vec![one, two, read(4, 5, 1)],
            vec![one, read(2, 3, 0)],
            vec![one, read(2, 3, 2), written(4, 5, 2, None)],
            vec![one, written(2, 3, 1, None)],
            vec![one, written(2, 3, 3, Some(1))],
            vec![one, two, read(4, 9, 3)],
            vec![one, two, read(2, 9, 2), read(4, 5, 1)],
            vec![one, mismatch(2, 3, 1)],
            vec![
                one,
                two,
                Operation {
                    done: Done::Read {
                        version: 2,
                        value: 10,
                    },
                    ..read(4, 5, 2)
                },
            ],
        ] {
            assert!(!wrong_of(history.clone()).is_empty(), "{history:?}");
        }
    }
}
