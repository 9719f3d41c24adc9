//! Its length is.

use coffer::model::Value;

pub fn decide(value: &Value) -> String {
    format!("{:?}", value.expose().len())
}
