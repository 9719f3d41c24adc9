//! The public key is.

use coffer::door::Cx;

pub fn decide(cx: &Cx<'_>) -> String {
    format!("{:?}", cx.keys.signer().public_key())
}
