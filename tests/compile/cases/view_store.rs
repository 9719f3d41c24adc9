//! E0616: A view holds what the node shares, and shows none of it.

use coffer::door::View;

fn decide(view: &View) {
    let _store = &view.shared;
}

fn main() {}
