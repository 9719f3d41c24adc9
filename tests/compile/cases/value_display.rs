//! E0277: A value is not printed for people.

use coffer::model::Value;

fn decide(value: &Value) -> String {
    format!("{value}")
}

fn main() {}
