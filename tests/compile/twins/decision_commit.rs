//! It says which version it made.

use coffer::door::Decision;

pub fn decide(decision: Decision<()>) -> Decision<()> {
    decision.version(7)
}
