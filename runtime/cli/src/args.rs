use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use kinograph::schedule::Schedule;

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
    /// Print errors only, and no progress bar.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log more; twice for still more. RUST_LOG overrides it.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

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
    /// Show what a model consists of: components, parameters, ops, shapes.
    Inspect(Inspect),
    /// List the devices that --device can name.
    Devices,
}

#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// What to show.
    pub(crate) prompt: String,
    /// Directory of a model package; without it, the model inside the program.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// The device that computes; `kinograph devices` lists them.
    #[arg(long, value_name = "ID", default_value = "cpu")]
    pub(crate) device: String,
    /// Threads of the device; without it, one a core. The result does not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Number of frames; 1 makes an image.
    #[arg(long, value_name = "N")]
    pub(crate) frames: Option<usize>,
    /// Size in pixels.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub(crate) size: Option<(usize, usize)>,
    /// Frames per second, told to the model and written into the file.
    #[arg(long, value_name = "N")]
    pub(crate) fps: Option<u32>,
    /// Steps of the sampler: more are slower and a little better.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Spacing of the steps: linear, linear-quadratic or linear-quadratic:N.
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: Option<Schedule>,
    /// How strongly the prompt steers; 1 is no guidance and halves the time.
    #[arg(long, value_name = "SCALE")]
    pub(crate) guidance: Option<f32>,
    /// What to steer away from.
    #[arg(long, value_name = "PROMPT", default_value = "")]
    pub(crate) negative: String,
    /// Another seed gives another video; the same seed the same one, to the byte.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Start from the noise in this .safetensors file instead of the seed's.
    #[arg(long, value_name = "FILE")]
    pub(crate) latents: Option<PathBuf>,
    /// The file to write. Its ending chooses the format: .mp4, .gif, .png (one frame, or a numbered
    /// set), .y4m, or .safetensors for the latents.
    #[arg(long, short, value_name = "FILE", default_value = "out.mp4")]
    pub(crate) output: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// Show the ops of this component in detail, instead of a table of all.
    pub(crate) component: Option<String>,
    /// Directory of a model package; without it, the model inside the program.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
}

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let sizes = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sizes.ok_or_else(|| "give width and height in pixels, for example 96x64".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("96x64"), Ok((96, 64)));
        for bad in ["96", "x", "96x", "-1x2", "1x2x3", "99999999999999999999x1"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
