//! `coffer ls`, `history`, `rm`, `undelete` and `destroy`: everything about secrets that shows no value.
//! Removing can be undone; destroying cannot, and asks before it takes everything.
//!
//! Invariant: no command in this file ever receives a value.

use crate::client::Client;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::Args;
use coffer_api::{
    DestroySecret, DestroyedVersions, SecretEntry, SecretList, UndeleteSecret, VersionEntry,
    WrittenSecret,
};
use reqwest::Method;
use std::io::{BufRead, Write};

/// What a list shows.
const COLUMNS: [&str; 5] = ["SECRET", "VERSION", "STATE", "UPDATED", "ROTATES"];
/// How many a page of a list holds.
const PAGE: u32 = 500;

/// List secrets, without their values.
#[derive(Args)]
pub struct Ls {
    /// An environment, or a path below which to look; the environment of .coffer.toml without.
    #[arg(value_name = "P/E[/PREFIX]")]
    place: Option<String>,
    /// Only paths that begin with this.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Everything below, which is what happens anyway.
    #[arg(short, long)]
    recursive: bool,
    /// Only this level, nothing below it.
    #[arg(long, conflicts_with = "recursive")]
    shallow: bool,
}

impl Ls {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let (environment, folder) = names::folder(self.place.as_deref())?;
        if folder.is_some() && self.prefix.is_some() {
            return Err(Failure::usage(
                "There are two prefixes: write it after the environment or with --prefix, not both.",
            ));
        }
        let prefix = folder.or(self.prefix);
        let list = list(
            &Client::from_environment()?,
            &environment,
            prefix.as_deref(),
            !self.shallow,
        )?;
        if output.is_json() {
            return output.json(&list);
        }
        let row = |item: &SecretEntry| {
            let version = item.version.to_string();
            let rotates = item.rotates_at.clone().unwrap_or_default();
            vec![
                item.path.clone(),
                version,
                item.state.as_str().to_owned(),
                item.updated_at.clone(),
                rotates,
            ]
        };
        let below = |folder: &String| {
            let mut row = vec![String::new(); COLUMNS.len()];
            row[0].clone_from(folder);
            row
        };
        let folders = list.folders.iter().map(below);
        let rows: Vec<_> = folders.chain(list.items.iter().map(row)).collect();
        output.table(&COLUMNS, &rows)
    }
}

/// Every page of a listing as one.
pub fn list(
    client: &Client,
    environment: &names::Environment,
    prefix: Option<&str>,
    recursive: bool,
) -> Result<SecretList, Failure> {
    let mut all = SecretList {
        items: vec![],
        folders: vec![],
        next_cursor: None,
    };
    loop {
        let route = Route::of_environment("secrets", environment)
            .query_if("prefix", prefix)
            .query("recursive", if recursive { "true" } else { "false" })
            .query_if("limit", Some(PAGE))
            .query_if("cursor", all.next_cursor.as_deref());
        let page: SecretList = client.get(&route)?.parse()?;
        all.items.extend(page.items);
        all.folders.extend(page.folders);
        if page.next_cursor.is_some() && page.next_cursor == all.next_cursor {
            return Err(Failure::failed(
                "The server's list does not end: tell its operator.",
            ));
        }
        all.next_cursor = page.next_cursor;
        if all.next_cursor.is_none() {
            return Ok(all);
        }
    }
}

/// List a secret's versions, and the deleted secrets that had its name.
#[derive(Args)]
pub struct History {
    /// The secret.
    #[arg(value_name = "P/E/PATH")]
    secret: String,
}

