//! E0599: A token as it is stored cannot be shown.

use coffer::crypto::HashedToken;

fn decide(token: &HashedToken) -> String {
    token.expose().to_owned()
}

fn main() {}
