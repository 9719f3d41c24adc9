//! `coffer run`: a command with an environment's secrets as its variables, in this process's place.
//! The process becomes the command, so signals and the exit code are its own; `COFFER_TOKEN` is left out unless
//! `--keep-token` is given, because the command was handed secrets and not the right to fetch more.
//!
//! Invariant: the command starts with every variable that was asked for, or not at all.

use crate::client::Client;
use crate::failure::{Exit, Failure, why};
use crate::names::{self, Environment};
use crate::output;
use crate::routes::Route;
use crate::variables::{self, Variables};
use clap::Args;
use coffer_api::{FieldValue, Secret, VersionState};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What a shell answers for a command that is not there, or cannot be run.
const NOT_THERE: i32 = 127;
const NOT_RUN: i32 = 126;

/// Run a command with an environment's secrets as environment variables.
///
/// Each field becomes one variable, PATH_FIELD in upper case with / . and - as _; a field called `value` adds nothing
/// to the name. The command does not get COFFER_TOKEN. It takes a token that may list the environment and read its secrets.
#[derive(Args)]
pub struct Run {
    /// The environment; the one of .coffer.toml without.
    #[arg(value_name = "P/E")]
    environment: Option<String>,
    /// Put this before the name of each variable.
    #[arg(long, value_name = "X", default_value = "")]
    prefix: String,
    /// Only these: secrets, folders of secrets, or variables.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    only: Vec<String>,
    /// Let the command have COFFER_TOKEN too.
    #[arg(long)]
    keep_token: bool,
    /// The command and its arguments, after --.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Run {
    /// Does what was asked; returns only if it failed.
    pub fn run(self) -> Result<(), Failure> {
        let environment = names::environment(self.environment.as_deref())?;
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| Failure::usage("The command is missing: write it after --."))?;
        let variables = self.variables(&environment)?;
        let mut command = Command::new(program);
        command.args(arguments);
        if !self.keep_token {
            command.env_remove("COFFER_TOKEN");
        }
        for (name, value) in &variables {
            command.env(name, OsStr::from_bytes(value.expose()));
        }
        let error = command.exec();
        let code = if error.kind() == ErrorKind::NotFound {
            NOT_THERE
        } else {
            NOT_RUN
        };
        // Shells answer with these codes, and scripts look for them.
        Failure::failed(format!(
            "{} cannot be run ({}).",
            program.display(),
            why(error.kind())
        ))
        .report();
        std::process::exit(code)
    }

    fn variables(&self, environment: &Environment) -> Result<Vec<(String, FieldValue)>, Failure> {
        let client = Client::from_environment()?;
        let before = format!("{environment}/");
        let found = super::secrets::list(&client, environment, None, true)?;
        let items = found.items.iter();
        let items = items.filter_map(|item| Some((item.path.strip_prefix(&before)?, item.state)));
        let (gone, paths): (Vec<_>, Vec<_>) = items
            .filter(|(path, _)| self.concerns(path))
            .partition(|(_, state)| *state == VersionState::Destroyed);
        for (path, _) in gone {
            output::note(&format!(
                "{before}{path} is left out: its value is destroyed."
            ));
        }
        let paths: Vec<&str> = paths.into_iter().map(|(path, _)| path).collect();
        if paths.is_empty() {
            let text = format!(
                "There is no such secret in {environment} for this token: `coffer ls {environment}` shows those there are."
            );
            return Err(Failure::new(Exit::NotFound, text));
        }
        let whole = |path: &str| names::Secret {
            environment: environment.clone(),
            path: path.to_owned(),
        };
        let routes = paths
            .iter()
            .map(|path| Route::of_secret("secrets", &whole(path)))
            .collect();
        let (mut names, mut variables) = (Variables::default(), vec![]);
        for (path, reply) in paths.iter().zip(client.get_all(routes)?) {
            let secret: Secret = reply.parse()?;
            for (field, value) in secret.fields.0 {
                let name = variables::variable(&self.prefix, path, &field);
                if !self.wants(path, &name) {
                    continue;
                }
                names.add(&name, path, &field)?;
                if value.expose().contains(&0) {
                    let text = format!(
                        "Field {field} of {path} holds a zero byte, which no variable can: leave it out with --only."
                    );
                    return Err(Failure::failed(text));
                }
                variables.push((name, value));
            }
        }
        self.all_found(&paths, &variables)?;
        Ok(variables)
    }

    /// Whether the secret at `path` has to be read.
    fn concerns(&self, path: &str) -> bool {
        let named =
            |only: &String| covers(only, path) || variables::may_name(&self.prefix, path, only);
        self.only.is_empty() || self.only.iter().any(named)
    }

    /// Whether this variable of it is wanted.
    fn wants(&self, path: &str, name: &str) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|only| covers(only, path) || only == name)
    }

    /// Each thing that --only names has to be there.
    fn all_found(&self, paths: &[&str], variables: &[(String, FieldValue)]) -> Result<(), Failure> {
        let found = |only: &&String| {
            paths.iter().any(|path| covers(only, path))
                || variables.iter().any(|(name, _)| name == *only)
        };
        match self.only.iter().find(|only| !found(only)) {
            None => Ok(()),
            Some(missing) => Err(Failure::new(
                Exit::NotFound,
                format!("--only names {missing}, and there is no such secret or variable."),
            )),
        }
    }
}

/// Whether `only` is the path or a folder above it.
fn covers(only: &str, path: &str) -> bool {
    path.strip_prefix(only)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
