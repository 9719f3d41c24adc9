//! Fuzz targets of seals: the record that a store keeps, and the file of a root key.
//!
//! Invariant: no key is derived from a passphrase here, which would take all the time there is.

use super::record::SealRecord;
use crate::crypto::RootKey;

/// All that is ever said of what is no key.
const REFUSED: &str = "sealed data does not open with this key at this place";

/// A record, which is read again as it was.
pub(crate) fn record(input: &[u8]) {
    let Ok(record) = SealRecord::parse(input) else {
        return;
    };
    assert!(input.len() <= 4_096);
    assert_eq!(
        SealRecord::parse(&record.to_bytes()).ok(),
        Some(record.clone())
    );
    assert_eq!(record.expect_file().is_ok(), record.name() == "file");
    assert_eq!(
        record.expect_passphrase().is_ok(),
        record.name() == "passphrase"
    );
    let json: serde_json::Value = serde_json::from_slice(input).expect("a record is JSON");
    assert_eq!(json["format"], 1);
}

/// The digits of a key file.
pub(crate) fn root_key(input: &[u8]) {
    match RootKey::from_hex(input) {
        Ok(root) => assert_eq!(root.to_hex().expose(), input, "a key has one spelling"),
        Err(refused) => assert_eq!(refused.to_string(), REFUSED),
    }
}
