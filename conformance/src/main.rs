//! `kinograph-conformance`: the suite without the rest of the `kinograph` program, for those who write a backend.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueHint};
use kinograph::{DeviceOptions, Numerics, Runtime};
use kinograph_conformance::program::{Command, Devices, run};

/// Whether a device computes Movie Gen models rightly: cases of ops, of graphs and of whole pipelines, held against the exact
/// answer within bounds that follow from the op and its data.
///
/// Try:
///   kinograph-conformance test --quick
///   kinograph-conformance test --device all --plugins DIR --report report
///   kinograph-conformance support --device ort:cpu
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The device; `all` is each that is there; repeatable.
    #[arg(long, value_name = "ID", global = true, default_value = "cpu")]
    device: Vec<String>,
    /// Threads of the device; without it, one a core.
    #[arg(long, value_name = "N", global = true)]
    threads: Option<u16>,
    /// An option of the device, such as `simd=avx2` of cpu; repeatable.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, global = true)]
    device_option: Vec<(String, String)>,
    /// The arithmetic: native, reproducible or reproducible-r8, with which every bit is judged.
    #[arg(long, value_name = "KIND", global = true, default_value = "native")]
    numerics: Numerics,
    /// Directory with plugins; repeatable.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, global = true)]
    plugins: Vec<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut runtime = Runtime::new();
    if let Err(reason) = load_plugins(&mut runtime, &arguments.plugins) {
        eprintln!("error: {reason}");
        return ExitCode::from(2);
    }
    let options = DeviceOptions {
        threads: arguments.threads.map(usize::from),
        extra: arguments.device_option.iter().cloned().collect(),
        cache: None,
    };
    let devices = Devices { runtime: &runtime, ids: arguments.device, options, numerics: arguments.numerics };
    match run(&arguments.command, &devices, &mut std::io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

#[cfg(feature = "plugins")]
fn load_plugins(runtime: &mut Runtime, directories: &[PathBuf]) -> Result<(), String> {
    use kinograph::plugins::{PluginDirectories, PluginHost};

    for refused in runtime.load_plugins(&mut PluginHost::new(), &PluginDirectories::new(directories)) {
        eprintln!("{refused}");
    }
    Ok(())
}

#[cfg(not(feature = "plugins"))]
fn load_plugins(_: &mut Runtime, directories: &[PathBuf]) -> Result<(), String> {
    if directories.is_empty() {
        return Ok(());
    }
    Err("this build loads no plugins: build with the cargo feature `plugins`".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }
}
