//! E0616: Nor through its only field.

use coffer::model::Value;

fn decide(value: &Value) {
    let _content = &value.0;
}

fn main() {}
