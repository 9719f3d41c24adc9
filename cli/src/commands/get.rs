//! `coffer get`: one field as exactly its bytes, several as a table.
//! Naming a field is asking for its value; where none is named, a terminal sees masks unless `--reveal` is given.
//!
//! Invariant: a single value goes out byte for byte, with a newline after it only on a terminal.

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::names;
use crate::output::{MASK, Output};
use crate::routes::Route;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use coffer_api::{FieldValue, Fields, Secret};

/// Print a secret: one field as its bytes, several as a table.
#[derive(Args)]
pub struct Get {
    /// The secret.
    #[arg(value_name = "P/E/PATH")]
    secret: String,
    /// Print just this field; the only one without.
    field: Option<String>,
    /// Read this version instead of the current one.
    #[arg(long, value_name = "N", conflicts_with = "previous")]
    version: Option<u64>,
    /// Read the version before the current one, while it is still valid.
    #[arg(long)]
    previous: bool,
    /// Show the values of the table on a terminal too.
    #[arg(long)]
    reveal: bool,
}

impl Get {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let secret = names::secret(&self.secret)?;
        let field = self.field.as_deref().map(names::field).transpose()?;
        let route = Route::of_secret("secrets", &secret)
            .query_if("version", self.version)
            .query_if("previous", self.previous.then_some("true"))
            .query_if("fields", field.as_deref());
        let reply = Client::from_environment()?.get(&route)?;
        if output.is_json() {
            return output.body(&reply.body);
        }
        let read: Secret = reply.parse()?;
        match (&field, read.fields.len()) {
            (Some(field), _) => match read.fields.get(field) {
                Some(value) => one(output, value),
                None => Err(Failure::new(
                    Exit::NotFound,
                    format!("{secret} has no field {field}: leave it out to see those it has."),
                )),
            },
            (None, 1) => read
                .fields
                .values()
                .try_for_each(|value| one(output, value)),
            (None, _) => several(output, &read.fields, self.reveal || !output.is_terminal()),
        }
    }
}

fn one(output: Output, value: &FieldValue) -> Result<(), Failure> {
    output.bytes(value.expose())?;
    if output.is_terminal() {
        output.bytes(b"\n")
    } else {
        Ok(())
    }
}

/// Values that are no text are shown as base64.
fn several(output: Output, fields: &Fields, reveal: bool) -> Result<(), Failure> {
    let shown = |value: &FieldValue| match value.expose_text() {
        _ if !reveal => MASK.to_owned(),
        Some(text) => text.to_owned(),
        None => format!("base64:{}", STANDARD.encode(value.expose())),
    };
    let row = |(name, value): (&String, &FieldValue)| vec![name.clone(), shown(value)];
    output.table(
        &["FIELD", "VALUE"],
        &fields.iter().map(row).collect::<Vec<_>>(),
    )
}
