//! E0624: No decision makes itself a view over the lock.

use coffer::door::View;

fn decide() {
    let _view = View::locked;
}

fn main() {}
