//! What a decision touches is added.

use coffer::door::Decision;
use coffer::model::Ref;

pub fn decide(decision: Decision<()>) -> Decision<()> {
    decision.touch(Ref::PLACES)
}
