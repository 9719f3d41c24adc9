//! `coffer status`: the one question that a sealed server answers, and that needs no token.
//! A sealed server ends the command with 5, so that a script can wait for it.
//!
//! Invariant: whatever keys a newer server adds are shown, not dropped.

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::routes::Route;
use serde_json::{Map, Value};

/// Shows the server's state.
pub fn status(output: Output) -> Result<(), Failure> {
    let client = Client::maybe_with_token()?;
    let reply = client.get(&Route::new("status"))?;
    let state: Map<String, Value> = reply.parse()?;
    if output.is_json() {
        output.body(&reply.body)?;
    } else {
        let mut rows = vec![vec!["address".to_owned(), client.address().to_owned()]];
        rows.extend(
            state
                .iter()
                .map(|(key, value)| vec![key.replace('_', " "), shown(value)]),
        );
        output.table(&["SERVER", ""], &rows)?;
    }
    match state.get("sealed") {
        Some(Value::Bool(true)) => Err(Failure::new(
            Exit::Unavailable,
            "The server is sealed: unseal it first.",
        )),
        _ => Ok(()),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        other => other.to_string(),
    }
}
