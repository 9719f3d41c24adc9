//! What a decision is given reaches no connection, no transaction and no printable secret, because it does not compile.
//! Each case names the error that stops it in its first line, and has a twin that differs in little and compiles.
//!
//! Invariant: a case fails for the reason it names and for no other.

mod twins;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
fn what_must_not_compile_does_not() {
    trybuild::TestCases::new().compile_fail("tests/compile/cases/*.rs");
}

#[test]
fn each_case_fails_for_the_reason_it_names() {
    for case in files("cases", "rs") {
        let text = fs::read_to_string(&case).expect("a case");
        let code = text
            .strip_prefix("//! ")
            .and_then(|line| line.split(':').next());
        let code = code.expect("the first line names the error");
        let said =
            fs::read_to_string(case.with_extension("stderr")).expect("what the compiler said");
        let errors: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("error"))
            .collect();
        assert!(errors.len() == 1, "{}: {errors:?}", case.display());
        assert!(
            errors[0].starts_with(&format!("error[{code}]: ")),
            "{}: {errors:?}",
            case.display()
        );
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
