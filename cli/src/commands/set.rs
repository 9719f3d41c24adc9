//! `coffer set`: writes fields of a secret as one new version.
//! Values come from a prompt, a file or standard input; a typed one is taken, and the help says what that costs.
//!
//! Invariant: every value is in hand before the one request is sent.

use crate::client::Client;
use crate::failure::Failure;
use crate::fields::FieldArgument;
use crate::names;
use crate::output::Output;
use crate::routes::Route;
use clap::Args;
use coffer_api::{FieldValue, Generate, PatchSecret, PutSecret, WrittenSecret};
use reqwest::Method;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

/// Characters of a generated value unless --length says otherwise.
const GENERATED_CHARS: u32 = 32;

/// Set fields of a secret; fields that are not named keep their values.
///
/// FIELD asks without echo, FIELD=- takes standard input and FIELD=@FILE a file, byte for byte. FIELD=VALUE is taken as
/// typed, but your shell may write it into its history and others may see it in the list of processes. Without any
/// field, the field `value` is asked for.
#[derive(Args)]
pub struct Set {
    /// The secret.
    #[arg(value_name = "P/E/PATH")]
    secret: String,
    /// FIELD, FIELD=-, FIELD=@FILE or FIELD=VALUE.
    #[arg(value_name = "FIELD[=…]")]
    fields: Vec<OsString>,
    /// Let the server make up this field's value; may be given several times.
    #[arg(long, value_name = "FIELD")]
    generate: Vec<String>,
    /// Characters of generated values.
    #[arg(long, value_name = "N", requires = "generate")]
    length: Option<u32>,
    /// The characters that generated values are made of: alphanumeric, hex, base64url, or at least ten of your own.
    #[arg(long, value_name = "CHARACTERS", requires = "generate")]
    alphabet: Option<String>,
    /// Drop the fields that are not named.
    #[arg(long)]
    replace: bool,
    /// Only if this is the current version; 0 means that the secret must not exist.
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
}

impl Set {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        let secret = names::secret(&self.secret)?;
        let route = Route::of_secret("secrets", &secret).query_if("if_version", self.if_version);
        let generate = self.generated()?;
        let arguments = self.arguments(&generate)?;
        let client = Client::from_environment()?;
        let values = arguments
            .into_iter()
            .map(|field| Ok((field.name.clone(), field.value()?)));
        let values: Vec<(String, FieldValue)> = values.collect::<Result<_, Failure>>()?;
        let reply = if self.replace {
            let body = PutSecret {
                fields: values.into_iter().collect(),
                generate,
            };
            client.send(Method::PUT, &route, Some(&body))?
        } else {
            let fields = values
                .into_iter()
                .map(|(name, value)| (name, Some(value)))
                .collect();
            client.send(
                Method::PATCH,
                &route,
                Some(&PatchSecret { fields, generate }),
            )?
        };
        if output.is_json() {
            return output.body(&reply.body);
        }
        let written: WrittenSecret = reply.parse()?;
        output.line(&format!("{} version {}", written.path, written.version))
    }

    fn generated(&self) -> Result<BTreeMap<String, Generate>, Failure> {
        let length = self.length.unwrap_or(GENERATED_CHARS);
        let made = || Generate {
            length,
            alphabet: self.alphabet.clone(),
        };
        let names: Vec<String> = self
            .generate
            .iter()
            .map(|name| names::field(name))
            .collect::<Result<_, _>>()?;
        Ok(names.into_iter().map(|name| (name, made())).collect())
    }

    fn arguments(
        &self,
        generate: &BTreeMap<String, Generate>,
    ) -> Result<Vec<FieldArgument>, Failure> {
        if self.fields.is_empty() && generate.is_empty() {
            return Ok(vec![FieldArgument::prompted()]);
        }
        let arguments: Vec<_> = self
            .fields
            .iter()
            .map(|field| FieldArgument::parse(field))
            .collect::<Result<_, _>>()?;
        let mut named: BTreeSet<&str> = generate.keys().map(String::as_str).collect();
        if let Some(twice) = arguments.iter().find(|field| !named.insert(&field.name)) {
            return Err(Failure::usage(format!(
                "Field {} is given twice: give each field once.",
                twice.name
            )));
        }
        if arguments.iter().filter(|field| field.takes_stdin()).count() > 1 {
            return Err(Failure::usage("Only one field can take standard input."));
        }
        Ok(arguments)
    }
}
