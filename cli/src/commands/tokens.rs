//! `coffer token` and `coffer whoami`: bearer tokens and what they may do.
//! A new token is printed once, alone on standard output; what else there is to say goes to standard error.
//!
//! Invariant: a token is read from the environment or standard input, never from an argument.

use crate::client::Client;
use crate::durations::Seconds;
use crate::failure::Failure;
use crate::fields;
use crate::names;
use crate::output::{self, Output};
use crate::routes::Route;
use crate::settings;
use clap::{Args, Subcommand};
use coffer_api::{CreateToken, CreatedToken, TokenEntry, TokenList, TokenSelf};
use reqwest::Method;

#[derive(Subcommand)]
pub enum Token {
    Create(Create),
    /// List tokens.
    List,
    Revoke(Revoke),
}

/// Make a token that may do no more than this one; it is shown once.
#[derive(Args)]
pub struct Create {
    /// What it may do, as actions:project/environment/path; may be given several times.
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// How long it lives: a number and s, m, h or d.
    #[arg(long, value_name = "DURATION")]
    ttl: Seconds,
    /// Let it speak for this application, which is made if there is none.
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Let it outlive the token that makes it.
    #[arg(long)]
    orphan: bool,
}

/// Revoke a token and all it has made, at once.
#[derive(Args)]
pub struct Revoke {
    /// Its id, or - for a token on standard input.
    #[arg(value_name = "ID|-")]
    id: String,
}

impl Token {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(output),
            Self::List => list(output),
            Self::Revoke(revoke) => revoke.run(output),
        }
    }
}

impl Create {
    fn run(self, output: Output) -> Result<(), Failure> {
        if self.app.as_deref().is_some_and(|app| !names::is_place(app)) {
            return Err(Failure::usage(format!(
                "An application's name is {}.",
                names::PLACE_RULE
            )));
        }
        let body = CreateToken {
            scopes: self.scopes,
            ttl: self.ttl.0,
            app: self.app,
            orphan: self.orphan,
        };
        let reply =
            Client::from_environment()?.send(Method::POST, &Route::new("tokens"), Some(&body))?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        let created: CreatedToken = reply.parse()?;
        output.bytes(created.token.expose().as_bytes())?;
        output.bytes(b"\n")?;
        output::note(&format!(
            "Token {} lives until {} and is not shown again.",
            created.id, created.expires_at
        ));
        Ok(())
    }
}

impl Revoke {
    fn run(self, output: Output) -> Result<(), Failure> {
        if self.id.starts_with("cof_") {
            return Err(Failure::usage(
                "A token does not belong among arguments, where others see it: give - and the token on standard input.",
            ));
        }
        let (client, id) = match self.id.as_str() {
            "-" => of_stdin()?,
            id => {
                let id = names::id(id)?;
                (Client::from_environment()?, id)
            }
        };
        let reply = client.send(Method::DELETE, &Route::new("tokens").part(&id), None::<&()>)?;
        if output.is_json() {
            output.body(&reply.body)
        } else {
            output.line(&format!("{id} is revoked"))
        }
    }
}

/// The id of a token on standard input, which the token itself is asked for. It is revoked by the environment's token,
/// or by itself when there is none.
fn of_stdin() -> Result<(Client, String), Failure> {
    let token = fields::token_from_stdin()?;
    let itself = Client::with_token(&token)?;
    let found: TokenSelf = itself.get(&Route::new("tokens").part("self"))?.parse()?;
    let id = names::id(&found.id)?;
    match settings::token()? {
        Some(_) => Ok((Client::from_environment()?, id)),
        None => Ok((itself, id)),
    }
}

fn list(output: Output) -> Result<(), Failure> {
    let client = Client::from_environment()?;
    let mut all = TokenList {
        tokens: vec![],
        next_cursor: None,
    };
    loop {
        let route = Route::new("tokens").query_if("cursor", all.next_cursor.as_deref());
        let page: TokenList = client.get(&route)?.parse()?;
        all.tokens.extend(page.tokens);
        if page.next_cursor.is_some() && page.next_cursor == all.next_cursor {
            return Err(Failure::failed(
                "The server's list does not end: tell its operator.",
            ));
        }
        all.next_cursor = page.next_cursor;
        if all.next_cursor.is_none() {
            break;
        }
    }
    if output.is_json() {
        return output.json(&all);
    }
    let row = |token: &TokenEntry| {
        let state = if token.revoked { "revoked" } else { "valid" };
        let parent = token.parent.clone().unwrap_or_default();
        let scopes = token.scopes.join(" ");
        vec![
            token.id.clone(),
            token.principal.clone(),
            parent,
            token.expires_at.clone(),
            state.to_owned(),
            scopes,
        ]
    };
    let rows: Vec<_> = all.tokens.iter().map(row).collect();
    output.table(
        &["ID", "PRINCIPAL", "PARENT", "EXPIRES", "STATE", "SCOPES"],
        &rows,
    )
}

/// `coffer whoami`.
pub fn whoami(output: Output) -> Result<(), Failure> {
    let reply = Client::from_environment()?.get(&Route::new("tokens").part("self"))?;
    if output.is_json() {
        return output.body(&reply.body);
    }
    let token: TokenSelf = reply.parse()?;
    let mut rows = vec![
        vec!["principal".to_owned(), token.principal],
        vec!["token".to_owned(), token.id],
        vec!["created".to_owned(), token.created_at],
        vec!["expires".to_owned(), token.expires_at],
    ];
    rows.extend(token.parent.map(|parent| vec!["parent".to_owned(), parent]));
    rows.extend(
        token
            .scopes
            .into_iter()
            .map(|scope| vec!["scope".to_owned(), scope]),
    );
    output.table(&["WHO", ""], &rows)
}
