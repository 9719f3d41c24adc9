//! The cluster is loaded through the view.

use coffer::door::View;

pub async fn decide(view: &View) {
    let _cluster = view.cluster().await;
}
