//! A field's name is.

use coffer::model::FieldName;

pub fn decide(name: &FieldName) -> String {
    name.to_string()
}
