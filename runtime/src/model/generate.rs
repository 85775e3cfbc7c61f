//! Jobs from prompts to frames.

use std::ops::ControlFlow;
use std::time::Duration;

use kinograph_backend::HostTensor;

use super::Model;
use super::codec::{CodecPlan, Cut, FrameTaker};
use super::component::Component;
use super::job::Job;
use super::plan::Tactics;
use super::sampling::Sampling;
use crate::Error;
use crate::error::RequestError;
use crate::media::{Frames, MediaError};
use crate::progress::{Progress, Run, Stage};
use crate::request::Request;

/// What a job made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Generated {
    /// The frames.
    pub frames: Frames,
    /// The latent at the end of sampling, `f32` of \[1, channels, frames, height, width\], as the backbone sees it.
    pub latents: HostTensor,
    /// How long each stage of the whole job took.
    pub timings: Vec<(Stage, Duration)>,
}

/// What a job made whose frames went to the caller one by one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Streamed {
    /// The latent at the end of sampling, as in [`Generated`].
    pub latents: HostTensor,
    /// How long each stage took.
    pub timings: Vec<(Stage, Duration)>,
}

impl Model {
    /// Makes a video, or an image when it has one frame. `on_progress` is called at the start of each
    /// stage and after each of its steps, in this thread; when it breaks, the job ends with
    /// [`Error::Cancelled`].
    ///
    /// # Errors
    /// A request that the model does not take; what goes wrong in a stage.
    pub fn generate(
        &self,
        request: &Request,
        on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generated, Error> {
        let mut made = self.generate_batch(std::slice::from_ref(request), on_progress)?;
        made.pop().ok_or_else(|| RequestError::EmptyBatch.into())
    }

    /// Makes a video and gives each frame to `on_frame` as soon as it is finished, while later ones are still being
    /// decoded: interleaved red, green and blue, rows from the top. No more than a tile of frames is in memory.
    ///
    /// # Errors
    /// As [`generate`](Self::generate), and what `on_frame` answers.
    pub fn generate_to(
        &self,
        request: &Request,
        mut on_frame: impl FnMut(&[u8]) -> Result<(), MediaError>,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Streamed, Error> {
        let job = Job::new(&self.manifest, request)?;
        let tactics = self.tactics(&job)?;
        let mut run = Run::new(&request.control, &mut on_progress);
        let state = self.latents(&job, request, &tactics, &mut run)?;
        self.decode_item(&job, &state, &tactics, &mut on_frame, &mut run)?;
        run.done(Stage::Decode);
        Ok(Streamed { latents: self.latent_tensor(&job, &state)?, timings: run.timings() })
    }

    /// Makes several videos as one job. The requests may differ in prompt, negative prompt, seed and starting noise;
    /// everything else they share. Checkpoint, previews and the handle to cancel are the first one's. Each video is what
    /// its request gives alone, up to rounding: a device may sum in another order for another size of batch.
    ///
    /// # Errors
    /// As [`generate`](Self::generate); no request; requests that differ in more.
    pub fn generate_batch(
        &self,
        requests: &[Request],
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Vec<Generated>, Error> {
        let job = Job::batch(&self.manifest, requests)?;
        let first = requests.first().ok_or(RequestError::EmptyBatch)?;
        let tactics = self.tactics(&job)?;
        let mut run = Run::new(&first.control, &mut on_progress);
        let states = self.latents(&job, first, &tactics, &mut run)?;
        let length = (states.len() / job.items.len()).max(1);
        let mut made = Vec::with_capacity(job.items.len());
        for state in states.chunks_exact(length) {
            let mut data = Vec::new();
            let mut take = |frame: &[u8]| {
                data.extend_from_slice(frame);
                Ok(())
            };
            self.decode_item(&job, state, &tactics, &mut take, &mut run)?;
            let (width, height) = job.size;
            made.push((Frames::new(data, job.frames, height, width)?, self.latent_tensor(&job, state)?));
        }
        run.done(Stage::Decode);
        let timings = run.timings();
        let whole = |(frames, latents)| Generated { frames, latents, timings: timings.clone() };
        Ok(made.into_iter().map(whole).collect())
    }

    /// Samples without decoding: the latents that [`generate`](Self::generate) would decode.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn sample(
        &self,
        request: &Request,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<HostTensor, Error> {
        let job = Job::new(&self.manifest, request)?;
        let tactics = self.tactics(&job)?;
        let mut run = Run::new(&request.control, &mut on_progress);
        let state = self.latents(&job, request, &tactics, &mut run)?;
        self.latent_tensor(&job, &state)
    }

    /// Text and sampling: the latents of all items.
    fn latents(
        &self,
        job: &Job,
        request: &Request,
        tactics: &Tactics,
        run: &mut Run<'_>,
    ) -> Result<Vec<f32>, Error> {
        let text = self.encode_text(job, run)?;
        self.end_stage(tactics, self.text.iter().map(|t| &t.component));
        let decoding = self.decode_flops(job.latent, &codec_plan(job, tactics))? * job.items.len() as f64;
        let state = Sampling { model: self, job, request, tactics }.run(&text, decoding, run)?;
        self.end_stage(tactics, [&self.backbone]);
        run.expect(Some(decoding));
        Ok(state)
    }

    fn decode_item(
        &self,
        job: &Job,
        state: &[f32],
        tactics: &Tactics,
        on_frame: &mut FrameTaker<'_>,
        run: &mut Run<'_>,
    ) -> Result<(), Error> {
        let plan = codec_plan(job, tactics);
        let (width, height) = job.size;
        let keep = Cut { frames: job.frames, width, height };
        self.decode_tiles(state, job.latent, &plan, keep, on_frame, run)?;
        self.end_stage(tactics, [&self.decoder]);
        Ok(())
    }

    fn end_stage<'c>(&self, tactics: &Tactics, components: impl IntoIterator<Item = &'c Component>) {
        if tactics.release {
            components.into_iter().for_each(Component::release);
        }
    }

    fn latent_tensor(&self, job: &Job, state: &[f32]) -> Result<HostTensor, Error> {
        let shape = job.latent.shape(1, self.manifest.latent.channels);
        HostTensor::f32(shape, state.to_vec()).map_err(|e| Error::tensor("backbone", e))
    }
}

/// How a job decodes.
fn codec_plan(job: &Job, tactics: &Tactics) -> CodecPlan {
    CodecPlan { temporal: job.temporal, spatial: tactics.spatial }
}
