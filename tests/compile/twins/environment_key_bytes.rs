//! It shows its term.

use coffer::crypto::EnvironmentKey;

pub fn decide(key: &EnvironmentKey) -> u32 {
    key.term()
}
