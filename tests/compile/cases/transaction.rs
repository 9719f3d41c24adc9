//! E0624: Even with a writer in hand, nobody outside the store opens a transaction without the world.

use coffer::store::Writer;

async fn decide(writer: &mut Writer) {
    let _begun = writer.begin().await;
}

fn main() {}
