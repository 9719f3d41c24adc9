//! A view gives the heads of the log.

use coffer::door::View;

pub async fn decide(view: &View) {
    let _heads = view.list_heads().await;
}
