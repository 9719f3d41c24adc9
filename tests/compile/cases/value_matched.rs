//! E0599: A value is not taken apart without the word `expose`.

use coffer::model::Value;

fn decide(value: &Value) {
    if let Value::Text(text) = value {
        let _printed = format!("{text:?}");
    }
}

fn main() {}
