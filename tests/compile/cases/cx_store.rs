//! E0609: What a decision is given besides its view holds no store.

use coffer::door::Cx;

fn decide(cx: &Cx<'_>) {
    let _store = &cx.store;
}

fn main() {}
