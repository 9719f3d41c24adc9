//! What clients saw, each operation with when it began and ended, and whether one order of all of them explains it.
//! Each version has a number, so the order of writes is known, and a history is linearisable exactly if that order
//! agrees with the order in which operations began and ended (Herlihy and Wing 1990). No search is needed.
//!
//! Invariant: what was not answered may have happened once, at any time after it began, or never.

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
    /// This value may have been written, if the version was the expected one.
    Unknown { value: u64, expected: Option<u64> },
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

    fn value(&self) -> u64 {
        match self.done {
            Done::Written { value, .. }
            | Done::Mismatch { value, .. }
            | Done::Unknown { value, .. }
            | Done::Read { value, .. } => value,
        }
    }

    /// Whether it is of the same version or value.
    fn is_of(&self, other: &Self) -> bool {
        let version = self.version();
        version.is_some() && version == other.version() || self.value() == other.value()
    }

    /// Whether it may have made this version.
    fn may_be(&self, at: u64) -> bool {
        match self.done {
            Done::Written { version, .. } => version == at,
            Done::Unknown { expected, .. } => expected.is_none_or(|expected| at == expected + 1),
            Done::Mismatch { .. } | Done::Read { .. } => false,
        }
    }

    /// The version that was there for certain when it ended, if this one was when it began.
    fn left(&self, floor: u64) -> u64 {
        match self.done {
            Done::Written { version, .. } | Done::Read { version, .. } => version,
            // Another version than the one that was there at least is a later one.
            Done::Mismatch { expected, .. } if floor >= expected => floor.max(expected + 1),
            Done::Mismatch { .. } | Done::Unknown { .. } => 0,
        }
    }
}

/// Who made what, as far as it was answered or read: no version has two makers, and no value is of two versions.
#[derive(Default)]
struct Made {
    by_version: BTreeMap<u64, Operation>,
    by_value: BTreeMap<u64, u64>,
}

impl Made {
    /// Notes it; whether it contradicts what was noted before.
    fn contradicts(&mut self, maker: Operation, version: u64) -> bool {
        let other = self.by_version.insert(version, maker);
        let before = self.by_value.insert(maker.value(), version);
        other.is_some_and(|other| other.began != maker.began)
            || before.is_some_and(|before| before != version)
    }
}

/// Of one secret.
fn wrong_of(mut operations: Vec<Operation>) -> Vec<String> {
    operations.sort_by_key(|operation| operation.began);
    let mut wrong = Vec::new();
    let makers = operations
        .iter()
        .filter(|operation| matches!(operation.done, Done::Written { .. } | Done::Unknown { .. }));
    let values: BTreeMap<u64, Operation> = makers.map(|maker| (maker.value(), *maker)).collect();
    let mut made = Made::default();
    // A write that was not answered is known by who read its value.
    for told in [true, false] {
        for operation in &operations {
            let maker = match operation.done {
                Done::Written { .. } if told => Some(operation),
                Done::Read {
                    version: 1..,
                    value,
                } if !told => values.get(&value),
                _ => None,
            };
            if let (Some(maker), Some(version)) = (maker, operation.version())
                && made.contradicts(*maker, version)
            {
                wrong.push(format!("two made one version, or one two: {operation:?}"));
            }
        }
    }
    let (floors, left) = bounds(&operations);
    for (operation, floor) in operations.iter().zip(&floors) {
        let holds = match operation.done {
            Done::Written {
                expected, version, ..
            } => version > *floor && expected.is_none_or(|expected| version == expected + 1),
            Done::Read { version: 0, .. } => *floor == 0,
            Done::Read { version, value } => {
                let maker = values.get(&value);
                version >= *floor
                    && maker
                        .is_some_and(|maker| maker.began < operation.ended && maker.may_be(version))
            }
            // Of a version that nobody is known to have made, see below.
            Done::Mismatch { expected, .. } => {
                let next = made.by_version.get(&(expected + 1));
                *floor != expected || next.is_none_or(|maker| maker.began < operation.ended)
            }
            Done::Unknown { value, .. } => {
                let version = made.by_value.get(&value);
                version.is_none_or(|version| version > floor)
            }
        };
        if !holds {
            let others = operations.iter().filter(|other| other.is_of(operation));
            let others: Vec<_> = others.collect();
            wrong.push(format!(
                "after version {floor}: {operation:?}, and {others:#?}"
            ));
        }
    }
    wrong.extend(unmade(&operations, &floors, &left, &made));
    wrong
}

/// The versions that were there for certain when each began, and when each ended, in the order in which they began.
fn bounds(operations: &[Operation]) -> (Vec<u64>, Vec<u64>) {
    let mut by_end: Vec<usize> = (0..operations.len()).collect();
    by_end.sort_by_key(|index| operations[*index].ended);
    let (mut by_end, mut floor) = (by_end.into_iter().peekable(), 0);
    let (mut floors, mut left) = (Vec::new(), Vec::new());
    for operation in operations {
        // Whatever ended before this began has begun before it as well.
        while let Some(before) = by_end.next_if(|at| operations[*at].ended < operation.began) {
            floor = floor.max(left[before]);
        }
        floors.push(floor);
        left.push(operation.left(floor));
    }
    (floors, left)
}

