//! What is found is a row.

use coffer::store::Store;

pub async fn open(store: &Store) {
    let _world = store.find_world().await;
}
