//! `bench limit`: the bare route alone, to see what a machine can do and how quiet it is before anything is compared.
//! It needs neither Coffer nor a database.
//!
//! Invariant: the request is as long as a read's, and so is the answer.

use std::sync::Arc;

use crate::compare::{HEAD, row};
use crate::failure::{Context, Result};
use crate::load::Flow;
use crate::rounds::{Case, measure};
use crate::run::Run;
use crate::world::{Traffic, World};

/// Measures the bare route.
pub async fn run(run: &Run) -> Result<()> {
    let (world, path, body) = World::imagined();
    let (bare, address) = run.bare(&path, &body).await?;
    run.say_conditions(body.len());
    let case = Case {
        name: "bare route".to_owned(),
        address,
        traffic: Traffic::Bare(Arc::new(world)),
        flow: Flow::flat_out(run.options.connections()),
        server: bare.id(),
        postgres: None,
        beside: None,
    };
    let seen = measure(run, &[case]).await?;
    let seen = seen.first().context("nothing was measured")?;
    run.say_table(&HEAD, &[row("bare route".into(), seen, seen, "-".into())]);
    Ok(())
}
