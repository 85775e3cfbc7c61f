//! `kinograph replay`: makes a video again from its manifest and says whether the bits are equal.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{bail, ensure};
use clap::{Args, ValueHint};
use kinograph::media::{self, FrameRate, FrameSink, MediaError, WriteOptions};
use kinograph::replay::Digests;
use kinograph::{Model, Replay, Request};

use crate::bar::Bar;
use crate::config::Config;
use crate::output::{cancel_on_ctrl_c, clip, names};
use crate::source;

#[derive(Args, Debug)]
pub(crate) struct Replayed {
    /// The manifest that `generate --manifest` wrote.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) manifest: PathBuf,
    /// Write the video to this file too.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

pub(crate) fn run(options: &Replayed, config: &Config, quiet: bool) -> anyhow::Result<()> {
    let begin = Instant::now();
    let control = cancel_on_ctrl_c()?;
    let replay = Replay::read(&options.manifest)?;
    let (numerics, request) = (replay.numerics()?, replay.request()?.control(control));
    let request = match config.memory_limit.value {
        Some(limit) => request.memory_limit(limit.0),
        None => request,
    };
    let package = source::package(config)?;
    replay.check_model(&package)?;
    let placement = source::placement_with(config, &package, numerics)?;
    let model = Model::load(package, placement)?;
    if config.memory_limit.value.is_some() {
        let tiles = model.plan(&request)?.tactics.spatial;
        ensure!(
            tiles.is_none() || replay.request.spatial_tiles.is_some(),
            "{}: the memory limit ({}) asks for frames in tiles, which decide the bits: raise it",
            options.manifest.display(),
            config.memory_limit.source
        );
    }
    let bar = Bar::new(quiet);
    let sink = options.output.as_deref().map(|path| sink(path, &replay)).transpose()?;
    let made = film(&model, &request, sink, &bar);
    bar.clear();
    let (digests, files) = made?;
    if !quiet && !files.is_empty() {
        let settings = &replay.request;
        eprintln!("{}: {}", names(&files), clip(settings.frames, settings.width, settings.height));
    }
    compare(&digests, &replay.output, &options.manifest)?;
    if !quiet {
        let seconds = begin.elapsed().as_secs_f64();
        writeln!(stdout(), "{}: the same bits, in {seconds:.1} s", options.manifest.display())?;
    }
    Ok(())
}

fn compare(made: &Digests, wanted: &Digests, manifest: &Path) -> anyhow::Result<()> {
    let manifest = manifest.display();
    let parted = made.steps.iter().zip(&wanted.steps).position(|(made, wanted)| made != wanted);
    if let Some(step) = parted {
        bail!("{manifest}: other latents from step {} of {} on", step + 1, wanted.steps.len());
    }
    if made.latents != wanted.latents {
        bail!("{manifest}: other latents: {} instead of {}", made.latents, wanted.latents);
    }
    if made.frames != wanted.frames {
        bail!("{manifest}: other frames of the same latents: {} instead of {}", made.frames, wanted.frames);
    }
    Ok(())
}

fn sink(path: &Path, replay: &Replay) -> Result<Box<dyn FrameSink>, MediaError> {
    let settings = &replay.request;
    let rate = FrameRate::new(settings.fps, 1)?;
    media::create(path, settings.width, settings.height, rate, &WriteOptions::default())
}

fn film(
    model: &Model,
    request: &Request,
    mut sink: Option<Box<dyn FrameSink>>,
    bar: &Bar,
) -> anyhow::Result<(Digests, Vec<PathBuf>)> {
    let take = |frame: &[u8]| sink.as_mut().map_or(Ok(()), |sink| sink.frame(frame));
    let (digests, _) = model.generate_digests(request, take, |p| bar.show(&p))?;
    let files = sink.map(|sink| sink.finish()).transpose()?.unwrap_or_default();
    Ok((digests, files))
}
