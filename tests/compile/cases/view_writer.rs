//! E0599: A view gives no connection that writes.

use coffer::door::View;

async fn decide(view: &View) {
    let _writer = view.writer().await;
}

fn main() {}
