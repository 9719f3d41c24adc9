//! A view answers what it is asked for.

use coffer::door::View;

pub async fn decide(view: &View) {
    let _places = view.places().await;
}
