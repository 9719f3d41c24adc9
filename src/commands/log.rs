//! The server's own log on stderr: one line an event, for people or for programs.
//! What other crates say is let through only when it is an error: some of them would quote what they were sent.
//!
//! Invariant: a panic is written down by its place alone; its message may hold what was being worked on.

use coffer::config::{Log, LogFormat, LogLevel};
use coffer::crypto::{Hardening, locked_memory};
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Begins to log.
pub fn begin(log: Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let ours = Targets::new()
        .with_target("coffer", level)
        .with_default(LevelFilter::ERROR);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match log.format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => lines.with_target(false).boxed(),
    };
    // A second call changes nothing: the first one's lines go on.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(ours))
        .try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "this is a mistake in Coffer: a part of it panicked");
    }));
}

/// Says what could not be shut.
pub fn warn_of(hardening: Hardening) {
    let memory = locked_memory();
    if let Some(reason) = &memory.reason {
        tracing::warn!("{reason}");
    }
    if !hardening.undumpable || !hardening.no_core {
        tracing::warn!(
            "other processes of this user may read this one's memory, or a crash may write it down"
        );
    }
}
