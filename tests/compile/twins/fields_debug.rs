//! Their names are.

use coffer::model::Fields;

pub fn decide(fields: &Fields) -> String {
    let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
    format!("{names:?}")
}
