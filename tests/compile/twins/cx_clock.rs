//! Chance is an argument.

use coffer::door::Cx;

pub fn decide(cx: &Cx<'_>) -> [u8; 10] {
    cx.id_bytes()
}
