//! E0277: A value is not written as JSON.

use coffer::model::Value;

fn decide(value: &Value) {
    let _json = serde_json::to_string(value);
}

fn main() {}
