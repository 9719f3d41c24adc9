//! What it was made for is.

use coffer::crypto::PlainToken;

pub fn decide(token: &PlainToken) -> String {
    format!("{:?}", token.kind())
}
