//! What tells one request from another, for those that are made once: a MAC over all that is asked.
//! A body holds secrets, so it is no plain hash, which whoever reads it could find by guessing.
//!
//! Invariant: nothing of a request is kept in here.

use super::Door;

impl Door {
    /// The fingerprint of a request that has these parts.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.shared.keys.receipt_mac().fingerprint(parts)
    }
}
