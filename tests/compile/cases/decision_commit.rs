//! E0599: A decision has no way to make itself true.

use coffer::door::Decision;

async fn decide(decision: Decision<()>) {
    decision.commit().await;
}

fn main() {}
