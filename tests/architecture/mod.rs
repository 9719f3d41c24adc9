//! What the layout promises, read from the source: who may use whom, where secrets are opened, what a file may be.
//! The compiler cannot say it within one crate, so these tests do.
//!
//! Invariant: a list of exceptions in here only grows in a change that says why.

mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{File, files};

/// Everything of ours.
const ALL: [&str; 6] = ["src", "cli", "crates", "bench", "fuzz", "tests"];

/// What a module of the library may use besides itself: `design.md`, section 7.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("http", &["jobs", "operations", "door", "metrics", "model"]),
    (
        "jobs",
        &["operations", "door", "outbound", "metrics", "model"],
    ),
    ("operations", &["door", "crypto", "model"]),
    ("door", &["store", "crypto", "metrics", "model"]),
    ("store", &["model"]),
    ("seal", &["crypto", "outbound", "model"]),
    ("outbound", &["model"]),
    ("crypto", &["model"]),
    ("metrics", &["model"]),
    ("config", &["model"]),
    ("clock", &["model"]),
    ("entropy", &["model"]),
    ("fault", &[]),
    ("model", &[]),
];

/// What every module may use.
const FOR_ALL: [&str; 5] = ["config", "clock", "entropy", "fault", "fuzzing"];

/// What hands the parts to each other, and the table of all fuzz targets: it may use everything.
const COMPOSITION: [&str; 4] = ["main", "lib", "commands", "fuzzing"];

/// Crates that one part of the library alone speaks with.
const CRATES: [(&str, &[&str]); 17] = [
    ("coffer_api", &["http"]),
    ("coffer_audit_log", &["door"]),
    ("sqlx", &["store"]),
    ("reqwest", &[]),
    ("hyper", &["http", "outbound"]),
    ("hyper_util", &["http", "outbound"]),
    ("http_body_util", &["http", "outbound"]),
    ("axum", &["http"]),
    ("tokio_rustls", &["http", "outbound"]),
    ("rustls_native_certs", &["outbound"]),
    // A token URL is a noun; `outbound` form-encodes with it; `http` has a module of that name.
    ("url", &["model", "outbound", "http"]),
    ("aes_gcm", &["crypto"]),
    ("chacha20poly1305", &["crypto"]),
    ("hkdf", &["crypto"]),
    ("hmac", &["crypto"]),
    ("getrandom", &["entropy"]),
    ("argon2", &["seal"]),
];

/// Lines of a file.
const LINES_MAX: usize = 400;
/// Lines of `src/main.rs`.
const MAIN_LINES_MAX: usize = 80;

/// The module of the library that a file belongs to: its first folder, or its own name.
fn part(file: &File) -> String {
    match file.modules().into_iter().next() {
        Some(part) => part,
        None => file.path[4..].trim_end_matches(".rs").to_owned(),
    }
}

/// The text of every file of the server.
pub fn texts() -> Vec<String> {
    files(&["src"]).into_iter().map(|file| file.text).collect()
}

/// The name of every function of ours.
pub fn functions() -> BTreeSet<String> {
    let files = files(&ALL);
    let words = files.iter().flat_map(|file| file.words.windows(2));
    let named = words.filter(|row| row[0] == "fn");
    named.map(|row| row[1].clone()).collect()
}

