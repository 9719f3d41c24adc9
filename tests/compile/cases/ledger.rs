//! E0603: The ledger is nobody's but the door's.

use coffer::door::ledger::Ledger;

fn decide(_: &Ledger) {}

fn main() {}
