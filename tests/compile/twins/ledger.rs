//! What a decision gives back is a value.

use coffer::door::Decision;

pub fn decide() -> Decision<u64> {
    Decision::new(7).status(201)
}
