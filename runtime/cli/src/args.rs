use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use kinograph::Numerics;

use crate::bench::Bench;
use crate::codec::{Decode, Encode, Reconstruct};
use crate::config::{ByteSize, Pairs, parse_device, parse_pairs, parse_threads};
use crate::generate::Generate;
use crate::plan::Planned;
use crate::replay::Replayed;

/// Video and images from a prompt, by a model that is data, on a device chosen at run time.
///
/// Try:
///   kinograph generate "a red circle moves left" -o out.mp4
///   kinograph generate "a big blue star" --frames 1 -o star.png
///   kinograph inspect
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) config: ConfigFlags,
}

/// Options of every command; what they leave open comes from the environment and from files.
#[derive(Args, Debug)]
pub(crate) struct ConfigFlags {
    /// The device that computes; `kinograph devices` lists them. `auto`, `fastest` (by a short measurement) and
    /// `least-memory` choose one.
    #[arg(long, value_name = "ID", value_parser = parse_device, global = true, help_heading = CONFIGURATION)]
    pub(crate) device: Option<String>,
    /// Run a component on a device of its own, such as `text=cpu,decoder=wgpu:0`; repeatable. Components are text, backbone,
    /// decoder, encoder, and text encoders by their names.
    #[arg(long, value_name = "PART=ID", value_parser = parse_pairs, global = true, help_heading = CONFIGURATION)]
    pub(crate) place: Vec<Pairs>,
    /// The device for what the chosen one does not take; without it, that is an error.
    #[arg(long, value_name = "ID", value_parser = parse_device, global = true, help_heading = CONFIGURATION)]
    pub(crate) fallback: Option<String>,
    /// An option of the device, such as `fallback=cpu` of ort:cuda:0; repeatable.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pairs, global = true, help_heading = CONFIGURATION)]
    pub(crate) device_option: Vec<Pairs>,
    /// Directory or manifest of a model package; without it, the model inside the program.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, global = true, help_heading = CONFIGURATION)]
    pub(crate) model: Option<PathBuf>,
    /// Directory with plugins, which are backends in shared libraries; may be given several times.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, global = true, help_heading = CONFIGURATION)]
    pub(crate) plugins: Vec<PathBuf>,
    /// Threads of the device; without it, one a core. The result does not depend on it.
    #[arg(long, value_name = "N", value_parser = parse_threads, global = true, help_heading = CONFIGURATION)]
    pub(crate) threads: Option<u16>,
    /// The arithmetic: `native`, the fastest of each device; `reproducible`, the same bits on every device, or
    /// `reproducible-r8`, faster and less precise.
    #[arg(long, value_name = "KIND", global = true, help_heading = CONFIGURATION)]
    pub(crate) numerics: Option<Numerics>,
    /// The most memory that a job may take, such as 2GiB or 500MB.
    #[arg(long, value_name = "SIZE", global = true, help_heading = CONFIGURATION)]
    pub(crate) memory_limit: Option<ByteSize>,
    /// Read this file instead of ./kinograph.toml.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true, help_heading = CONFIGURATION)]
    pub(crate) config: Option<PathBuf>,
    /// Log errors only, and show no progress.
    #[arg(long, short, global = true, help_heading = CONFIGURATION)]
    pub(crate) quiet: bool,
    /// Log more: info, and debug or trace when given twice or thrice.
    #[arg(long, short, action = clap::ArgAction::Count, global = true, help_heading = CONFIGURATION)]
    pub(crate) verbose: u8,
}

/// The heading of [`ConfigFlags`] in the help.
const CONFIGURATION: &str = "Configuration, also from kinograph.toml and KINOGRAPH_ variables";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a video, or an image, from a prompt.
    ///
    /// What the bundled model, flipbook, understands:
    ///   a red circle moves left
    ///   a small yellow star bounces on a blue background
    ///   a green triangle spins on a red to yellow gradient
    ///   a white letter "K" moves down
    ///   a red circle moves left and a blue square moves up
    #[command(verbatim_doc_comment)]
    Generate(Generate),
    /// Make a video again from its replay manifest, on any device, and tell whether the bits are equal.
    Replay(Replayed),
    /// Turn a video into latents.
    Encode(Encode),
    /// Turn latents into a video, or an image.
    Decode(Decode),
    /// Send a video through the autoencoder and back, and tell how much is lost.
    Reconstruct(Reconstruct),
    /// Show what a job would need: operations, tiles, memory; needs no weights.
    Plan(Planned),
    /// Show what a model consists of: components, parameters, ops, shapes.
    Inspect(Inspect),
    /// List the devices that --device can name, and which one is chosen.
    Devices(Devices),
    /// Measure how fast the device computes, as a share of what its own matrix product reaches.
    Bench(Bench),
    /// Show whether a device computes what the models say, case by case.
    ///
    /// Try:
    ///   kinograph conformance test --quick
    ///   kinograph conformance test --device all --plugins DIR --report report
    ///   kinograph conformance support --device ort:cpu
    #[command(subcommand, verbatim_doc_comment)]
    Conformance(kinograph_conformance::program::Command),
    /// Show the settings in force, and where each comes from.
    Config(Show),
    /// Print a script that teaches a shell to complete the options.
    ///
    /// For bash, for example:
    ///   kinograph completions bash > ~/.local/share/bash-completion/completions/kinograph
    #[command(verbatim_doc_comment)]
    Completions(Completions),
}

#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// Show the ops of this component in detail, instead of a table of all.
    pub(crate) component: Option<String>,
    /// Print JSON, for programs.
    #[arg(long, conflicts_with = "dot")]
    pub(crate) json: bool,
    /// Print the graph in the language of Graphviz: `kinograph inspect decoder --dot | dot -Tsvg`.
    #[arg(long)]
    pub(crate) dot: bool,
    /// Show the weights in it too.
    #[arg(long, requires = "dot")]
    pub(crate) weights: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Devices {
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: Shell,
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
