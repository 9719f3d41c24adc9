//! `coffer key`: the terms of an environment's key, and how many versions each protects.
//! `rotate` makes a new term for new writes, `rewrap` moves the old data keys to it, `reencrypt` makes new ones,
//! `destroy` ends a term that protects nothing.
//!
//! Invariant: every answer is the same census, so that progress can be seen.

use super::secrets::confirm;
use crate::client::Client;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use crate::wire::Reply;
use clap::{Args, Subcommand};
use coffer_api::{DestroyTerm, Keys, Term, TermState};
use reqwest::Method;
use std::io::IsTerminal as _;

#[derive(Subcommand)]
pub enum Key {
    /// Show the terms of an environment's key.
    List(Place),
    /// Begin a new term, which new writes use.
    Rotate(Place),
    /// Move what older terms protect to the current one.
    Rewrap(Place),
    /// Encrypt every version anew, with a new data key and under a new term; asked again, it goes on where it stopped.
    Reencrypt(Place),
    /// Destroy an older term that protects nothing any more, for good.
    Destroy(Destroy),
}

#[derive(Args)]
pub struct Destroy {
    #[command(flatten)]
    place: Place,
    /// Which term, as list shows it.
    #[arg(long, value_name = "N")]
    term: u32,
    /// Do not ask before.
    #[arg(long)]
    yes: bool,
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
        let reply = match &self {
            Self::List(place) => Client::from_environment()?.get(&place.route()?)?,
            Self::Rotate(place) => place.send("rotate")?,
            Self::Rewrap(place) => place.send_watched("rewrap")?,
            Self::Reencrypt(place) => place.send_watched("reencrypt")?,
            Self::Destroy(destroy) => destroy.send()?,
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

impl Place {
    fn named(&self) -> Result<names::Environment, Failure> {
        names::environment(self.environment.as_deref())
    }

    fn route(&self) -> Result<Route, Failure> {
        Ok(Route::of_environment("keys", &self.named()?))
    }

    fn send(&self, verb: &str) -> Result<Reply, Failure> {
        let route = self.route()?.part(verb);
        Client::from_environment()?.send_long(Method::POST, &route, None::<&()>)
    }

    /// Says on a terminal how far it has come.
    fn send_watched(&self, verb: &str) -> Result<Reply, Failure> {
        if !std::io::stderr().is_terminal() {
            return self.send(verb);
        }
        let place = self.route()?;
        let route = place.clone().part(verb);
        let show = |reply: &Reply| {
            if let Some(line) = reply.parse::<Keys>().ok().as_ref().and_then(progress) {
                eprint!("\r\x1b[K{line}");
            }
        };
        let sent = Client::from_environment()?.send_watched(Method::POST, &route, &place, show);
        eprint!("\r\x1b[K");
        sent
    }
}

/// How many versions are under the current term, of all.
fn progress(keys: &Keys) -> Option<String> {
    let all: u64 = keys.terms.iter().map(|term| term.versions).sum();
    let mut current = keys.terms.iter();
    let current = current.find(|term| term.state == TermState::Current)?;
    Some(format!("{} of {all} versions", current.versions))
}

impl Destroy {
    fn send(&self) -> Result<Reply, Failure> {
        let environment = self.place.named()?;
        if !self.yes {
            let term = self.term;
            confirm(&format!(
                "Destroy term {term} of the key of {environment} for good?"
            ))?;
        }
        let body = DestroyTerm { term: self.term };
        let route = Route::of_environment("keys", &environment).part("destroy");
        Client::from_environment()?.send(Method::POST, &route, Some(&body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_what_the_current_term_protects() {
        let term = |term, state, versions| Term {
            term,
            state,
            versions,
        };
        let terms = vec![
            term(1, TermState::Destroyed, 0),
            term(2, TermState::Retired, 30),
            term(3, TermState::Current, 12),
        ];
        let environment = "a/b".to_owned();
        let line = progress(&Keys { environment, terms });
        assert_eq!(line.as_deref(), Some("12 of 42 versions"));
    }
}
