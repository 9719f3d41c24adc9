//! Whether it opens is.

use coffer::crypto::Prepared;

pub fn decide(key: &Prepared, sealed: &[u8]) -> String {
    format!("{:?}", key.open(sealed).is_ok())
}
