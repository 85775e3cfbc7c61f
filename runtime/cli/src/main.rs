//! The `kinograph` program.
#![forbid(unsafe_code)]

mod args;
mod bar;
mod bench;
mod codec;
mod completions;
mod config;
mod conformance;
mod devices;
mod generate;
mod inspect;
mod json;
mod output;
mod plan;
mod plugins;
mod replay;
mod source;
mod video;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use config::Config;

/// Exit code of a run that was cancelled, as shells use for Ctrl-C.
const CANCELLED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_cancelled(&error) => {
            eprintln!("cancelled; {}", what_is_left(&arguments.command));
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

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Reads no configuration: a slip in a file must not break the start of a shell.
    if let Command::Completions(options) = &arguments.command {
        return completions::run(options);
    }
    let config = Config::load(&arguments.config)?;
    start_logging(&config.log.value);
    let quiet = arguments.config.quiet;
    match &arguments.command {
        Command::Generate(options) => generate::run(options, &config, quiet),
        Command::Replay(options) => replay::run(options, &config, quiet),
        Command::Encode(options) => codec::encode(options, &config, quiet),
        Command::Decode(options) => codec::decode(options, &config, quiet),
        Command::Reconstruct(options) => codec::reconstruct(options, &config, quiet),
        Command::Plan(options) => plan::run(options, &config),
        Command::Bench(options) => {
            // Ops are measured without a model too, but not without one that was named.
            let package = match source::package(&config) {
                Err(error) if config.model.value.is_some() => return Err(error),
                package => package.ok(),
            };
            bench::run(options, package, config.threads.value, |id, threads| {
                source::device_with(&config, id, threads)
            })
        }
        Command::Inspect(options) => inspect::run(options, &config),
        Command::Devices(options) => devices::run(options, &config),
        Command::Conformance(command) => conformance::run(command, &config),
        Command::Config(options) => config::run(options, &config),
        Command::Completions(options) => completions::run(options),
    }
}

fn start_logging(filter: &str) {
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(filter).format_timestamp(None);
    if let Ok(style) = std::env::var("RUST_LOG_STYLE") {
        builder.parse_write_style(&style);
    }
    builder.init();
}

/// The error with its causes, each once: some messages hold their cause already.
fn message(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |message, cause| {
        if message.contains(&cause) { message } else { format!("{message}: {cause}") }
    })
}

/// What a cancelled run leaves behind.
fn what_is_left(command: &Command) -> String {
    let checkpoint = match command {
        Command::Generate(options) => options.checkpoint.as_ref().filter(|path| path.exists()),
        _ => None,
    };
    checkpoint.map_or_else(
        || "nothing was written".to_owned(),
        |path| format!("the same command goes on from {}", path.display()),
    )
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kinograph::Error::Cancelled))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
