use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Args, ValueHint};
use kinograph::media::{self, FrameRate, FrameSink, WriteOptions};
use kinograph::{Model, Numerics, Replay, Request, latents};

use crate::bar::Bar;
use crate::codec::{FPS, FRAMES};
use crate::config::Config;
use crate::output::{cancel_on_ctrl_c, clip, is_latents, names};
use crate::source;
use crate::video::Video;

#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// What to show.
    pub(crate) prompt: String,
    #[command(flatten)]
    pub(crate) video: Video,
    /// What to steer away from.
    #[arg(long, value_name = "PROMPT", default_value = "")]
    pub(crate) negative: String,
    /// Another seed gives another video; the same seed the same one, to the byte.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Start from the noise in this .safetensors file instead of the seed's.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) latents: Option<PathBuf>,
    /// Keep the state of sampling in this file, and go on from it when it is there: a job that was interrupted ends as
    /// if it had not been. The file is removed when the video is written.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Write the checkpoint no more often than so many seconds apart; 0 is after every step.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "checkpoint")]
    pub(crate) checkpoint_every: u32,
    /// Write a replay manifest to this file: with it `kinograph replay` makes the same bits again. Needs reproducible numerics.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "latents")]
    pub(crate) manifest: Option<PathBuf>,
    /// The file to write. Its ending chooses the format: .mp4, .gif, .png (one frame, or a numbered
    /// set), .y4m, or .safetensors for the latents.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "out.mp4")]
    pub(crate) output: PathBuf,
}

pub(crate) fn run(options: &Generate, config: &Config, quiet: bool) -> anyhow::Result<()> {
    let begin = Instant::now();
    let control = cancel_on_ctrl_c()?;
    check(options, config)?;
    let package = source::package(config)?;
    let request = request(options, config)?.control(control);
    let mut replay = options
        .manifest
        .as_ref()
        .map(|_| Replay::new(&package, &request, config.numerics.value))
        .transpose()?;
    let placement = source::placement(config, &package)?;
    let model = Model::load(package, placement)?;
    if let Some(replay) = &mut replay
        && config.memory_limit.value.is_some()
    {
        // Tiles that the limit asks for decide the bits as those of the command line do.
        replay.request.spatial_tiles = model.plan(&request)?.tactics.spatial.map(|tiles| tiles.to_string());
    }
    let bar = Bar::new(quiet);
    let made = if is_latents(&options.output) {
        sample(options, &model, &request, &bar)
    } else {
        film(options, &model, &request, replay, &bar)
    };
    bar.clear();
    let (files, what) = made?;
    if let Some(path) = &options.checkpoint {
        std::fs::remove_file(path)
            .with_context(|| format!("{}: the checkpoint cannot be removed", path.display()))?;
    }
    if !quiet {
        eprintln!("{}: {what} in {:.1} s", names(&files), begin.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The written files, and what they hold.
type Made = (Vec<PathBuf>, String);

/// Refuses before the work what could only fail behind it.
fn check(options: &Generate, config: &Config) -> anyhow::Result<()> {
    let Generate { output, checkpoint, manifest, .. } = options;
    if let Some(path) = manifest {
        ensure!(
            config.numerics.value != Numerics::Native,
            "a manifest says how to make the same bits again, which takes --numerics reproducible"
        );
        ensure!(!is_latents(output), "--manifest is of a video, and the output is a file of latents");
        latents::check(path)?;
    }
    for (name, path) in [("--checkpoint", checkpoint), ("--manifest", manifest)] {
        ensure!(path.as_ref() != Some(output), "{name} and --output are one file: {}", output.display());
    }
    Ok(())
}

fn sample(options: &Generate, model: &Model, request: &Request, bar: &Bar) -> anyhow::Result<Made> {
    latents::check(&options.output)?;
    let made = model.sample(request, |p| bar.show(&p))?;
    let file = latents::write(&options.output, &made, &metadata(options, model))?;
    Ok((vec![file], format!("latents {}", made.desc())))
}

/// Frames go into the file while later ones are still being decoded.
fn film(
    options: &Generate,
    model: &Model,
    request: &Request,
    replay: Option<Replay>,
    bar: &Bar,
) -> anyhow::Result<Made> {
    // Opened before the work: whatever is wrong with the output shows now.
    let mut sink = sink(options, model)?;
    let mut frames = 0;
    let take = |frame: &[u8]| {
        frames += 1;
        sink.frame(frame)
    };
    let (digests, made) = model.generate_digests(request, take, |p| bar.show(&p))?;
    for (stage, time) in &made.timings {
        log::info!("{stage}: {:.2} s", time.as_secs_f64());
    }
    let (width, height) = size(options, model);
    let files = sink.finish()?;
    if let (Some(mut replay), Some(path)) = (replay, &options.manifest) {
        replay.output = digests;
        media::replace(path, replay.to_toml().as_bytes())?;
    }
    Ok((files, clip(frames, width, height)))
}

fn size(options: &Generate, model: &Model) -> (usize, usize) {
    let video = &model.manifest().video;
    options.video.size.unwrap_or((video.width, video.height))
}

/// The output file for frames, of the size and rate that the request asks for.
fn sink(options: &Generate, model: &Model) -> anyhow::Result<Box<dyn FrameSink>> {
    let (width, height) = size(options, model);
    let rate = FrameRate::new(options.video.fps.unwrap_or(model.manifest().video.fps), 1)?;
    Ok(media::create(&options.output, width, height, rate, &WriteOptions::default())?)
}

fn metadata(options: &Generate, model: &Model) -> BTreeMap<String, String> {
    let video = &model.manifest().video;
    let text = |n: usize| n.to_string();
    BTreeMap::from([
        ("model".to_owned(), model.manifest().name.clone()),
        ("prompt".to_owned(), options.prompt.clone()),
        ("seed".to_owned(), options.seed.to_string()),
        (FRAMES.to_owned(), text(options.video.frames.unwrap_or(video.frames))),
        (FPS.to_owned(), options.video.fps.unwrap_or(video.fps).to_string()),
    ])
}

fn request(options: &Generate, config: &Config) -> anyhow::Result<Request> {
    let mut request = options.video.request(&options.prompt, config);
    request = request.negative(&options.negative).seed(options.seed);
    if let Some(path) = &options.latents {
        request = request.latents(latents::read(path)?);
    }
    if let Some(path) = &options.checkpoint {
        request = request.checkpoint(path, Duration::from_secs(options.checkpoint_every.into()));
    }
    Ok(request)
}
