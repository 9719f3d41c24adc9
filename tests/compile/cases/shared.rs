//! E0603: What the parts of the door have in common has no name outside.

use coffer::door::shared::Shared;

fn decide(_: &Shared) {}

fn main() {}
