//! Requests with everything filled in and checked.

use kinograph_backend::{DeviceError, HostTensor};
use serde_json::json;

use super::tiled::{Piece, Scale};
use crate::error::RequestError;
use crate::guidance::Guidance;
use crate::package::{LatentSpec, Manifest, VideoSpec};
use crate::request::{Request, TileChoice};
use crate::sampler::Solver;
use crate::tiling::Tiles;
use crate::{Error, noise};

/// What a job will do: one setting, and one or more videos under it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) items: Vec<Item>,
    pub(crate) frames: usize,
    pub(crate) fps: u32,
    pub(crate) solver: Solver,
    pub(crate) guidance: Guidance,
    pub(crate) times: Vec<f64>,
    /// Width and height in pixels.
    pub(crate) size: (usize, usize),
    /// Latent frames, rows, columns.
    pub(crate) latent: Grid,
    /// The decoder's tiles along time; without them a clip is one tile.
    pub(crate) temporal: Option<Tiles>,
    /// The decoder's tiles along rows and columns, where the caller chose them.
    pub(crate) spatial: Option<Tiles>,
    pub(crate) memory_limit: Option<u64>,
    /// The tokens that every text encoder makes, where the caller chose them.
    pub(crate) text_tokens: Option<usize>,
}

/// One video of a job.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) prompt: String,
    pub(crate) negative: String,
    pub(crate) seed: u64,
    /// The noise that the caller gave, \[channels, frames, rows, columns\].
    noise: Option<Vec<f32>>,
}

/// Frames, rows and columns of a latent or of a tile of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) frames: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Grid {
    /// The grid of a clip of so many frames of that size in pixels.
    pub(crate) fn of_video(latent: &LatentSpec, frames: usize, width: usize, height: usize) -> Self {
        Scale::down(latent).apply(Self { frames, rows: height, columns: width }, Piece::Begin)
    }

    /// The shape of a batch of so many channels.
    pub(crate) fn shape(self, batch: usize, channels: usize) -> [usize; 5] {
        [batch, channels, self.frames, self.rows, self.columns]
    }

    /// Numbers of one frame of one channel.
    pub(crate) fn plane(self) -> usize {
        self.rows * self.columns
    }
}

impl Job {
    pub(crate) fn new(manifest: &Manifest, request: &Request) -> Result<Self, Error> {
        let Manifest { video, latent, sampler, .. } = manifest;
        let frames = request.frames.unwrap_or(video.frames);
        if !(1..=video.max_frames).contains(&frames) {
            return Err(RequestError::Frames { frames, most: video.max_frames }.into());
        }
        let (width, height) = request.size.unwrap_or((video.width, video.height));
        check_size(video, width, height)?;
        let fps = request.fps.unwrap_or(video.fps);
        if !video.fps_choices.contains(&fps) {
            let known = video.fps_choices.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            return Err(RequestError::Fps { fps, known }.into());
        }
        let guidance = request.guidance.unwrap_or(sampler.guidance);
        let schedule = request.schedule.as_ref().unwrap_or(&sampler.schedule);
        let steps = request.steps.or(schedule.steps()).unwrap_or(sampler.steps);
        let grid = Grid::of_video(latent, frames, width, height);
        let TileChoice { temporal, spatial } = request.tiles;
        Ok(Self {
            items: vec![Item::new(manifest, request, fps, frames, grid)?],
            frames,
            fps,
            solver: request.solver.unwrap_or(sampler.solver),
            guidance,
            times: schedule.times(steps)?,
            size: (width, height),
            latent: grid,
            temporal: temporal.or(manifest.tiling.map(|t| t.decoder)),
            spatial,
            memory_limit: request.memory_limit,
            text_tokens: request.text_tokens,
        })
    }

    /// One job for several requests, which may differ in prompt, negative prompt, seed and noise.
    pub(crate) fn batch(manifest: &Manifest, requests: &[Request]) -> Result<Self, Error> {
        let mut jobs = requests.iter().map(|request| Job::new(manifest, request));
        let mut first = jobs.next().ok_or(RequestError::EmptyBatch)??;
        for (position, job) in jobs.enumerate() {
            let job = job?;
            if let Some(setting) = first.differs(&job) {
                return Err(RequestError::Batch { position: position + 1, setting }.into());
            }
            first.items.extend(job.items);
        }
        Ok(first)
    }