#[test]
fn nothing_calls_upward() {
    let mut wrong = Vec::new();
    for file in files(&["src"]) {
        let part = part(&file);
        if COMPOSITION.contains(&part.as_str()) {
            continue;
        }
        let row = MAY_USE.iter().find(|(module, _)| *module == part);
        let (_, allowed) = row.unwrap_or_else(|| panic!("{} is in no row of the table", file.path));
        for name in file.names_below_root() {
            let known =
                name == part || allowed.contains(&&*name) || FOR_ALL.contains(&name.as_str());
            if !known {
                wrong.push(format!("{}: {part} may not use {name}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_foreign_crate_is_spoken_with_in_one_place() {
    let names: Vec<&str> = CRATES.iter().map(|(name, _)| *name).collect();
    let mut wrong = Vec::new();
    for file in files(&["src"]) {
        let part = part(&file);
        for name in file.crates(&names) {
            let (_, parts) = CRATES
                .iter()
                .find(|(known, _)| *known == name)
                .expect("it is one of them");
            if !parts.contains(&part.as_str()) {
                wrong.push(format!("{}: {name} is for {parts:?}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_code_stands_in_one_file() {
    let files = files(&ALL);
    let holders = files
        .iter()
        .filter(|file| file.words.iter().any(|word| word == "unsafe"))
        .map(|file| file.path.as_str());
    assert_eq!(holders.collect::<Vec<_>>(), ["src/crypto/locked.rs"]);
    let allowing = files
        .iter()
        .filter(|file| {
            file.words.windows(3).any(|row| {
                row == ["allow", "(", "unsafe_code"] || row == ["expect", "(", "unsafe_code"]
            })
        })
        .map(|file| file.path.as_str());
    assert_eq!(allowing.collect::<Vec<_>>(), ["src/crypto/locked.rs"]);
    let manifest = include_str!("../../Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// The words that open a secret.
const EXPOSING: [&str; 4] = ["expose", "expose_text", "expose_owned", "expose_encoded"];

/// Where secrets are opened, and how often, outside of tests.
const OPENED: [(&str, usize); 29] = [
    // Printed because it was asked for, handed to a program that is run, shown once.
    ("cli/src/commands/get.rs", 3),
    ("cli/src/commands/oauth/token.rs", 1),
    ("cli/src/commands/run.rs", 2),
    ("cli/src/commands/tokens.rs", 1),
    // Its own length, and its way onto the wire.
    ("crates/api/src/values.rs", 3),
    // The first token, given once: to `dev.env`, a terminal or a file of the operator's; the passphrase, read.
    ("src/commands/dev.rs", 1),
    ("src/commands/dev_env.rs", 1),
    ("src/commands/init.rs", 1),
    ("src/commands/terminal.rs", 2),
    ("src/commands/unseal.rs", 1),
    // Keys, where keys live.
    ("src/crypto/envelope.rs", 2),
    ("src/crypto/keys.rs", 2),
    ("src/crypto/mac.rs", 2),
    ("src/crypto/root.rs", 5),
    ("src/crypto/signer.rs", 1),
    ("src/crypto/token.rs", 1),
    // What was sealed as a document, opened to be parsed.
    // And a version, encoded to be sealed.
    ("src/door/sealing.rs", 1),
    ("src/door/documents.rs", 1),
    ("src/door/facts/versions.rs", 1),
    ("src/door/segments/opened.rs", 1),
    ("src/door/segments/summary.rs", 1),
    // A provider's answer, sealed for the spool and opened again.
    ("src/door/spool.rs", 3),
    // The answer to a read, a grant that was given and an access token, and a new token, shown once.
    ("src/http/connections.rs", 2),
    ("src/http/secrets.rs", 1),
    ("src/http/tokens.rs", 1),
    // Encoded for its data key, and measured.
    ("src/model/values.rs", 3),
    // A refresh token and a client's secret, on their way to the provider.
    ("src/outbound/form.rs", 1),
    // The root key's file, and a passphrase for Argon2id.
    ("src/seal/file.rs", 1),
    ("src/seal/passphrase.rs", 1),
];

#[test]
fn secrets_are_opened_where_the_list_says() {
    let files = files(&["src", "cli/src", "crates"]);
    let test_files: BTreeSet<String> = files.iter().flat_map(File::test_files).collect();
    let opened: BTreeMap<&str, usize> = files
        .iter()
        .filter(|file| !is_test(file, &test_files))
        .map(|file| {
            let count = |word: &&str| file.count_in_program(&[".", word, "("]);
            (
                file.path.as_str(),
                EXPOSING.iter().map(count).sum::<usize>(),
            )
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    let words = files.iter().flat_map(|file| &file.words);
    let named = words.filter(|word| word.starts_with("expose"));
    assert!({ named }.all(|word| EXPOSING.contains(&word.as_str())));
    let listed: BTreeMap<&str, usize> = OPENED.into_iter().collect();
    assert_eq!(opened, listed, "read each new caller before it is listed");
}

/// Whether a file is one of these or below one of them.
fn is_test(file: &File, test_files: &BTreeSet<String>) -> bool {
    let stem = file.path.trim_end_matches(".rs");
    let mut known = test_files.iter();
    known.any(|test| stem == test || stem.starts_with(&format!("{test}/")))
}

#[test]
fn time_and_chance_are_asked_for_in_two_files() {
    let allowed = ["src/clock.rs", "src/entropy.rs"];
    for file in files(&["src", "cli/src", "crates", "tests"]) {
        let allows = file.words.windows(4).any(|row| {
            matches!(row[0].as_str(), "allow" | "expect") && row[1..] == ["(", "clippy", "::"]
        }) && file.words.iter().any(|word| word == "disallowed_methods");
        assert_eq!(
            allows && !file.path.starts_with("tests/architecture"),
            allowed.contains(&file.path.as_str()),
            "{}",
            file.path
        );
    }
    let banned = include_str!("../../clippy.toml");
    for method in [
        "SystemTime::now",
        "Instant::now",
        "getrandom::fill",
        "rand::rng",
    ] {
        assert!(banned.contains(method), "{method} is not in clippy.toml");
    }
}

#[test]
fn a_file_fits_the_mind() {
    let long: Vec<_> = files(&ALL)
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:?}");
    let main = include_str!("../../src/main.rs").lines().count();
    assert!(main <= MAIN_LINES_MAX, "src/main.rs has {main} lines");
}

#[test]
fn a_file_says_what_it_is() {
    let files = files(&ALL);
    let test_files: BTreeSet<String> = files.iter().flat_map(File::test_files).collect();
    for file in &files {
        assert!(file.text.starts_with("//! "), "{} says nothing", file.path);
        let mut lines = file.text.lines();
        let says = lines.any(|line| line.starts_with("//! Invariant:"));
        let bound = file.path.starts_with("src/") && !is_test(file, &test_files);
        assert!(says || !bound, "{} names no invariant", file.path);
    }
}

#[test]
fn nothing_is_left_for_later() {
    for file in files(&ALL) {
        let words: Vec<&str> = file.words.iter().map(String::as_str).collect();
        for left in ["todo", "unimplemented", "dbg"] {
            let found = words.windows(2).any(|row| row == [left, "!"]);
            assert!(!found, "{}: {left}!", file.path);
        }
    }
}
