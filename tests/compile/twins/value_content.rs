//! A value is copied as a value.

use coffer::model::Value;

pub fn decide(value: &Value) -> Value {
    value.copy()
}
