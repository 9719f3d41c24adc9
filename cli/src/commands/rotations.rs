//! `coffer rotation`: how often a field is made anew, and how long the old value stays readable.
//! In this release a new value is one that the server makes up, which `--generate` says.
//!
//! Invariant: durations are typed with a unit and sent as seconds.

use crate::client::Client;
use crate::durations::Seconds;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::{Args, Subcommand};
use coffer_api::{SetRotation, WrittenSecret};
use reqwest::Method;

#[derive(Subcommand)]
pub enum Rotation {
    Set(Set),
    /// Show a secret's rotation policy.
    Show(Named),
    /// List the secrets that rotate.
    List(Place),
    /// Rotate a secret now.
    Run(Named),
    /// End a secret's rotation; its value stays.
    Delete(Named),
}

/// Make a secret's field anew on a schedule; makes the secret if it is absent.
#[derive(Args)]
pub struct Set {
    /// The secret.
    #[arg(value_name = "P/E/PATH")]
    secret: String,
    /// The period: a number and s, m, h or d, at least one minute.
    #[arg(long, value_name = "DURATION")]
    every: Seconds,
    /// Let the server make up the new values.
    #[arg(long, required = true)]
    generate: bool,
    /// Which field; needed when the secret has several.
    #[arg(long)]
    field: Option<String>,
    /// Characters of a new value.
    #[arg(long, value_name = "N")]
    length: Option<u32>,
    /// The characters that a new value is made of: alphanumeric, hex, base64url, or at least ten of your own.
    #[arg(long, value_name = "CHARACTERS")]
    alphabet: Option<String>,
    /// How long the old value stays readable.
    #[arg(long, value_name = "DURATION")]
    grace: Option<Seconds>,
}

#[derive(Args)]
pub struct Named {
    /// The secret.
    #[arg(value_name = "P/E/PATH")]
    secret: String,
}

#[derive(Args)]
pub struct Place {
    /// An environment, or a path below which to look; the environment of .coffer.toml without.
    #[arg(value_name = "P/E[/PREFIX]")]
    place: Option<String>,
}

impl Rotation {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Set(set) => set.run(output),
            Self::Show(named) => {
                let secret = names::secret(&named.secret)?;
                let reply =
                    Client::from_environment()?.get(&Route::of_secret("rotations", &secret))?;
                if output.is_json() {
                    output.body(&reply.body)
                } else {
                    show(output, &reply.parse()?)
                }
            }
            Self::List(place) => list(output, &place),
            Self::Run(named) => {
                let secret = names::secret(&named.secret)?;
                let reply = Client::from_environment()?.send(
                    Method::POST,
                    &Route::of_secret("rotate", &secret),
                    None::<&()>,
                )?;
                if output.is_json() {
                    return output.body(&reply.body);
                }
                let written: WrittenSecret = reply.parse()?;
                output.line(&format!("{} version {}", written.path, written.version))
            }
            Self::Delete(named) => {
                let secret = names::secret(&named.secret)?;
                let route = Route::of_secret("rotations", &secret);
                let reply =
                    Client::from_environment()?.send(Method::DELETE, &route, None::<&()>)?;
                if output.is_json() {
                    output.body(&reply.body)
                } else {
                    output.line(&format!("{secret} rotates no more"))
                }
            }
        }
    }
}

impl Set {
    fn run(self, output: Output) -> Result<(), Failure> {
        let secret = names::secret(&self.secret)?;
        let body = SetRotation {
            every: self.every.0,
            grace: self.grace.map(|grace| grace.0),
            field: self.field.as_deref().map(names::field).transpose()?,
            length: self.length,
            alphabet: self.alphabet,
        };
        let reply = Client::from_environment()?.send(
            Method::PUT,
            &Route::of_secret("rotations", &secret),
            Some(&body),
        )?;
        if output.is_json() {
            output.body(&reply.body)
        } else {
            show(output, &reply.parse()?)
        }
    }
}

fn show(output: Output, rotation: &coffer_api::Rotation) -> Result<(), Failure> {
    let mut rows = vec![
        vec!["secret".to_owned(), rotation.path.clone()],
        vec!["field".to_owned(), rotation.field.clone()],
        vec!["every".to_owned(), Seconds(rotation.every).to_string()],
        vec!["grace".to_owned(), Seconds(rotation.grace).to_string()],
        vec!["length".to_owned(), rotation.length.to_string()],
        vec!["alphabet".to_owned(), rotation.alphabet.clone()],
        vec!["next".to_owned(), rotation.next_at.clone()],
    ];
    rows.extend(
        rotation
            .last_at
            .clone()
            .map(|last| vec!["last".to_owned(), last]),
    );
    output.table(&["ROTATION", ""], &rows)
}

/// The listing of secrets knows which of them rotate.
fn list(output: Output, place: &Place) -> Result<(), Failure> {
    let (environment, prefix) = names::folder(place.place.as_deref())?;
    let client = Client::from_environment()?;
    let mut list = super::secrets::list(&client, &environment, prefix.as_deref(), true)?;
    list.items.retain(|item| item.rotates_at.is_some());
    if output.is_json() {
        return output.json(&list);
    }
    let rows: Vec<_> = list
        .items
        .into_iter()
        .map(|item| vec![item.path, item.rotates_at.unwrap_or_default()])
        .collect();
    output.table(&["SECRET", "ROTATES"], &rows)
}
