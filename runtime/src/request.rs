use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kinograph_backend::{Control, HostTensor};

use crate::guidance::Guidance;
use crate::sampler::Solver;
use crate::schedule::Schedule;
use crate::tiling::Tiles;

/// Where a job keeps its state, and how often it writes it.
#[derive(Clone, Debug)]
pub(crate) struct Checkpointing {
    pub(crate) path: PathBuf,
    pub(crate) every: Duration,
}

/// Tiles that a caller chose.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TileChoice {
    /// Along time, in the autoencoder's own unit.
    pub(crate) temporal: Option<Tiles>,
    /// Along rows and columns, in latent positions.
    pub(crate) spatial: Option<Tiles>,
}

type OnStep = dyn Fn(usize, &[f32]) + Send + Sync;

/// What hears of each step of sampling.
#[derive(Clone)]
pub(crate) struct StepListener(pub(crate) Arc<OnStep>);

impl fmt::Debug for StepListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepListener")
    }
}

/// What to generate. What is left open is as the model's package says.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub(crate) prompt: String,
    pub(crate) negative: String,
    pub(crate) frames: Option<usize>,
    pub(crate) size: Option<(usize, usize)>,
    pub(crate) fps: Option<u32>,
    pub(crate) steps: Option<usize>,
    pub(crate) solver: Option<Solver>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) guidance: Option<Guidance>,
    pub(crate) seed: u64,
    pub(crate) text_tokens: Option<usize>,
    pub(crate) latents: Option<HostTensor>,
    pub(crate) tiles: TileChoice,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) checkpoint: Option<Checkpointing>,
    pub(crate) preview_every: usize,
    pub(crate) on_step: Option<StepListener>,
    pub(crate) control: Control,
}

impl Request {
    /// A request for this prompt, with seed 0.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }

    /// Another prompt, with everything else as it is.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// What to steer away from; empty at first.
    #[must_use]
    pub fn negative(mut self, prompt: impl Into<String>) -> Self {
        self.negative = prompt.into();
        self
    }

    /// The number of frames; 1 makes an image.
    #[must_use]
    pub fn frames(mut self, frames: usize) -> Self {
        self.frames = Some(frames);
        self
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(mut self, width: usize, height: usize) -> Self {
        self.size = Some((width, height));
        self
    }

    /// Frames per second: the model is told, so that motion has the right speed.
    #[must_use]
    pub fn fps(mut self, fps: u32) -> Self {
        self.fps = Some(fps);
        self
    }

    /// Steps of the sampler. An adaptive solver takes as many as it needs.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// How a step is taken.
    #[must_use]
    pub fn solver(mut self, solver: Solver) -> Self {
        self.solver = Some(solver);
        self
    }

    /// How the steps are spaced.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// Classifier-free guidance: a scale, or one that holds in an interval of time. 1 is none, and halves the work.
    #[must_use]
    pub fn guidance(mut self, guidance: Guidance) -> Self {
        self.guidance = Some(guidance);
        self
    }

    /// The seed of the noise. The same seed gives the same video.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The tokens to which every text encoder pads or cuts a prompt, instead of the package's: some models see the padding,
    /// so that another length gives another video.
    #[must_use]
    pub fn text_tokens(mut self, tokens: usize) -> Self {
        self.text_tokens = Some(tokens);
        self
    }

    /// Starts from this noise, `f32` of \[channels, frames, height, width\] in latent sizes, instead of the seed's.
    #[must_use]
    pub fn latents(mut self, noise: HostTensor) -> Self {
        self.latents = Some(noise);
        self
    }

    /// The decoder's tiles along time, in latent frames, instead of the package's.
    #[must_use]
    pub fn tiles(mut self, tiles: Tiles) -> Self {
        self.tiles.temporal = Some(tiles);
        self
    }

    /// Decodes each frame in tiles of so many latent rows and columns. Without it a frame is one tile, unless
    /// [`memory_limit`](Self::memory_limit) asks for less.
    #[must_use]
    pub fn spatial_tiles(mut self, tiles: Tiles) -> Self {
        self.tiles.spatial = Some(tiles);
        self
    }

    /// The most bytes that the job may need, weights included. It chooses how to stay below, see
    /// [`Tactics`](crate::Tactics), or fails before any work.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Keeps the state of sampling in this file: after a step when `every` has passed since the last time, and at the
    /// end of sampling. When the file is there, the job goes on from it and gives what it would have given without the
    /// break; a file of another job is an error. The caller removes it when the job is done.
    #[must_use]
    pub fn checkpoint(mut self, path: impl Into<PathBuf>, every: Duration) -> Self {
        self.checkpoint = Some(Checkpointing { path: path.into(), every });
        self
    }

    /// Adds a small picture of the latent to the progress of every so manyth step of sampling, when the package has a
    /// preview; 0 is never.
    #[must_use]
    pub fn preview_every(mut self, steps: usize) -> Self {
        self.preview_every = steps;
        self
    }

    /// Calls a function after each step of sampling, in the thread of the job, with the step's number from 0 and the latents as they are
    /// then, \[items, channels, frames, rows, columns\]. A job that goes on from a checkpoint begins with a later number.
    #[must_use]
    pub fn on_step(mut self, listener: impl Fn(usize, &[f32]) + Send + Sync + 'static) -> Self {
        self.on_step = Some(StepListener(Arc::new(listener)));
        self
    }

    /// A handle by which another thread may cancel the job.
    #[must_use]
    pub fn control(mut self, control: Control) -> Self {
        self.control = control;
        self
    }
}
