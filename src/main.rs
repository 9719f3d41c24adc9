//! `coffer-server`: reads what it is told, shuts the doors to its own memory, and runs one command.
//! The parts are built in `commands/`, and each is handed to the next; nothing here decides anything.
//!
//! Invariant: the process is hardened before any key or secret can be in it.

mod commands;

use std::process::ExitCode;

use clap::Parser;
use commands::Command;
use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// The Coffer server: keeps secrets sealed, hands them out over HTTPS, and records every use.
#[derive(Parser)]
#[command(name = "coffer-server", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// A request makes some forty small objects: mimalloc serves them in half the time of the C library's. What is freed is
/// wiped first: values and tokens pass through buffers of the HTTP and TLS libraries, which wipe nothing.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    coffer::crypto::keep_new_files_private();
    coffer::crypto::raise_open_files();
    let hardening = coffer::crypto::harden_process();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers; anything else is a mistake in how the command is used.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                commands::USAGE
            } else {
                0
            });
        }
    };
    match arguments.command.run(hardening) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("coffer-server: {failure}");
            ExitCode::from(failure.code)
        }
    }
}
