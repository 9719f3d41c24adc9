//! It holds the instant.

use coffer::door::Cx;
use coffer::model::Timestamp;

pub fn decide(cx: &Cx<'_>) -> Timestamp {
    cx.now
}
