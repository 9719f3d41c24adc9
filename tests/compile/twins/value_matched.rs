//! With the word it is.

use coffer::model::Value;

pub fn decide(value: &Value) -> &[u8] {
    value.expose()
}
