//! E0609: Nor a clock: a decision has one instant.

use coffer::door::Cx;

fn decide(cx: &Cx<'_>) {
    let _clock = &cx.clock;
}

fn main() {}
