//! Stories of the two seals: what opens, and the sentence for what does not.

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    crypto::{RootKey, RootPlace, SecretBytes},
    entropy::SeededEntropy,
    model::ClusterId,
};

const PLACE: RootPlace = RootPlace::of(ClusterId::from_bytes([1; 16]));
const OTHER: RootPlace = RootPlace::of(ClusterId::from_bytes([2; 16]));

fn secret(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}

fn written(directory: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// The sentence of a refusal; it never holds what the file held.
fn sentence(result: Result<RootKey, SealError>) -> String {
    let text = result.err().expect("it is refused").to_string();
    assert!(text.ends_with('.') && !text.contains("4242"), "{text}");
    text
}

#[test]
fn a_key_file_is_made_once_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.key");
    let (root, record) = file::create(&SeededEntropy::new(1), PLACE, &path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() == 65 && text.ends_with('\n'));

    let record = SealRecord::parse(&record.to_bytes()).unwrap();
    let again = file::open(&record, PLACE, &path).unwrap();
    assert_eq!(again.check_value(PLACE), root.check_value(PLACE));
    let (kept, _) = file::create(&SeededEntropy::new(2), PLACE, &path).unwrap();
    assert_eq!(
        kept.check_value(PLACE),
        root.check_value(PLACE),
        "a key file is never overwritten"
    );
}

#[test]
fn a_key_file_that_others_may_touch_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.key");
    let (_, record) = file::create(&SeededEntropy::new(1), PLACE, &path).unwrap();
    let open = |path: &Path| file::open(&record, PLACE, path);
    for mode in [0o640, 0o604, 0o660, 0o602, 0o601, 0o700, 0o644, 0o4600] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(sentence(open(&path)).contains("run chmod 600"), "{mode:o}");
    }
    for mode in [0o600, 0o400] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(open(&path).is_ok(), "{mode:o}");
    }
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(sentence(open(&link)).contains("not a regular file"));
    assert!(sentence(open(directory.path())).contains("not a regular file"));
    assert!(sentence(open(Path::new("/dev/zero"))).contains("not a regular file"));
    assert!(
        sentence(open(&directory.path().join("absent")))
            .contains("absent, which `seal` of the configuration names, is not there")
    );
}

#[test]
fn a_key_file_of_another_user_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.key");
    let (_, record) = file::create(&SeededEntropy::new(1), PLACE, &path).unwrap();
    // Only root may give a file away; elsewhere the file stays ours and is read.
    if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
        assert!(sentence(file::open(&record, PLACE, &path)).contains("belongs to user 65534"));
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.key");
    let (_, record) = file::create(&SeededEntropy::new(1), PLACE, &path).unwrap();
    let good = std::fs::read_to_string(&path).unwrap();
    let bad: [Vec<u8>; 10] = [
        vec![],
        b"\n".to_vec(),
        "42".repeat(31).into_bytes(),
        "42".repeat(33).into_bytes(),
        "42".repeat(32).into_bytes(),
        "4".repeat(1 << 20).into_bytes(),
        good.to_uppercase().into_bytes(),
        format!("{good}\n").into_bytes(),
        format!("{}\r\n", good.trim()).into_bytes(),
        vec![0x42; 32],
    ];
    for content in bad {
        let path = written(directory.path(), "bad.key", &content, 0o600);
        let text = sentence(file::open(&record, PLACE, &path));
        assert!(text.contains("is not a root key file"), "{text}");
    }
}

#[test]
fn the_key_of_another_store_is_named_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    let (_, record) = file::create(&SeededEntropy::new(1), PLACE, &one).unwrap();
    file::create(&SeededEntropy::new(2), PLACE, &two).unwrap();
    assert!(sentence(file::open(&record, PLACE, &two)).contains("not the key of this store"));
    assert!(sentence(file::open(&record, OTHER, &one)).contains("not the key of this store"));
    let refused = sentence(passphrase::open(
        &record,
        PLACE,
        &secret("a long passphrase"),
    ));
    assert_eq!(
        refused,
        "this store is sealed by file, but the configuration says passphrase: set seal.kind to file."
    );
}

