//! E0277: The fields of a version are not printed.

use coffer::model::Fields;

fn decide(fields: &Fields) -> String {
    format!("{fields:?}")
}

fn main() {}
