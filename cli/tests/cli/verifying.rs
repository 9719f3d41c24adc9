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
        if ["example.bundle", "pruned.bundle"].contains(&name.as_str()) {
            assert!(ran(&key).exits(0).stdout().starts_with("verified: "));
            ran(&self::key()).exits(6).prints("");
        } else if name.ends_with(".bundle") {
            ran(&key).exits(6).prints("").says("does not verify: ");
            refused += 1;
        }
    }
    assert!(refused > 0, "the damaged bundles are committed");
}

/// A file of the committed examples, which are of one cluster.
fn example(name: &str) -> std::path::PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/audit");
    std::path::Path::new(folder).join(name)
}

/// The signed head of the first stream of a bundle.
fn head_of(bundle: &str) -> String {
    let text = std::fs::read_to_string(example(bundle)).expect("an example");
    let lines = text.split_inclusive('\n').skip(5).take(5);
    lines.collect()
}

#[test]
fn a_bundle_has_to_continue_the_heads_that_were_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("head").display().to_string();
    let key = format!("@{}", example("example.vkey").display());
    let verify = |bundle: &str, head: &str| {
        std::fs::write(&file, head).expect("written");
        let bundle = example(bundle).display().to_string();
        coffer(&["audit", "verify", &bundle, "--key", &key, "--head", &file]).run()
    };
    let (older, newer) = (head_of("example.bundle"), head_of("pruned.bundle"));
    let listed = |note: &str| {
        let head = serde_json::json!({ "stream": "node-a", "size": 5, "root": "", "note": note });
        serde_json::json!({ "heads": [head] }).to_string()
    };
    for head in [older.clone(), listed(&older)] {
        let ran = verify("example.bundle", &head);
        assert!(ran.exits(0).stdout().starts_with("verified: 9 "));
        verify("pruned.bundle", &head).exits(0);
    }
    for head in [newer.clone(), listed(&newer)] {
        verify("example.bundle", &head)
            .exits(6)
            .says("had 19 records here, and the bundle holds 5");
    }
    verify("example.bundle", &older.replacen('5', "4", 1))
        .exits(6)
        .says("no heads that were signed with this key");
    verify("example.bundle", "").exits(6);
    verify("example.bundle", "{\"heads\":[]}")
        .exits(2)
        .says("holds no head");
}
