//! `coffer audit`: the record of every use, as it is read, exported and verified.
//! Records are printed as the server sent them; only `verify` says whether to believe them.
//!
//! Invariant: an export has its name only when it has come to its end.

use crate::client::Client;
use crate::failure::Failure;
use crate::files::NewFile;
use crate::output::Output;
use crate::routes::Route;
use clap::{Args, Subcommand, ValueEnum};
use coffer_api::{AuditHead, AuditHeads, AuditKey};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum Audit {
    Tail(super::tail::Tail),
    Query(super::query::Query),
    Export(Export),
    Verify(super::verify::Verify),
    /// Show the newest signed head of every stream.
    Head,
    /// Print the public key that verifies every head.
    Key,
}

/// Write all records, or a bundle that can be verified.
#[derive(Args)]
pub struct Export {
    /// The form of the records.
    #[arg(long, value_enum, default_value = "jsonl", conflicts_with = "bundle")]
    format: ExportFormat,
    /// Write them to this file instead of standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    out: Option<PathBuf>,
    /// Write a bundle, with the signed heads of all streams, to this file.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ExportFormat {
    /// One record a line.
    Jsonl,
}

impl Audit {
    /// Does what was asked.
    pub fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Tail(tail) => tail.run(output),
            Self::Query(query) => query.run(output),
            Self::Export(export) => export.run(output),
            Self::Verify(verify) => verify.run(output),
            Self::Head => head(output),
            Self::Key => key(output),
        }
    }
}

impl Export {
    fn run(self, output: Output) -> Result<(), Failure> {
        let ExportFormat::Jsonl = self.format;
        let records = Route::new("audit").part("export").query("format", "jsonl");
        match (self.bundle, self.out) {
            (Some(file), _) => to_file(&Route::new("audit").part("bundle"), &file),
            (None, Some(file)) => to_file(&records, &file),
            (None, None) => {
                // Whole lines at a time: a piece may end within a character.
                let mut rest = Vec::new();
                Client::from_environment()?.stream(&records, |bytes| {
                    rest.extend_from_slice(bytes);
                    let lines = rest
                        .iter()
                        .rposition(|byte| *byte == b'\n')
                        .map_or(0, |at| at + 1);
                    output.json_bytes(&rest.drain(..lines).collect::<Vec<u8>>())
                })?;
                output.json_bytes(&rest)
            }
        }
    }
}

fn to_file(route: &Route, wanted: &Path) -> Result<(), Failure> {
    let client = Client::from_environment()?;
    let mut file = NewFile::create(wanted)?;
    client.stream(route, |bytes| {
        file.write_all(bytes).map_err(|error| file.failure(&error))
    })?;
    file.keep()
}

fn head(output: Output) -> Result<(), Failure> {
    let reply = Client::from_environment()?.get(&Route::new("audit").part("head"))?;
    if output.is_json() {
        return output.body(&reply.body);
    }
    let found: AuditHeads = reply.parse()?;
    let row = |head: &AuditHead| {
        vec![
            head.stream.clone(),
            head.size.to_string(),
            head.root.clone(),
        ]
    };
    output.table(
        &["STREAM", "RECORDS", "ROOT"],
        &found.heads.iter().map(row).collect::<Vec<_>>(),
    )
}

fn key(output: Output) -> Result<(), Failure> {
    let reply = Client::from_environment()?.get(&Route::new("audit").part("key"))?;
    if output.is_json() {
        return output.body(&reply.body);
    }
    output.line(&reply.parse::<AuditKey>()?.key)
}
