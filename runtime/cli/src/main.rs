//! The `kinograph` program.
#![forbid(unsafe_code)]

mod args;
mod devices;
mod generate;
mod inspect;
mod source;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

/// Exit code of a run that was cancelled, as shells use for Ctrl-C.
const CANCELLED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level))
        .format_timestamp(None)
        .init();
    let result = match &arguments.command {
        Command::Generate(options) => generate::run(options, arguments.quiet),
        Command::Inspect(options) => inspect::run(options),
        Command::Devices => devices::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_cancelled(&error) => {
            eprintln!("cancelled; nothing was written");
            ExitCode::from(CANCELLED)
        }
        // The reader of our output went away, as `kinograph inspect | head` does: not an error.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, each once: some messages hold their cause already.
fn message(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |message, cause| {
        if message.contains(&cause) { message } else { format!("{message}: {cause}") }
    })
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kinograph::Error::Cancelled))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
