//! Every fuzz target in one program, under libFuzzer: `COFFER_FUZZ_TARGET` names the one that is run, and `list` prints all.
//! The targets are functions of the library and of the command line, which tests run too; nothing is decided here.
//!
//! Invariant: what this program runs is what the tests replay.

#![no_main]

use std::sync::OnceLock;

type Target = (&'static str, fn(&[u8]));

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

fn targets() -> impl Iterator<Item = &'static Target> {
    coffer::fuzzing::TARGETS
        .iter()
        .chain(coffer_cli::fuzzing::TARGETS)
}

fn choose() {
    let wanted = std::env::var("COFFER_FUZZ_TARGET").unwrap_or_default();
    if wanted == "list" {
        targets().for_each(|(name, _)| println!("{name}"));
        std::process::exit(0);
    }
    let found = targets().find(|(name, _)| *name == wanted);
    match found {
        Some((_, run)) => drop(RUN.set(*run)),
        None => {
            eprintln!(
                "COFFER_FUZZ_TARGET names none of the targets that COFFER_FUZZ_TARGET=list prints."
            );
            std::process::exit(2);
        }
    }
}

libfuzzer_sys::fuzz_target!(
    init: choose(),
    |input: &[u8]| {
        if let Some(run) = RUN.get() {
            run(input);
        }
    }
);
