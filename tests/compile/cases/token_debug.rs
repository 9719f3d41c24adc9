//! E0277: A token is not printed.

use coffer::crypto::PlainToken;

fn decide(token: &PlainToken) -> String {
    format!("{token:?}")
}

fn main() {}
