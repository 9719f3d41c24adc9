//! `coffer oauth`: grants that were given elsewhere, kept fresh by the server, and the access tokens they give.
//! A grant goes in once and never comes out; what comes out is an access token, to whoever may read it.
//!
//! Invariant: no refresh token and no client secret is ever printed.

mod connections;
mod hidden;
mod import;
mod token;

use crate::client::Client;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::{Args, Subcommand};
use coffer_api::ConnectionState;
use reqwest::Method;

#[derive(Subcommand)]
pub enum Oauth {
    Import(import::Import),
    Token(token::Token),
    Connections(connections::Connections),
    Rm(Rm),
}

/// Forget a grant here; the provider is not told.
///
/// At the provider the grant stays good until it is revoked there.
#[derive(Args)]
pub struct Rm {
    /// The connection.
    #[arg(value_name = "P/E/NAME")]
    connection: String,
}

impl Oauth {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Import(import) => import.run(output),
            Self::Token(token) => token.run(output),
            Self::Connections(connections) => connections.run(output),
            Self::Rm(rm) => rm.run(output),
        }
    }
}

impl Rm {
    fn run(self, output: Output) -> Result<(), Failure> {
        let connection = names::connection(&self.connection)?;
        let route = Route::of_connection(&connection);
        let reply = Client::from_environment()?.send(Method::DELETE, &route, None::<&()>)?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        output.line(&format!(
            "{connection} is forgotten here; its provider was not told"
        ))
    }
}

/// How a connection fares, for people.
fn word(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Active => "fresh",
        ConnectionState::Degraded => "retrying",
        ConnectionState::InDoubt => "in doubt",
        ConnectionState::NeedsReauth => "needs reconnect",
        ConnectionState::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word() {
        for (state, expected) in [
            ("active", "fresh"),
            ("degraded", "retrying"),
            ("in_doubt", "in doubt"),
            ("needs_reauth", "needs reconnect"),
            ("made_later", "unknown"),
        ] {
            let state = serde_json::from_str(&format!("\"{state}\"")).expect("a state");
            assert_eq!(word(state), expected);
        }
    }
}
