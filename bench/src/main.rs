//! `bench`: Coffer's speed and size, measured against the machine's limit in one run.
//! It starts every server itself, drives them over TLS on loopback, and reads the log back; docs/bench.md says how to read it.
//!
//! Invariant: nothing here is asserted by the test suite; a figure is printed beside its goal and judged by a person.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench measures time; the server's clock is not its own"
)]

mod audit;
mod bare;
mod client;
mod compare;
mod failure;
mod figures;
mod grants;
mod import;
mod limit;
mod load;
mod log;
mod node;
mod postgres;
mod process;
mod provider;
mod read;
mod rounds;
mod run;
mod spread;
mod stage;
mod table;
mod tls;
mod token;
mod usage;
mod wire;
mod world;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::{Context, Failure, Result};
use run::{Options, Run};

/// Measures Coffer against the machine's limit in one run.
#[derive(Parser)]
struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The bare route alone: what this machine can do at most.
    Limit(Options),
    /// An audited, durable read against a bare route.
    Read(Options),
    /// Versions a second, and reads beside a writer.
    Write(Options),
    /// An access token read against a secret read.
    Token(Options),
    /// Grants that run out at once, and what they cost while they lie idle.
    Grants(Options),
    /// What the log takes, and how fast it is exported, verified and asked.
    Audit(Options),
    /// Everything.
    All(Options),
    /// Serves static bytes: the limit.
    #[command(hide = true)]
    Bare(bare::Options),
}

fn main() -> ExitCode {
    match run(Bench::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What is measured.
#[derive(Clone, Copy)]
enum Measure {
    Limit,
    Reads,
    Writes,
    Tokens,
    Grants,
    Audit,
}

fn run(command: Command) -> Result<()> {
    let (options, measures): (Options, &[Measure]) = match command {
        Command::Bare(options) => return bare::serve(options),
        Command::Limit(options) => (options, &[Measure::Limit]),
        Command::Read(options) => (options, &[Measure::Reads]),
        Command::Write(options) => (options, &[Measure::Writes]),
        Command::Token(options) => (options, &[Measure::Tokens]),
        Command::Grants(options) => (options, &[Measure::Grants]),
        Command::Audit(options) => (options, &[Measure::Audit]),
        Command::All(options) => (
            options,
            &[
                Measure::Reads,
                Measure::Writes,
                Measure::Tokens,
                Measure::Grants,
                Measure::Audit,
            ],
        ),
    };
    for measure in measures {
        // Before the runtime has a thread: a place on a core is inherited.
        let run = Run::prepare(options.clone(), !matches!(measure, Measure::Limit))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime")?;
        runtime.block_on(async {
            tokio::select! {
                done = measure.run(&run) => done,
                _ = tokio::signal::ctrl_c() => Err(Failure::new("interrupted")),
            }
        })?;
    }
    Ok(())
}

impl Measure {
    async fn run(self, run: &Run) -> Result<()> {
        match self {
            Self::Limit => limit::run(run).await,
            Self::Reads => read::run(run).await,
            Self::Writes => write::run(run).await,
            Self::Tokens => token::run(run).await,
            Self::Grants => grants::run(run).await,
            Self::Audit => audit::run(run).await,
        }
    }
}
