//! E0616: What was decided is not changed behind the documents that were sealed.

use coffer::door::Decision;

fn decide(mut decision: Decision<()>) {
    decision.changes.documents.clear();
}

fn main() {}
