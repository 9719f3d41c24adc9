//! Its id can.

use coffer::crypto::HashedToken;

pub fn decide(token: &HashedToken) -> String {
    token.id().to_string()
}
