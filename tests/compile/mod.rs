//! What a decision is given reaches no connection, no transaction and no printable secret, because it does not compile.
//! Each case names the error that stops it in its first line, and has a twin that differs in little and compiles.
//!
//! Invariant: a case fails for the reason it names and for no other.

mod twins;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn files(folder: &str, ending: &str) -> BTreeSet<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/compile")
        .join(folder);
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect()
}

fn names(paths: &BTreeSet<PathBuf>) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().expect("a name").display().to_string();
    paths
        .iter()
        .map(stem)
        .filter(|name| name != "mod")
        .collect()
}

/// A library as this very run of the tests was built with it: the newest beside them.
fn library(name: &str) -> PathBuf {
    let begin = format!("lib{name}-");
    let tests = std::env::current_exe().expect("this program has a path");
    let entries = fs::read_dir(tests.parent().expect("a folder")).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&begin) && name.ends_with(".rlib"))
    };
    let built = |path: &PathBuf| {
        let known = fs::metadata(path).and_then(|known| known.modified());
        known.expect("a file that is there")
    };
    let newest = paths.filter(is_library).max_by_key(built);
    newest.expect("the library was built before its tests")
}

/// The errors of a case, as the compiler renders them, with their codes; not the sentence that counts them.
fn errors(case: &Path, libraries: &[(&str, PathBuf)], out: &Path) -> Vec<(String, String)> {
    let known = libraries.iter().map(|(name, file)| {
        let folder = file.parent().expect("a folder").display().to_string();
        [
            format!("--extern={name}={}", file.display()),
            format!("-L{folder}"),
        ]
    });
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(compiler)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "--edition",
            "2024",
            "--emit",
            "metadata",
            "--error-format",
            "json",
        ])
        .args(known.flatten())
        .arg("--out-dir")
        .arg(out)
        .arg(case)
        .output()
        .expect("the compiler that built the tests is there");
    let said = String::from_utf8(compiled.stderr).expect("the compiler writes text");
    let diagnostics = said.lines().map(|line| {
        let value: Value = serde_json::from_str(line).expect("the compiler writes JSON");
        value
    });
    let errors = diagnostics.filter_map(|diagnostic| {
        let code = diagnostic["code"]["code"].as_str()?.to_owned();
        let rendered = diagnostic["rendered"].as_str()?.to_owned();
        (diagnostic["level"] == "error").then_some((code, rendered))
    });
    errors.collect()
}

/// For the reason that it names, at the place and in the words that are kept beside it.
#[test]
fn what_must_not_compile_does_not() {
    let libraries = ["coffer", "serde_json"].map(|name| (name, library(name)));
    let out = tempfile::tempdir().expect("a folder");
    for case in files("cases", "rs") {
        let text = fs::read_to_string(&case).expect("a case");
        let named = text
            .strip_prefix("//! ")
            .and_then(|line| line.split(':').next());
        let kept = fs::read_to_string(case.with_extension("stderr")).expect("what is kept");
        let path = case.strip_prefix(env!("CARGO_MANIFEST_DIR"));
        let errors = errors(path.expect("a case of ours"), &libraries, out.path());
        let [(code, rendered)] = errors.as_slice() else {
            panic!("{}: one error and not {errors:#?}", case.display());
        };
        assert_eq!(Some(code.as_str()), named, "{}", case.display());
        // How far the place is moved in depends on what is said below it.
        let words: Vec<&str> = rendered.lines().take(2).map(str::trim).collect();
        let kept: Vec<&str> = kept.lines().map(str::trim).collect();
        assert_eq!(words, kept, "{}", case.display());
    }
}

#[test]
fn each_case_has_a_twin_that_compiles() {
    let (cases, twins) = (names(&files("cases", "rs")), names(&files("twins", "rs")));
    assert_eq!(cases, twins);
    let compiled = include_str!("twins/mod.rs");
    let lines: BTreeSet<&str> = compiled
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(lines, twins.iter().map(String::as_str).collect());
}
