//! `audit verify` without a server: 2 when nothing can be found out, 6 for whatever does not verify.

use crate::coffer::coffer;
use base64::Engine;

/// A sound key (the base point's), whose name is of the form that clusters have.
fn key() -> String {
    let name = "coffer/0190a1b2c3d47e5f8091a2b3c4d5e6f7";
    let mut point = [0x66; 32];
    point[0] = 0x58;
    let id = coffer_audit_log::key_id(name, &point);
    let mut bytes = vec![1];
    bytes.extend(point);
    format!(
        "{name}+{id:08x}+{}",
        base64::engine::general_purpose::STANDARD.encode(bytes)
    )
}

#[test]
fn nothing_to_read_or_no_key_is_2() {
    let directory = tempfile::tempdir().expect("a directory");
    let there = directory.path().join("bundle");
    std::fs::write(&there, "").expect("written");
    let (there, away) = (
        there.display().to_string(),
        directory.path().join("away").display().to_string(),
    );
    coffer(&["audit", "verify", &away, "--key", &key()])
        .run()
        .exits(2);
    coffer(&[
        "audit",
        "verify",
        &directory.path().display().to_string(),
        "--key",
        &key(),
    ])
    .run()
    .exits(2);
    coffer(&["audit", "verify", &there])
        .run()
        .exits(2)
        .says("--key");
    coffer(&["audit", "verify", &there, "--key", "nonsense"])
        .run()
        .exits(2)
        .says("key");
    coffer(&["audit", "verify", &there, "--key", &format!("@{away}")])
        .run()
        .exits(2);
}

#[test]
fn what_is_no_bundle_is_6() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, key_file) = (
        directory.path().join("bundle"),
        directory.path().join("key"),
    );
    std::fs::write(&key_file, format!("{}\n", key())).expect("written");
    for content in [&b""[..], b"nonsense\n", b"\0\xff"] {
        std::fs::write(&file, content).expect("written");
        coffer(&[
            "audit",
            "verify",
            &file.display().to_string(),
            "--key",
            &key(),
        ])
        .run()
        .exits(6)
        .says("does not verify");
        let named = format!("@{}", key_file.display());
        coffer(&[
            "audit",
            "verify",
            &file.display().to_string(),
            "--key",
            &named,
        ])
        .run()
        .exits(6);
    }
}

#[test]
fn the_committed_example_verifies_and_its_damaged_brothers_do_not() {
    let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/audit");
    let key = format!("@{}", vectors.join("example.vkey").display());
    let mut refused = 0;
    for entry in std::fs::read_dir(&vectors).expect("the vectors are committed") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let ran = |key: &str| {
            coffer(&["audit", "verify", &path.display().to_string(), "--key", key]).run()
        };
        if name == "example.bundle" {
            assert!(ran(&key).exits(0).stdout().starts_with("verified: "));
            ran(&self::key()).exits(6).prints("");
        } else if name.ends_with(".bundle") {
            ran(&key).exits(6).prints("").says("line ");
            refused += 1;
        }
    }
    assert!(refused > 0, "the damaged bundles are committed");
}
