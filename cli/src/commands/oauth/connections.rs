//! `coffer oauth connections`: how an environment's connections fare, and what they need.
//!
//! Invariant: every page is read before anything is printed.

use super::word;
use crate::client::Client;
use crate::failure::Failure;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::Args;
use coffer_api::{Connection, ConnectionList};

/// What the list shows.
const COLUMNS: [&str; 5] = ["CONNECTION", "STATE", "EXPIRES", "NEXT REFRESH", "REASON"];

/// List connections and how they fare, without their tokens.
#[derive(Args)]
pub struct Connections {
    /// The environment; the one of .coffer.toml without.
    #[arg(value_name = "P/E")]
    environment: Option<String>,
}

impl Connections {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let environment = names::environment(self.environment.as_deref())?;
        let list = list(&Client::from_environment()?, &environment)?;
        if output.is_json() {
            return output.json(&list);
        }
        let rows: Vec<_> = list.items.into_iter().map(row).collect();
        output.table(&COLUMNS, &rows)
    }
}

/// Every page as one.
fn list(client: &Client, environment: &names::Environment) -> Result<ConnectionList, Failure> {
    let mut all = ConnectionList {
        items: vec![],
        next_cursor: None,
    };
    loop {
        let route = Route::of_environment("connections", environment)
            .query_if("cursor", all.next_cursor.as_deref());
        let page: ConnectionList = client.get(&route)?.parse()?;
        all.items.extend(page.items);
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

/// Why a person is needed comes before what went wrong last.
fn row(connection: Connection) -> Vec<String> {
    vec![
        connection.path,
        word(connection.state).to_owned(),
        connection.expires_at.unwrap_or_default(),
        connection.next_refresh_at.unwrap_or_default(),
        connection
            .reason
            .or(connection.last_error)
            .unwrap_or_default(),
    ]
}
