//! Runs the binary with an environment of its own, and says what came of it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A token as the server would make it, in form.
pub const TOKEN: &str = "cof_root_0000000000000000000000000000000000000000000_000000";

pub struct Coffer(Command, Vec<u8>);

/// The binary with these arguments, in an empty environment.
pub fn coffer(arguments: &[&str]) -> Coffer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/");
    Coffer(command, vec![])
}

impl Coffer {
    pub fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(key, value);
        self
    }

    pub fn inside(mut self, directory: &Path) -> Self {
        self.0.current_dir(directory);
        self
    }

    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.1 = bytes.to_vec();
        self
    }

    /// Runs it to its end, away from any terminal.
    pub fn run(mut self) -> Ran {
        let piped = self
            .0
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the binary is built");
        // A command that does not read its input may close it first.
        let _ = child.stdin.take().expect("piped").write_all(&self.1);
        Ran(child.wait_with_output().expect("it ends"))
    }
}

pub struct Ran(Output);

impl Ran {
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.0.status.code(), Some(code), "{}", self.stderr());
        self
    }

    #[track_caller]
    pub fn says(&self, part: &str) -> &Self {
        assert!(
            self.stderr().contains(part),
            "{part:?} is not in {:?}",
            self.stderr()
        );
        self
    }

    #[track_caller]
    pub fn never_says(&self, part: &str) -> &Self {
        assert!(
            !self.stderr().contains(part) && !self.stdout().contains(part),
            "{:?}",
            self.stderr()
        );
        self
    }

    #[track_caller]
    pub fn prints(&self, bytes: impl AsRef<[u8]>) -> &Self {
        assert_eq!(
            self.0.stdout,
            bytes.as_ref(),
            "{} {}",
            self.stdout(),
            self.stderr()
        );
        self
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}
