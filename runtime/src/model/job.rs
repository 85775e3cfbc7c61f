//! A request with everything filled in and checked.

use kinograph_backend::{DeviceError, HostTensor};

use super::Model;
use crate::error::RequestError;
use crate::package::{GUIDANCE, Manifest, VideoSpec};
use crate::request::Request;
use crate::schedule::Schedule;
use crate::{Error, noise};

/// What a job will do.
pub(super) struct Job {
    pub(super) prompt: String,
    pub(super) negative: String,
    pub(super) frames: usize,
    pub(super) guidance: f32,
    pub(super) times: Vec<f64>,
    /// Width and height in pixels.
    pub(super) size: (usize, usize),
    /// Latent frames, rows, columns.
    pub(super) latent: (usize, usize, usize),
}

impl Job {
    pub(super) fn new(model: &Model, request: &Request) -> Result<Self, Error> {
        let Manifest { video, latent, sampler, .. } = &model.manifest;
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
        if !GUIDANCE.contains(&guidance) {
            return Err(RequestError::Guidance(guidance).into());
        }
        let schedule: Schedule = request.schedule.unwrap_or(sampler.schedule);
        let times = schedule.times(request.steps.unwrap_or(sampler.steps))?;
        let (ct, ch, cw) = latent.compression;
        Ok(Self {
            prompt: video.told(&request.prompt, fps, frames),
            // The empty prompt is what the model learnt as "no condition", so it goes in bare.
            negative: if request.negative.is_empty() {
                String::new()
            } else {
                video.told(&request.negative, fps, frames)
            },
            frames,
            guidance,
            times,
            size: (width, height),
            latent: (frames.div_ceil(ct), height / ch, width / cw),
        })
    }

    /// The shape of a batch of latents.
    pub(super) fn latent_shape(&self, batch: usize, channels: usize) -> [usize; 5] {
        let (t, h, w) = self.latent;
        [batch, channels, t, h, w]
    }

    /// The noise that sampling starts from, \[channels, frames, rows, columns\].
    pub(super) fn noise(&self, channels: usize, request: &Request) -> Result<Vec<f32>, Error> {
        let expected = self.latent_shape(1, channels)[1..].to_vec();
        let Some(given) = &request.latents else {
            let mut noise = zeros(&expected)?;
            noise::fill_normal(&mut noise, request.seed, 0);
            return Ok(noise);
        };
        let found = given.desc().shape.clone();
        // A batch of one is the same thing.
        let shape = if found.len() == 5 && found[0] == 1 { &found[1..] } else { &found[..] };
        match HostTensor::as_f32(given) {
            Some(values) if shape == expected => Ok(values.to_vec()),
            _ => Err(RequestError::Latents { found, expected }.into()),
        }
    }

    /// True when the negative prompt takes no part.
    pub(super) fn unguided(&self) -> bool {
        self.guidance == 1.0
    }
}

/// Zeros of that shape, or an error where the machine has no room for them.
fn zeros(shape: &[usize]) -> Result<Vec<f32>, Error> {
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
