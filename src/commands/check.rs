//! `check` and `migrate`: the store looked at as a whole, without serving it.
//! A check changes nothing, not even the schema, and beside PostgreSQL it may run while servers do.
//!
//! Invariant: exit code 0 means that every row agreed with its keys and its log.

use std::io::Write;

use clap::Args;
use coffer::config::Config;
use coffer::door;

use super::node::{self, Sealed};
use super::{ConfigOrData, Failure, TAMPERED, runtime, terminal};

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    place: ConfigOrData,
}

impl Check {
    pub fn run(self) -> Result<(), Failure> {
        let config = self.place.read()?;
        let lines = runtime(Some(&config))?.block_on(check(&config))?;
        let mut out = std::io::stdout().lock();
        for line in &lines {
            // A reader that went away has seen enough; the exit code still says it.
            let _ = writeln!(out, "{line}");
        }
        match lines.len() {
            0 => {
                let _ = writeln!(out, "The store agrees with its keys and its audit log.");
                Ok(())
            }
            1 => Err(Failure::new(
                TAMPERED,
                "One row does not agree with the keys or the audit log.",
            )),
            rows => Err(Failure::new(
                TAMPERED,
                format!("{rows} rows do not agree with the keys or the audit log."),
            )),
        }
    }
}

async fn check(config: &Config) -> Result<Vec<String>, Failure> {
    let store = node::open_store(config).await?;
    let sealed = Sealed::find(&store).await?.ok_or_else(node::not_founded)?;
    let root = match sealed.root(&config.seal).await? {
        Some(root) => root,
        None => {
            let given = terminal::passphrase("Passphrase: ")?;
            sealed
                .root_by_passphrase(given)
                .await?
                .map_err(Failure::failed)?
        }
    };
    let keys = sealed.open(root)?;
    door::check(&store, &keys)
        .await
        .map_err(|error| Failure::failed(error.0))
}

#[derive(Args)]
pub struct Migrate {
    #[command(flatten)]
    place: ConfigOrData,
}

impl Migrate {
    pub fn run(self) -> Result<(), Failure> {
        let config = self.place.read()?;
        runtime(Some(&config))?.block_on(async {
            let store = node::open_store(&config).await?;
            node::migrate(&store).await
        })?;
        println!(
            "The store has this server's schema, {}.",
            coffer::store::SCHEMA
        );
        Ok(())
    }
}
