//! Who has a store reads it; a decision has none.

use coffer::store::Store;

pub async fn open(store: &Store) {
    let _reader = store.reader().await;
}
