//! `coffer key`: the terms of an environment's key, and how many versions each protects.
//! `rotate` makes a new term for new writes, `rewrap` moves the old data keys to it; no value is touched by either.
//!
//! Invariant: every answer is the same census, so that progress can be seen.

use crate::client::Client;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::{Args, Subcommand};
use coffer_api::{Keys, Term};
use reqwest::Method;

#[derive(Subcommand)]
pub enum Key {
    /// Show the terms of an environment's key.
    List(Place),
    /// Begin a new term, which new writes use.
    Rotate(Place),
    /// Move what older terms protect to the current one.
    Rewrap(Place),
}

#[derive(Args)]
pub struct Place {
    /// The environment; the one of .coffer.toml without.
    #[arg(value_name = "P/E")]
    environment: Option<String>,
}

impl Key {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let (place, verb) = match &self {
            Self::List(place) => (place, None),
            Self::Rotate(place) => (place, Some("rotate")),
            Self::Rewrap(place) => (place, Some("rewrap")),
        };
        let environment = names::environment(place.environment.as_deref())?;
        let route = Route::of_environment("keys", &environment);
        let client = Client::from_environment()?;
        let reply = match verb {
            None => client.get(&route)?,
            Some(verb) => client.send_long(Method::POST, &route.part(verb), None::<&()>)?,
        };
        if output.is_json() {
            return output.body(&reply.body);
        }
        let keys: Keys = reply.parse()?;
        let row = |term: &Term| {
            vec![
                term.term.to_string(),
                term.state.as_str().to_owned(),
                term.versions.to_string(),
            ]
        };
        output.table(
            &["TERM", "STATE", "VERSIONS"],
            &keys.terms.iter().map(row).collect::<Vec<_>>(),
        )
    }
}