    /// The first setting in which two jobs differ.
    fn differs(&self, other: &Job) -> Option<&'static str> {
        let settings = [
            ("frames", self.frames == other.frames),
            ("size", self.size == other.size),
            ("fps", self.fps == other.fps),
            ("solver", self.solver == other.solver),
            ("schedule or steps", self.times == other.times),
            ("guidance", self.guidance == other.guidance),
            ("tiles", (self.temporal, self.spatial) == (other.temporal, other.spatial)),
            ("text tokens", self.text_tokens == other.text_tokens),
            ("memory limit", self.memory_limit == other.memory_limit),
        ];
        settings.iter().find(|(_, same)| !same).map(|(name, _)| *name)
    }

    /// The noise that sampling starts from, item after item, \[channels, frames, rows, columns\] each.
    pub(crate) fn noise(&self, channels: usize) -> Result<Vec<f32>, Error> {
        let mut all = zeros(&self.latent.shape(self.items.len(), channels))?;
        let length = all.len() / self.items.len();
        for (item, noise) in self.items.iter().zip(all.chunks_exact_mut(length.max(1))) {
            match &item.noise {
                Some(given) => noise.copy_from_slice(given),
                None => noise::fill_normal(noise, item.seed, 0),
            }
        }
        Ok(all)
    }

    /// True when the negative prompt takes no part at any time.
    pub(crate) fn unguided(&self) -> bool {
        self.guidance.is_none()
    }

    /// The texts that the encoders see: the prompts, then, for guidance, the negative prompts.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let negatives = if self.unguided() { &[] } else { &self.items[..] };
        let prompts = self.items.iter().map(|item| item.prompt.as_str());
        prompts.chain(negatives.iter().map(|item| item.negative.as_str())).collect()
    }

    /// All that decides the latents, for telling whether a checkpoint is of this job.
    pub(crate) fn identity(&self, manifest: &Manifest) -> serde_json::Value {
        let items = self.items.iter().map(|item| {
            let noise = item.noise.as_ref().map(|values| checksum(values));
            json!({ "prompt": item.prompt, "negative": item.negative, "seed": item.seed, "noise": noise })
        });
        let mut identity = json!({
            "model": [manifest.name, manifest.version],
            "items": items.collect::<Vec<_>>(),
            "frames": self.frames,
            "size": self.size,
            "solver": self.solver.to_string(),
            "times": self.times,
            "guidance": self.guidance.to_string(),
        });
        if let Some(tokens) = self.text_tokens {
            identity["text tokens"] = tokens.into();
        }
        identity
    }
}

impl Item {
    fn new(
        manifest: &Manifest,
        request: &Request,
        fps: u32,
        frames: usize,
        grid: Grid,
    ) -> Result<Self, Error> {
        let video = &manifest.video;
        // The empty prompt is what the model learnt as "no condition", so it goes in bare.
        let negative = match request.negative.is_empty() {
            true => String::new(),
            false => video.told(&request.negative, fps, frames),
        };
        let expected = &grid.shape(1, manifest.latent.channels)[1..];
        let noise = request.latents.as_ref().map(|given| given_noise(given, expected)).transpose()?;
        Ok(Self { prompt: video.told(&request.prompt, fps, frames), negative, seed: request.seed, noise })
    }
}

/// The noise that a caller gave, when it has the shape that is needed.
fn given_noise(given: &HostTensor, expected: &[usize]) -> Result<Vec<f32>, RequestError> {
    let found = &given.desc().shape;
    match given.as_f32() {
        Some(values) if single(found) == expected => Ok(values.to_vec()),
        _ => Err(RequestError::Latents { found: found.clone(), expected: expected.to_vec() }),
    }
}

/// The shape of a latent without its batch, which a batch of one may have.
pub(crate) fn single(shape: &[usize]) -> &[usize] {
    if shape.len() == 5 && shape[0] == 1 { &shape[1..] } else { shape }
}

/// FNV-1a of the bits: enough to notice that a file is another one.
fn checksum(values: &[f32]) -> String {
    let bytes = values.iter().flat_map(|v| v.to_bits().to_le_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

/// Zeros of that shape, or an error where the machine has no room for them.
pub(crate) fn zeros(shape: &[usize]) -> Result<Vec<f32>, Error> {
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
    let mut values = Vec::new();
    let bytes = (count as u64).saturating_mul(4);
    values
        .try_reserve_exact(count)
        .map_err(|_| Error::device("backbone", DeviceError::OutOfMemory { bytes }))?;
    values.resize(count, 0.0);
    Ok(values)
}

fn check_size(video: &VideoSpec, width: usize, height: usize) -> Result<(), RequestError> {
    if let Some(reason) = video.size_problem(width, height) {
        return Err(RequestError::Size { width, height, reason });
    }
    if !video.trained_sizes.contains(&(width, height)) {
        log::warn!(
            "{width}x{height} is not among the sizes that the model was trained on: {:?}",
            video.trained_sizes
        );
    }
    Ok(())
}

impl VideoSpec {
    /// The prompt as the encoders are told it. Only the template is filled in, so a prompt that
    /// contains `{fps}` stays as it is.
    fn told(&self, prompt: &str, fps: u32, frames: usize) -> String {
        let template =
            if frames == 1 { self.image_prompt.as_ref().unwrap_or(&self.prompt) } else { &self.prompt };
        match template.split_once("{prompt}") {
            Some((before, after)) => {
                let fill = |part: &str| part.replace("{fps}", &fps.to_string());
                format!("{}{prompt}{}", fill(before), fill(after))
            }
            None => prompt.to_owned(),
        }
    }
}
