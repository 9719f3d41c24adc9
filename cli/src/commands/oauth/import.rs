//! `coffer oauth import`: a grant that was given elsewhere becomes a connection.
//! The server refreshes it once before it keeps it, so that a grant that does not work is refused at once.
//!
//! Invariant: neither secret comes from an argument, and both are in hand before the one request is sent.

use super::hidden::Hidden;
use super::word;
use crate::client::Client;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::{Args, ValueEnum};
use coffer_api::{ClientAuth, Connection, ImportConnection};
use reqwest::Method;
use std::ffi::OsString;

/// Import a grant that was given elsewhere; one refresh proves it before it is kept.
///
/// For --client-secret and --refresh-token, @FILE takes a file and - standard input, each but for a newline at its end;
/// what is left out is asked for without echo. Use the grant nowhere else afterwards: many providers give a new refresh
/// token at each refresh, and take an old one for stolen.
#[derive(Args)]
pub struct Import {
    /// The connection to make.
    #[arg(value_name = "P/E/NAME")]
    connection: String,
    /// The provider's token endpoint.
    #[arg(long, value_name = "URL")]
    token_url: String,
    /// The client that the grant was given to.
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// Where its secret is: @FILE or -.
    // With any beginning, so that a secret that was typed is not taken for an option and printed.
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true)]
    client_secret: Option<OsString>,
    /// Where the refresh token is: @FILE or -.
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true)]
    refresh_token: Option<OsString>,
    /// What each refresh asks for, separated by spaces; what was granted without.
    #[arg(long, value_name = "SCOPES")]
    provider_scopes: Option<String>,
    /// Where the client's secret is sent: the Authorization header, or the body.
    #[arg(long, value_enum, default_value = "basic")]
    auth: Auth,
    /// The client has no secret.
    #[arg(long, conflicts_with = "client_secret")]
    public_client: bool,
}

/// [`ClientAuth`], as it is typed.
#[derive(Clone, Copy, ValueEnum)]
enum Auth {
    Basic,
    Post,
}

impl Import {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let connection = names::connection(&self.connection)?;
        let (client_secret, refresh_token) = self.secrets()?;
        let client = Client::from_environment()?;
        let body = ImportConnection {
            token_url: self.token_url,
            client_id: self.client_id,
            client_secret: client_secret.map(Hidden::text).transpose()?,
            refresh_token: refresh_token.text()?,
            auth: match self.auth {
                Auth::Basic => ClientAuth::Basic,
                Auth::Post => ClientAuth::Post,
            },
            provider_scopes: self.provider_scopes,
        };
        let route = Route::of_connection(&connection);
        let reply = client.send_outside(Method::POST, &route, Some(&body))?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        output.line(&made(&reply.parse()?))
    }

    /// The client's secret, if it has one, and the refresh token.
    fn secrets(&self) -> Result<(Option<Hidden>, Hidden), Failure> {
        let client_secret = (!self.public_client).then(|| {
            Hidden::parse(
                "--client-secret",
                "client secret",
                self.client_secret.as_deref(),
            )
        });
        let client_secret = client_secret.transpose()?;
        let refresh_token = Hidden::parse(
            "--refresh-token",
            "refresh token",
            self.refresh_token.as_deref(),
        )?;
        if refresh_token.takes_stdin() && client_secret.as_ref().is_some_and(Hidden::takes_stdin) {
            return Err(Failure::usage(
                "Only one of --client-secret and --refresh-token can take standard input.",
            ));
        }
        Ok((client_secret, refresh_token))
    }
}

fn made(connection: &Connection) -> String {
    let until = connection
        .expires_at
        .as_ref()
        .map(|until| format!(", its access token is good until {until}"))
        .unwrap_or_default();
    format!(
        "{} is imported: {}{until}",
        connection.path,
        word(connection.state)
    )
}
