//! `coffer`, as a program: all of it is in the library beside it, which tests and fuzzers use as well.
//!
//! Invariant: nothing is decided here.

use std::process::ExitCode;

fn main() -> ExitCode {
    coffer_cli::main()
}
