//! `encode`, `decode`, `reconstruct`: the autoencoder alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueHint};
use kinograph::media::{self, FrameRate, FrameSource, MediaError, WriteOptions};
use kinograph::tiling::Tiles;
use kinograph::{CodecOptions, HostTensor, Model, latents};

use crate::bar::Bar;
use crate::config::Config;
use crate::output::{cancel_on_ctrl_c, clip, names};
use crate::source;

/// Keys of the metadata in files of latents.
pub(crate) const FRAMES: &str = "frames";
const WIDTH: &str = "width";
const HEIGHT: &str = "height";
pub(crate) const FPS: &str = "fps";

#[derive(Args, Debug)]
pub(crate) struct Encode {
    /// The video: .gif, .y4m, .png (one frame, or the first of a numbered set), or a folder of .png files.
    #[arg(value_hint = ValueHint::AnyPath)]
    input: PathBuf,
    /// The .safetensors file to write.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "latents.safetensors")]
    output: PathBuf,
    #[command(flatten)]
    cut: Cut,
}

#[derive(Args, Debug)]
pub(crate) struct Decode {
    /// The .safetensors file of latents, as `encode` and `generate` write them.
    #[arg(value_hint = ValueHint::FilePath)]
    input: PathBuf,
    /// The file to write. Its ending chooses the format: .mp4, .gif, .png, .y4m.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "out.mp4")]
    output: PathBuf,
    /// Keep so many frames, instead of as many as the file says.
    #[arg(long, value_name = "N")]
    frames: Option<usize>,
    /// Frames per second of the written file.
    #[arg(long, value_name = "N")]
    fps: Option<u32>,
    #[command(flatten)]
    cut: Cut,
}

#[derive(Args, Debug)]
pub(crate) struct Reconstruct {
    /// The video: .gif, .y4m, .png (one frame, or the first of a numbered set), or a folder of .png files.
    #[arg(value_hint = ValueHint::AnyPath)]
    input: PathBuf,
    /// The file to write. Its ending chooses the format: .mp4, .gif, .png, .y4m.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "out.mp4")]
    output: PathBuf,
    #[command(flatten)]
    cut: Cut,
}

/// How the autoencoder is to work.
#[derive(Args, Debug)]
struct Cut {
    /// Tiles along time and how much neighbours share, such as 4:2: in frames of video to encode, of the latent to decode.
    #[arg(long, value_name = "N:M")]
    tiles: Option<Tiles>,
    /// Tiles of each frame in latent rows and columns, such as 16:4; saves memory.
    #[arg(long, value_name = "N:M")]
    spatial_tiles: Option<Tiles>,
}

impl Cut {
    fn options(&self, config: &Config) -> anyhow::Result<CodecOptions> {
        let mut options = CodecOptions::new().control(cancel_on_ctrl_c()?);
        if let Some(tiles) = self.tiles {
            options = options.tiles(tiles);
        }
        if let Some(tiles) = self.spatial_tiles {
            options = options.spatial_tiles(tiles);
        }
        Ok(match config.memory_limit.value {
            Some(limit) => options.memory_limit(limit.0),
            None => options,
        })
    }
}

pub(crate) fn encode(options: &Encode, config: &Config, quiet: bool) -> anyhow::Result<()> {
    let begin = Instant::now();
    latents::check(&options.output)?;
    let mut video = media::open(&options.input)?;
    let model = source::model(config)?;
    let bar = Bar::new(quiet);
    let made = model.encode(&mut *video, &options.cut.options(config)?, |p| bar.show(&p));
    bar.clear();
    let made = made?;
    let fps = rate(&*video, &model)?;
    let metadata = BTreeMap::from([
        ("model".to_owned(), model.manifest().name.clone()),
        (FRAMES.to_owned(), made.frames.to_string()),
        (WIDTH.to_owned(), made.size.0.to_string()),
        (HEIGHT.to_owned(), made.size.1.to_string()),
        (FPS.to_owned(), fps.to_string()),
    ]);
    let file = latents::write(&options.output, &made.latents, &metadata)?;
    if !quiet {
        let what = clip(made.frames, made.size.0, made.size.1);
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("{}: latents {} of {what} in {seconds:.1} s", file.display(), made.latents.desc());
    }
    Ok(())
}