#[test]
fn a_passphrase_gives_the_same_root_key_and_another_none() {
    let passphrase = secret("correct horse battery staple");
    let (root, record) = passphrase::create(&SeededEntropy::new(1), PLACE, &passphrase).unwrap();
    let record = SealRecord::parse(&record.to_bytes()).unwrap();
    let again = passphrase::open(&record, PLACE, &passphrase).unwrap();
    assert_eq!(again.check_value(PLACE), root.check_value(PLACE));

    let refused = |cluster, text: &str| sentence(passphrase::open(&record, cluster, &secret(text)));
    assert!(refused(PLACE, "correct horse battery stapl").starts_with("the passphrase is wrong"));
    assert!(refused(PLACE, "").starts_with("the passphrase is wrong"));
    assert!(refused(OTHER, "correct horse battery staple").starts_with("the passphrase is wrong"));
    let other = file::open(&record, PLACE, Path::new("/nowhere"));
    assert!(sentence(other).contains("sealed by passphrase"));
}

#[test]
fn a_passphrase_has_a_length() {
    for text in ["", "short", &"x".repeat(1_025)] {
        let made = passphrase::create(&SeededEntropy::new(1), PLACE, &secret(text));
        assert!(matches!(made, Err(SealError::PassphraseLength)));
    }
}

/// What a database writer may try: cheaper guessing, a busy server, another key, a record of another kind.
#[test]
fn an_edited_record_is_refused() {
    let passphrase = secret("correct horse battery staple");
    let (_, record) = passphrase::create(&SeededEntropy::new(1), PLACE, &passphrase).unwrap();
    let text = String::from_utf8(record.to_bytes()).unwrap();
    let open = |text: &str| {
        SealRecord::parse(text.as_bytes())
            .and_then(|record| passphrase::open(&record, PLACE, &passphrase))
    };
    assert!(open(&text).is_ok());
    for (from, to) in [
        ("\"memory_kib\":65536", "\"memory_kib\":47103"),
        ("\"memory_kib\":65536", "\"memory_kib\":8"),
        ("\"memory_kib\":65536", "\"memory_kib\":4294967295"),
        ("\"passes\":3", "\"passes\":0"),
        ("\"passes\":3", "\"passes\":1000000"),
        ("\"lanes\":1", "\"lanes\":0"),
        ("\"lanes\":1", "\"lanes\":64"),
    ] {
        assert!(
            sentence(open(&text.replace(from, to))).contains("Argon2id parameters"),
            "{to}"
        );
    }
    let cheaper = text
        .replace("\"passes\":3", "\"passes\":1")
        .replace("65536", "47104");
    assert!(
        sentence(open(&cheaper)).starts_with("the passphrase is wrong"),
        "bound into the wrap"
    );
    for (from, to) in [
        ("\"format\":1", "\"format\":2"),
        ("\"lanes\"", "\"lanes2\""),
        ("{\"format\"", "{\"extra\":1,\"format\""),
        ("\"salt\":\"", "\"salt\":\"*"),
        ("\"salt\":\"", "\"salt\":\"AAAA"),
        ("}", ""),
    ] {
        assert!(
            sentence(open(&text.replace(from, to))).contains("is damaged"),
            "{to}"
        );
    }
    assert!(matches!(
        SealRecord::parse(&[b' '; 5_000]),
        Err(SealError::Damaged)
    ));
    let (_, other) = passphrase::create(&SeededEntropy::new(2), PLACE, &passphrase).unwrap();
    let check = |text: &str| text.split('"').nth(5).unwrap().to_owned();
    let foreign = text.replace(
        &check(&text),
        &check(&String::from_utf8(other.to_bytes()).unwrap()),
    );
    assert!(sentence(open(&foreign)).contains("not the key of this store"));
}

#[test]
fn a_passphrase_file_follows_the_same_rules() {
    let directory = tempfile::tempdir().unwrap();
    let read = |content: &[u8], mode| {
        file::read_passphrase(&written(directory.path(), "pass", content, mode))
    };
    for content in [
        &b"correct horse"[..],
        b"correct horse\n",
        b"correct horse\r\n",
    ] {
        assert_eq!(read(content, 0o600).unwrap().expose(), b"correct horse");
    }
    assert_eq!(
        read(b" correct horse \n\n", 0o400).unwrap().expose(),
        b" correct horse \n"
    );
    assert!(matches!(
        read(b"correct horse", 0o640),
        Err(SealError::TooOpen { .. })
    ));
    for content in [vec![], b"\n".to_vec(), vec![b'x'; 1_025], vec![b'x'; 5_000]] {
        assert!(matches!(
            read(&content, 0o600),
            Err(SealError::NotAPassphrase(_))
        ));
    }
}
