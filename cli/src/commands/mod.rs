//! The commands, one file a noun, and the one place that hands an invocation to its command.
//! A command parses its arguments into true values first, and only then looks for a server.
//!
//! Invariant: what is wrong with the arguments is said before anything is sent.

mod audit;
mod get;
mod keys;
mod oauth;
mod places;
mod query;
mod rotations;
mod run;
mod secrets;
mod set;
mod status;
mod tail;
mod tokens;
mod verify;

#[cfg(any(test, fuzzing))]
pub(crate) use query::When;

use crate::failure::Failure;
use crate::output::{Format, Output};
use clap::{Parser, Subcommand};

/// Coffer keeps API keys and tokens sealed, hands them to applications, and records every use.
///
/// The server is named by COFFER_ADDR (an https URL), the caller by COFFER_TOKEN; COFFER_CACERT may name a PEM file
/// with the only certificate authority to trust. A .coffer.toml in this directory or above it may give a default
/// `project` and `environment`, so that `coffer get stripe` is enough.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not allowed, 4 not found, 5 sealed or unreachable, 6 does not verify.
#[derive(Parser)]
#[command(
    name = "coffer",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// How results are printed: for people, or as the API's body.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "table"
    )]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show whether the server is sealed, and more to who may manage it.
    Status,
    /// Show which token this is, whose, and what it may do.
    Whoami,
    /// Make, list and delete projects.
    #[command(subcommand)]
    Project(places::Project),
    /// Make, list and delete environments.
    #[command(subcommand)]
    Env(places::Env),
    Set(set::Set),
    Get(get::Get),
    Ls(secrets::Ls),
    History(secrets::History),
    Rm(secrets::Rm),
    Undelete(secrets::Undelete),
    Destroy(secrets::Destroy),
    Run(run::Run),
    /// Make, list and revoke tokens.
    #[command(subcommand)]
    Token(tokens::Token),
    /// Show and renew an environment's keys.
    #[command(subcommand)]
    Key(keys::Key),
    /// Say how often a secret is made anew.
    #[command(subcommand)]
    Rotation(rotations::Rotation),
    /// Keep OAuth grants fresh, and take access tokens from them.
    #[command(subcommand)]
    Oauth(oauth::Oauth),
    /// Read, export and verify the record of every use.
    #[command(subcommand)]
    Audit(audit::Audit),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> Result<(), Failure> {
        let output = Output::new(self.output);
        match self.command {
            Command::Status => status::status(output),
            Command::Whoami => tokens::whoami(output),
            Command::Project(project) => project.run(output),
            Command::Env(env) => env.run(output),
            Command::Set(set) => set.run(output),
            Command::Get(get) => get.run(output),
            Command::Ls(ls) => ls.run(output),
            Command::History(history) => history.run(output),
            Command::Rm(rm) => rm.run(output),
            Command::Undelete(undelete) => undelete.run(output),
            Command::Destroy(destroy) => destroy.run(output),
            Command::Run(run) => run.run(),
            Command::Token(token) => token.run(output),
            Command::Key(key) => key.run(output),
            Command::Rotation(rotation) => rotation.run(output),
            Command::Oauth(oauth) => oauth.run(output),
            Command::Audit(audit) => audit.run(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_sound() {
        super::Cli::command().debug_assert();
    }
}