pub(crate) fn decode(options: &Decode, config: &Config, quiet: bool) -> anyhow::Result<()> {
    let begin = Instant::now();
    let (latents, metadata) = latents::read_with_metadata(&options.input)?;
    let model = source::model(config)?;
    let number = |key: &str| metadata.get(key).and_then(|text| text.parse::<usize>().ok());
    let whole = decoded_size(&model, &latents).with_context(|| {
        let (file, found) = (options.input.display(), latents.desc());
        format!("{file}: the latents are {found}; they must have channels, frames, rows and columns")
    })?;
    let (width, height) = number(WIDTH).zip(number(HEIGHT)).unwrap_or(whole);
    let mut codec = options.cut.options(config)?.size(width, height);
    if let Some(frames) = options.frames.or(number(FRAMES)) {
        codec = codec.frames(frames);
    }
    let told = metadata.get(FPS).and_then(|text| text.parse().ok());
    let fps = FrameRate::new(options.fps.unwrap_or(model.manifest().video.fps), 1)?;
    let fps = if options.fps.is_some() { fps } else { told.unwrap_or(fps) };
    let mut sink = media::create(&options.output, width, height, fps, &WriteOptions::default())?;
    let bar = Bar::new(quiet);
    let mut frames = 0;
    let take = |frame: &[u8]| {
        frames += 1;
        sink.frame(frame)
    };
    let done = model.decode(&latents, &codec, take, |p| bar.show(&p));
    bar.clear();
    done?;
    let files = sink.finish()?;
    if !quiet {
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("{}: {} in {seconds:.1} s", names(&files), clip(frames, width, height));
    }
    Ok(())
}

pub(crate) fn reconstruct(options: &Reconstruct, config: &Config, quiet: bool) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut video = media::open(&options.input)?;
    let (width, height) = (video.width(), video.height());
    let model = source::model(config)?;
    let fps = rate(&*video, &model)?;
    let mut sink = media::create(&options.output, width, height, fps, &WriteOptions::default())?;
    let bar = Bar::new(quiet);
    let codec = options.cut.options(config)?;
    let made = model.encode(&mut *video, &codec, |p| bar.show(&p))?;
    let mut comparison = Comparison::with(&options.input)?;
    let take = |frame: &[u8]| {
        comparison.add(frame)?;
        sink.frame(frame)
    };
    let codec = codec.size(width, height).frames(made.frames);
    model.decode(&made.latents, &codec, take, |p| bar.show(&p))?;
    bar.clear();
    let files = sink.finish()?;
    if !quiet {
        let (what, seconds) = (clip(made.frames, width, height), begin.elapsed().as_secs_f64());
        eprintln!("{}: {what} in {seconds:.1} s, {}", names(&files), comparison.result());
    }
    Ok(())
}

/// The rate of a video, or the model's.
fn rate(video: &dyn FrameSource, model: &Model) -> Result<FrameRate, MediaError> {
    video.rate().map_or_else(|| FrameRate::new(model.manifest().video.fps, 1), Ok)
}

/// Width and height that latents decode to, if they have frames, rows and columns.
fn decoded_size(model: &Model, latents: &HostTensor) -> Option<(usize, usize)> {
    let (_, ch, cw) = model.manifest().latent.compression;
    match latents.desc().shape[..] {
        [.., _, rows, columns] => Some((columns.saturating_mul(cw), rows.saturating_mul(ch))),
        _ => None,
    }
}

/// Compares what was made with the file that it was made of, which is read a second time, frame by frame.
struct Comparison {
    original: Box<dyn FrameSource>,
    frame: Vec<u8>,
    squares: f64,
    values: f64,
}

impl Comparison {
    fn with(path: &Path) -> Result<Self, MediaError> {
        Ok(Self { original: media::open(path)?, frame: Vec::new(), squares: 0.0, values: 0.0 })
    }

    fn add(&mut self, made: &[u8]) -> Result<(), MediaError> {
        if self.original.next_frame(&mut self.frame)? {
            let pairs = self.frame.iter().zip(made);
            self.squares += pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>();
            self.values += made.len() as f64;
        }
        Ok(())
    }

    /// The peak signal-to-noise ratio of the whole clip.
    fn result(&self) -> String {
        match self.squares {
            0.0 => "identical".to_owned(),
            squares => format!("{:.1} dB", 10.0 * (255.0 * 255.0 * self.values / squares).log10()),
        }
    }
}
