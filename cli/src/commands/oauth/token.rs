//! `coffer oauth token`: the access token that a connection gives now.
//! The server refreshes it first when it would not last long enough.
//!
//! Invariant: the token goes out alone, with a newline after it only on a terminal.

use crate::client::Client;
use crate::durations::Seconds;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::Args;
use coffer_api::AccessToken;

/// Print a connection's access token, and nothing else.
#[derive(Args)]
pub struct Token {
    /// The connection.
    #[arg(value_name = "P/E/NAME")]
    connection: String,
    /// How long the token must still be good: a number and s, m, h or d.
    #[arg(long, value_name = "DURATION")]
    min_ttl: Option<Seconds>,
}

impl Token {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let connection = names::connection(&self.connection)?;
        let route = Route::of_connection(&connection)
            .part("token")
            .query_if("min_ttl", self.min_ttl.map(|least| least.0));
        let reply = Client::from_environment()?.get(&route)?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        let token: AccessToken = reply.parse()?;
        output.bytes(token.access_token.expose().as_bytes())?;
        if output.is_terminal() {
            output.bytes(b"\n")
        } else {
            Ok(())
        }
    }
}
