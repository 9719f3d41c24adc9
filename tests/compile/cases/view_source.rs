//! E0616: Where a view loads from, a pool or a transaction, is its own affair.

use coffer::door::View;

fn decide(view: &View) {
    let _connection = &view.source;
}

fn main() {}
