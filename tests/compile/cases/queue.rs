//! E0603: Nobody hands the ledger a draft but the door.

use coffer::door::draft::Draft;

fn decide(_: Draft) {}

fn main() {}