/// Versions that were there, and that nobody can have made: each needs a write of its own that was not answered, whose value
/// nobody has read, and that began before the version was there. One that was checked fits one version alone, so it is taken
/// first; one that was not checked and fits a version fits each later one as well, so it does not matter which is taken.
fn unmade(operations: &[Operation], floors: &[u64], left: &[u64], made: &Made) -> Vec<String> {
    let unknown = |at: &usize| {
        let operation = &operations[*at];
        matches!(operation.done, Done::Unknown { .. })
            && !made.by_value.contains_key(&operation.value())
    };
    let mut spare: Vec<usize> = (0..operations.len()).filter(unknown).collect();
    spare.sort_by_key(|at| match operations[*at].done {
        Done::Unknown { expected, .. } => expected.is_none(),
        _ => true,
    });
    let mut wrong = Vec::new();
    for version in 1..=left.iter().copied().max().unwrap_or(0) {
        if made.by_version.contains_key(&version) {
            continue;
        }
        let there = operations.iter().zip(left);
        let there = there.filter(|(_, left)| **left >= version);
        let first = there.min_by_key(|(operation, _)| operation.ended);
        let (first, _) = first.expect("no later one is there than was left");
        let fits = |at: &usize| {
            let maker = &operations[*at];
            maker.may_be(version) && floors[*at] < version && maker.began < first.ended
        };
        match spare.iter().position(fits) {
            Some(at) => drop(spare.remove(at)),
            None => wrong.push(format!(
                "nobody made version {version}, which was there by the end of {first:?}"
            )),
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(began: u64, ended: u64, done: Done) -> Operation {
        let secret = 0;
        Operation {
            secret,
            began,
            ended,
            done,
        }
    }

    fn read(began: u64, ended: u64, version: u64) -> Operation {
        misread(began, ended, version, version * 10)
    }

    /// A read of what may be the value of another version.
    fn misread(began: u64, ended: u64, version: u64, value: u64) -> Operation {
        operation(began, ended, Done::Read { version, value })
    }

    fn written(began: u64, ended: u64, version: u64, expected: Option<u64>) -> Operation {
        let done = Done::Written {
            value: version * 10,
            expected,
            version,
        };
        operation(began, ended, done)
    }

    fn mismatch(began: u64, ended: u64, expected: u64) -> Operation {
        operation(began, ended, Done::Mismatch { value: 0, expected })
    }

    /// Not answered; the value is the one of this version.
    fn unknown(began: u64, version: u64, expected: Option<u64>) -> Operation {
        let value = version * 10;
        operation(began, u64::MAX, Done::Unknown { value, expected })
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
        let one = written(0, 1, 1, None);
        for lost in [
            vec![unknown(4, 2, Some(1)), read(5, 6, 2), mismatch(7, 8, 1)],
            vec![unknown(2, 2, Some(1)), mismatch(3, 4, 1), read(5, 6, 2)],
            // Nobody has read what was lost.
            vec![unknown(2, 9, None), written(3, 4, 3, None), read(5, 6, 3)],
            vec![unknown(2, 9, None), mismatch(3, 4, 1), mismatch(5, 6, 1)],
            // The one that was checked is needed for the second version, and the other for the third.
            vec![
                unknown(2, 8, None),
                unknown(3, 9, Some(1)),
                written(6, 7, 4, None),
            ],
            // It is there only after the read.
            vec![unknown(2, 2, None), mismatch(3, 9, 1), read(4, 5, 1)],
        ] {
            let history = [vec![one], lost].concat();
            assert_eq!(wrong_of(history.clone()), [""; 0], "{history:?}");
        }
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
            vec![one, two, misread(4, 5, 2, 10)],
            // What was lost was expected to be another version.
            vec![one, two, unknown(4, 3, Some(1)), read(5, 6, 3)],
            // It happened twice.
            vec![
                one,
                unknown(2, 2, None),
                read(3, 4, 2),
                misread(5, 6, 3, 20),
            ],
            vec![one, two, misread(4, 5, 3, 20)],
            // Two made one version.
            vec![one, two, unknown(4, 9, None), misread(5, 6, 2, 90)],
            vec![
                one,
                unknown(2, 8, None),
                unknown(3, 2, None),
                misread(4, 7, 2, 80),
                misread(5, 6, 2, 20),
            ],
            // It was read before it began, or after a later one was there.
            vec![one, read(2, 3, 2), unknown(4, 2, None)],
            vec![
                one,
                two,
                written(4, 5, 3, None),
                unknown(6, 9, None),
                misread(7, 8, 3, 90),
            ],
            // What was lost is no reason for this mismatch: it was expected elsewhere, it is the version that was expected, it
            // began too late, or it is the reason for another.
            vec![one, unknown(2, 9, Some(5)), mismatch(3, 4, 1)],
            vec![
                one,
                two,
                unknown(4, 3, None),
                read(5, 6, 3),
                mismatch(7, 8, 3),
            ],
            vec![one, mismatch(2, 3, 1), unknown(4, 2, None)],
            vec![
                one,
                unknown(2, 9, None),
                mismatch(3, 4, 1),
                mismatch(5, 6, 2),
            ],
            // After a mismatch the version that was expected is gone.
            vec![one, unknown(2, 9, None), mismatch(3, 4, 1), read(5, 6, 1)],
            // Nobody made the second version, or not before the third.
            vec![one, written(2, 3, 3, None)],
            vec![one, written(2, 3, 3, None), unknown(4, 9, None)],
            vec![one, unknown(2, 9, Some(2)), written(3, 4, 3, None)],
        ] {
            assert!(!wrong_of(history.clone()).is_empty(), "{history:?}");
        }
    }
}
