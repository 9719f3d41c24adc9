//! Sentences for arguments that do not parse. clap's own texts repeat what was typed, which may be a value in the
//! wrong place; these repeat options and commands only.
//!
//! Invariant: of what was typed, only options' names and numbers are printed.

use crate::failure::Failure;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::process::ExitCode;

/// Prints help and version as clap has them, and everything else as one sentence with exit code 2.
pub fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help that cannot be written has no other place to go.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Failure::usage("").report()
        }
        _ => Failure::usage(sentence(error)).report(),
    }
}

fn sentence(error: &clap::Error) -> String {
    let argument = named(error, ContextKind::InvalidArg);
    let text = match error.kind() {
        ErrorKind::MissingRequiredArgument => format!("This command needs {argument}."),
        ErrorKind::UnknownArgument if argument.is_empty() => {
            "There is an argument too many.".into()
        }
        ErrorKind::UnknownArgument => format!("There is no option {argument} here."),
        ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand => {
            "There is no such command.".into()
        }
        ErrorKind::ArgumentConflict => {
            format!(
                "{argument} cannot be used with {}.",
                named(error, ContextKind::PriorArg)
            )
        }
        ErrorKind::ValueValidation => match std::error::Error::source(error) {
            Some(reason) => format!("{argument} is not understood: {reason}."),
            None => format!("{argument} is not understood."),
        },
        ErrorKind::InvalidValue | ErrorKind::NoEquals => {
            match named(error, ContextKind::ValidValue).as_str() {
                "" => format!("{argument} needs a value."),
                valid => format!("{argument} needs one of: {valid}."),
            }
        }
        _ => format!("The arguments do not fit together ({:?}).", error.kind()),
    };
    format!("{text} See `coffer help` or add --help.")
}

/// What clap says under `kind`, without anything that the caller typed as a value.
fn named(error: &clap::Error, kind: ContextKind) -> String {
    let names: Vec<&str> = match error.get(kind) {
        Some(ContextValue::String(name)) => vec![name],
        Some(ContextValue::Strings(names)) => names.iter().map(String::as_str).collect(),
        _ => vec![],
    };
    let known = |name: &&str| name.starts_with(['-', '<', '[']) || kind == ContextKind::ValidValue;
    let names: Vec<&str> = names.into_iter().filter(known).map(without_value).collect();
    names.join(", ")
}

/// `--option=value` as `--option`.
fn without_value(name: &str) -> &str {
    if name.starts_with('-') {
        name.split('=').next().unwrap_or_default()
    } else {
        name
    }
}
