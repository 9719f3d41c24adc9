//! E0616: The connection in a reader or writer is the store's own.

use coffer::store::Connection;

fn decide(connection: &mut Connection) {
    let _raw = &mut connection.conn;
}

fn main() {}
