//! A scope is.

use coffer::model::Scope;

pub fn decide(scope: &Scope) -> Option<String> {
    serde_json::to_string(scope).ok()
}
