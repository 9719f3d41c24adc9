//! The committed example that other implementations are checked with (`tests/vectors/audit`).
//! `COFFER_WRITE_VECTORS=1` writes it anew, which is only right when the format changes.

use std::fs;
use std::path::Path;

use coffer_audit_log::{VerifierKey, verify};

use crate::fixture::example;

#[test]
fn the_committed_example_is_what_is_written_today() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/audit");
    let log = example();
    let key = format!("{}\n", log.key);
    if std::env::var_os("COFFER_WRITE_VECTORS").is_some() {
        fs::write(directory.join("example.bundle"), log.bundle()).unwrap();
        fs::write(directory.join("example.vkey"), &key).unwrap();
    }
    let bundle = fs::read(directory.join("example.bundle")).unwrap();
    assert!(bundle == log.bundle(), "the example bundle changed");
    assert_eq!(
        fs::read_to_string(directory.join("example.vkey")).unwrap(),
        key
    );
    let key: VerifierKey = key.trim_end().parse().unwrap();
    assert_eq!(verify(bundle.as_slice(), &key).unwrap().records, 9);
}
