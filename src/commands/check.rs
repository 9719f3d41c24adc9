//! `check` and `migrate`: the store looked at as a whole, without serving it.
//! A check changes nothing, not even the schema, and beside PostgreSQL it may run while servers do.
//!
//! Invariant: exit code 0 means that every row agreed with its keys and its log.

use std::io::Write;

use clap::Args;
use coffer::config::Config;
use coffer::door::{self, StartError};

use super::node::{self, Sealed};
use super::{ConfigOrData, Failure, TAMPERED, runtime, terminal};

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    place: ConfigOrData,
    /// Leave out what this node remembers of its own log: for a database that was restored on purpose
    #[arg(long)]
    accept_rollback: bool,
}

impl Check {
    pub fn run(self) -> Result<(), Failure> {
        let config = self.place.read()?;
        let lines = runtime(Some(&config))?.block_on(check(&config, self.accept_rollback))?;
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

async fn check(config: &Config, accept_rollback: bool) -> Result<Vec<String>, Failure> {
    let store = node::open_store(config).await?;
    let failed = |error: StartError| Failure::failed(error.0);
    let ground = door::check_ground(&store).await.map_err(failed)?;
    if let Some(schema) = ground.schema {
        return Err(node::other_schema(schema));
    }
    let Some(cluster) = ground.cluster else {
        return if ground.lines.is_empty() && ground.keys.is_empty() {
            Err(node::not_founded())
        } else {
            Ok(ground.without_world())
        };
    };
    let mut lines = ground.lines;
    let Ok(sealed) = Sealed::of(cluster, ground.keys) else {
        lines.push("wrapped key seal 1: it is no seal's record".to_owned());
        return Ok(lines);
    };
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
    // Said row by row, before a keyring is asked for, which is whole or not at all.
    let unopened = sealed.unopened(&root);
    if !unopened.is_empty() {
        lines.extend(unopened);
        return Ok(lines);
    }
    let keys = sealed.open(root)?;
    let state = (!accept_rollback).then_some(&*config.state_dir);
    door::check(&store, &keys, state).await.map_err(failed)
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
