//! Their number is.

use coffer::model::Fields;

pub fn decide(fields: &Fields) -> usize {
    fields.len()
}
