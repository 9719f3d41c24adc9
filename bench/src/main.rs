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
mod beside;
mod client;
mod compare;
mod crowd;
mod failure;
mod figures;
mod fill;
mod get;
mod grants;
mod import;
mod limit;
mod load;
mod log;
mod node;
mod options;
mod postgres;
mod process;
mod provider;
mod quiet;
mod read;
mod revoke;
mod rewrap;
mod rounds;
mod run;
mod scrape;
mod setting;
mod size;
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
use options::Options;
use run::Run;

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
    /// Revocations beside two nodes that write.
    Revoke(Options),
    /// An access token read against a secret read.
    Token(Options),
    /// Grants that run out at once, and what they cost while they lie idle.
    Grants(Options),
    /// Very many secrets against a thousand: reads, pages, starts, memory.
    Size(Options),
    /// The command line's `get`, from its start to its end.
    Get(Options),
    /// What the log takes, and how fast it is exported, verified and asked.
    Audit(Options),
    /// Versions moved to a new term of their environment's key, and what reads wait meanwhile.
    Rewrap(Options),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Limit,
    Reads,
    Writes,
    Revocations,
    Tokens,
    Grants,
    Size,
    Get,
    Audit,
    Rewrap,
}

/// How a run fails that a person has ended.
const INTERRUPTED: &str = "interrupted";

/// Everything, in its order: what is quick and moves most first.
const ALL: [Measure; 9] = [
    Measure::Reads,
    Measure::Writes,
    Measure::Revocations,
    Measure::Get,
    Measure::Tokens,
    Measure::Rewrap,
    Measure::Size,
    Measure::Audit,
    Measure::Grants,
];

fn run(command: Command) -> Result<()> {
    let (options, measures): (Options, &[Measure]) = match command {
        Command::Bare(options) => return bare::serve(options),
        Command::Limit(options) => (options, &[Measure::Limit]),
        Command::Read(options) => (options, &[Measure::Reads]),
        Command::Write(options) => (options, &[Measure::Writes]),
        Command::Revoke(options) => (options, &[Measure::Revocations]),
        Command::Token(options) => (options, &[Measure::Tokens]),
        Command::Grants(options) => (options, &[Measure::Grants]),
        Command::Size(options) => (options, &[Measure::Size]),
        Command::Get(options) => (options, &[Measure::Get]),
        Command::Audit(options) => (options, &[Measure::Audit]),
        Command::Rewrap(options) => (options, &[Measure::Rewrap]),
        Command::All(options) => (options, &ALL),
    };
    let mut failed = Vec::new();
    for measure in measures {
        // What else there is, is still worth its time.
        if let Err(failure) = run_one(*measure, options.clone()) {
            if measures.len() == 1 || failure.0 == INTERRUPTED {
                return Err(failure);
            }
            eprintln!("bench: {measure:?}: {failure}");
            failed.push(format!("{measure:?}"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure(format!("not measured: {}", failed.join(", "))))
}

fn run_one(measure: Measure, options: Options) -> Result<()> {
    // Before the runtime has a thread: a place on a core is inherited.
    let run = Run::prepare(options, measure != Measure::Limit)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(async {
        tokio::select! {
            done = measure.run(&run) => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(INTERRUPTED)),
        }
    })
}

impl Measure {
    async fn run(self, run: &Run) -> Result<()> {
        match self {
            Self::Limit => limit::run(run).await,
            Self::Reads => read::run(run).await,
            Self::Writes => write::run(run).await,
            Self::Revocations => revoke::run(run).await,
            Self::Tokens => token::run(run).await,
            Self::Grants => grants::run(run).await,
            Self::Size => size::run(run).await,
            Self::Get => get::run(run).await,
            Self::Audit => audit::run(run).await,
            Self::Rewrap => rewrap::run(run).await,
        }
    }
}
