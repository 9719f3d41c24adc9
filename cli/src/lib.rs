//! `coffer`: the command line for operators, applications and auditors. It speaks HTTPS to a server and nothing else;
//! only `audit verify` works without one.
//!
//! Invariant: values and tokens never come from argv unless typed as `FIELD=VALUE`, and a write is
//! sent again only under the key by which the server does it once.

mod client;
mod commands;
mod defaults;
mod durations;
mod failure;
mod fields;
mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod names;
mod output;
mod records;
mod repeats;
mod routes;
mod settings;
mod sources;
mod usage;
mod variables;
mod wire;

use clap::Parser;
use commands::Cli;
use std::process::ExitCode;

/// Reads the arguments and does what they ask.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
