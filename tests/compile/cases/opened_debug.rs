//! E0277: What a data key opens is not printed.

use coffer::crypto::Prepared;

fn decide(key: &Prepared, sealed: &[u8]) -> String {
    key.open(sealed).map(|opened| format!("{opened:?}")).unwrap_or_default()
}

fn main() {}
