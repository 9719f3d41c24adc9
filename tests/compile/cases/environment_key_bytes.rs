//! E0616: An environment's key shows no byte of itself.

use coffer::crypto::EnvironmentKey;

fn decide(key: &EnvironmentKey) {
    let _bytes = &key.key;
}

fn main() {}