impl History {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let secret = names::secret(&self.secret)?;
        let reply = Client::from_environment()?.get(&Route::of_secret("history", &secret))?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        let history: coffer_api::History = reply.parse()?;
        let row = |id: &str, deleted: &str, version: &VersionEntry| {
            let until = version.valid_until.clone().unwrap_or_default();
            let state = version.state.as_str().to_owned();
            vec![
                version.version.to_string(),
                state,
                version.created_at.clone(),
                until,
                id.to_owned(),
                deleted.to_owned(),
            ]
        };
        let id = history.id.as_deref().unwrap_or_default();
        let mut rows: Vec<_> = history
            .versions
            .iter()
            .map(|version| row(id, "", version))
            .collect();
        for gone in &history.deleted {
            rows.extend(
                gone.versions
                    .iter()
                    .map(|version| row(&gone.id, &gone.deleted_at, version)),
            );
        }
        output.table(
            &[
                "VERSION",
                "STATE",
                "CREATED",
                "VALID UNTIL",
                "ID",
                "DELETED",
            ],
            &rows,
        )
    }
}

/// Delete a secret; its name becomes free, and undelete brings it back.
#[derive(Args)]
pub struct Rm {
    /// The secret.
    #[arg(value_name = "P/E/PATH")]
    secret: String,
    /// Only if this is the current version.
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
}

impl Rm {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let secret = names::secret(&self.secret)?;
        let route = Route::of_secret("secrets", &secret).query_if("if_version", self.if_version);
        let reply = Client::from_environment()?.send(Method::DELETE, &route, None::<&()>)?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        output.line(&format!(
            "{secret} is deleted; `coffer undelete {secret}` brings it back"
        ))
    }
}

/// Bring a deleted secret back.
#[derive(Args)]
pub struct Undelete {
    /// The secret.
    #[arg(value_name = "P/E/PATH")]
    secret: String,
    /// Which deleted one, as history shows it; the newest without.
    #[arg(long)]
    id: Option<String>,
}

impl Undelete {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let secret = names::secret(&self.secret)?;
        let body = UndeleteSecret {
            id: self.id.as_deref().map(names::id).transpose()?,
        };
        let reply = Client::from_environment()?.send(
            Method::POST,
            &Route::of_secret("undelete", &secret),
            Some(&body),
        )?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        let written: WrittenSecret = reply.parse()?;
        output.line(&format!(
            "{} version {} is back",
            written.path, written.version
        ))
    }
}

/// Destroy versions of a secret for good; all of them without --version.
#[derive(Args)]
pub struct Destroy {
    /// The secret.
    #[arg(value_name = "P/E/PATH")]
    secret: String,
    /// Only this version; may be given several times.
    #[arg(long, value_name = "N")]
    version: Vec<u64>,
    /// A deleted one, as history shows it.
    #[arg(long)]
    id: Option<String>,
    /// Do not ask before every version is destroyed.
    #[arg(long)]
    yes: bool,
}

impl Destroy {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let secret = names::secret(&self.secret)?;
        let id = self.id.as_deref().map(names::id).transpose()?;
        if self.version.is_empty() && !self.yes {
            confirm(&format!("Destroy every version of {secret} for good?"))?;
        }
        let body = DestroySecret {
            versions: (!self.version.is_empty()).then_some(self.version),
            id,
        };
        let reply = Client::from_environment()?.send(
            Method::POST,
            &Route::of_secret("destroy", &secret),
            Some(&body),
        )?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        match reply.parse::<DestroyedVersions>() {
            Ok(gone) if gone.versions.is_empty() => {
                output.line(&format!("{} had no version left to destroy", gone.path))
            }
            Ok(gone) => {
                let versions: Vec<String> = gone.versions.iter().map(u64::to_string).collect();
                output.line(&format!(
                    "{} is destroyed: version {}",
                    gone.path,
                    versions.join(", ")
                ))
            }
            Err(_) => output.line(&format!("{secret} is destroyed")),
        }
    }
}

/// Asks on standard error and takes a line of standard input: `y` or `yes` goes on.
pub fn confirm(question: &str) -> Result<(), Failure> {
    let mut stderr = std::io::stderr();
    // If the question cannot be seen, the answer will not be yes.
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(0) | Err(_) => Err(Failure::usage(
            "There is nobody to ask: add --yes if this is meant.",
        )),
        Ok(_) if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) => Ok(()),
        Ok(_) => Err(Failure::failed(
            "Nothing is destroyed: the answer was not yes.",
        )),
    }
}
