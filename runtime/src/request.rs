use kinograph_backend::{Control, HostTensor};

use crate::schedule::Schedule;

/// What to generate. What is left open is as the model's package says.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub(crate) prompt: String,
    pub(crate) negative: String,
    pub(crate) frames: Option<usize>,
    pub(crate) size: Option<(usize, usize)>,
    pub(crate) fps: Option<u32>,
    pub(crate) steps: Option<usize>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) guidance: Option<f32>,
    pub(crate) seed: u64,
    pub(crate) latents: Option<HostTensor>,
    pub(crate) control: Control,
}

impl Request {
    /// A request for this prompt, with seed 0.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
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

    /// Steps of the sampler.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// How the steps are spaced.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// The scale of classifier-free guidance; 1 is none, and halves the work.
    #[must_use]
    pub fn guidance(mut self, scale: f32) -> Self {
        self.guidance = Some(scale);
        self
    }

    /// The seed of the noise. The same seed gives the same video.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts from this noise, `f32` of \[channels, frames, height, width\] in latent sizes, instead of the seed's.
    #[must_use]
    pub fn latents(mut self, noise: HostTensor) -> Self {
        self.latents = Some(noise);
        self
    }

    /// A handle by which another thread may cancel the job.
    #[must_use]
    pub fn control(mut self, control: Control) -> Self {
        self.control = control;
        self
    }
}
