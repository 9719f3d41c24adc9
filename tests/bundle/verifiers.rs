//! The verifiers that are programs: the built `coffer`, and the one in Python that was written from the format's page.
//!
//! Invariant: a program that is missing fails the test with a sentence that says how to get it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::built::command_line;

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Said {
    code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Said {
    /// It ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// `coffer audit verify`.
pub fn by_binary(arguments: &[&str]) -> Said {
    let mut command = command_line();
    run(command.args(["audit", "verify"]).args(arguments))
}

/// `verify_bundle.py`.
pub fn by_python(arguments: &[&str]) -> Said {
    run(Command::new(python()).arg(script()).args(arguments))
}

/// `verify_bundle.py --mutations`: every bit flipped, every line dropped, repeated and swapped.
pub fn mutations_by_python(bundle: &str, key: &str) -> Said {
    by_python(&["--mutations", bundle, key])
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/verify_bundle.py")
}

/// A Python that has the package `cryptography`: `COFFER_TEST_PYTHON`, or the one that `scripts/test` makes.
fn python() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let python = std::env::var_os("COFFER_TEST_PYTHON").map_or(made, PathBuf::from);
    let there = Command::new(&python)
        .args(["-c", "import cryptography"])
        .output()
        .is_ok_and(|said| said.status.success());
    assert!(
        there,
        "{} is no Python with the package cryptography: run scripts/test, or name one in COFFER_TEST_PYTHON.",
        python.display()
    );
    python
}

fn run(command: &mut Command) -> Said {
    let said = command.output().expect("the program can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
    Said {
        code: said.status.code(),
        stdout: text(said.stdout),
        stderr: text(said.stderr),
    }
}
