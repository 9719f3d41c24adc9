//! The head of a stream is a value of it that has.

use coffer::door::Head;

pub fn decide(head: &Head) -> u64 {
    head.checkpoint.size
}
