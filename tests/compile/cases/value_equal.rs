//! E0369: Two values are not compared, which takes as long as they agree.

use coffer::model::Value;

fn decide(one: &Value, other: &Value) -> bool {
    one == other
}

fn main() {}
