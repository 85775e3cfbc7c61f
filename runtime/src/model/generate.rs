use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use kinograph_backend::{Control, HostData, HostTensor};

use super::Model;
use super::job::Job;
use crate::Error;
use crate::media::Frames;
use crate::progress::{Progress, Stage};
use crate::request::Request;
use crate::sampler::{guide, sample};
use crate::tokenize::Tokens;

/// What a job made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Generated {
    /// The frames.
    pub frames: Frames,
    /// The latent at the end of sampling, `f32` of \[1, channels, frames, height, width\], as the backbone sees it.
    pub latents: HostTensor,
    /// How long each stage took.
    pub timings: Vec<(Stage, Duration)>,
}

/// The text as the backbone takes it: \[batch, tokens, width\] and the mask \[batch, tokens\].
struct Text {
    features: HostTensor,
    mask: HostTensor,
}

/// A running job: its callback, its clock, its handle to cancel.
struct Run<'a, F> {
    on_progress: F,
    control: &'a Control,
    begin: Instant,
    timings: Vec<(Stage, Duration)>,
}

impl<F: FnMut(Progress) -> ControlFlow<()>> Run<'_, F> {
    fn tell(&mut self, stage: Stage, step: usize, of: usize) -> Result<(), Error> {
        let progress = Progress { stage, step, of, elapsed: self.begin.elapsed() };
        if (self.on_progress)(progress).is_break() || self.control.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    fn done(&mut self, stage: Stage) {
        let before: Duration = self.timings.iter().map(|(_, d)| *d).sum();
        self.timings.push((stage, self.begin.elapsed().saturating_sub(before)));
    }
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
        let job = Job::new(self, request)?;
        let mut run =
            Run { on_progress, control: &request.control, begin: Instant::now(), timings: Vec::new() };
        let text = self.encode_text(&job, &mut run)?;
        run.done(Stage::Text);
        let latents = self.sample_latents(&job, request, text, &mut run)?;
        run.done(Stage::Sample);
        let frames = self.decode_latents(&job, &latents, &mut run)?;
        run.done(Stage::Decode);
        let (t, h, w) = job.latent;
        let shape = [1, self.manifest.latent.channels, t, h, w];
        let latents = HostTensor::f32(shape, latents).map_err(|e| Error::tensor("backbone", e))?;
        Ok(Generated { frames, latents, timings: run.timings })
    }

    /// Runs every text encoder on the prompt and, for guidance, on the negative prompt, as one batch.
    fn encode_text<F>(&self, job: &Job, run: &mut Run<'_, F>) -> Result<Text, Error>
    where
        F: FnMut(Progress) -> ControlFlow<()>,
    {
        let prompts: &[&str] = if job.unguided() { &[&job.prompt] } else { &[&job.prompt, &job.negative] };
        run.tell(Stage::Text, 0, self.text.len())?;
        let mut parts = Vec::new();
        for (i, encoder) in self.text.iter().enumerate() {
            let name = encoder.component.name();
            let tokens = prompts
                .iter()
                .map(|p| encoder.tokenizer.encode(p))
                .collect::<Result<Vec<Tokens>, _>>()
                .map_err(|source| Error::Tokenize { encoder: name.to_owned(), source })?;
            let length = encoder.tokenizer.options().max_length;
            let (ids, mask) = token_tensors(&tokens, length).map_err(|e| Error::tensor(name, e))?;
            let sizes = vec![("B", prompts.len()), ("L", length)];
            let executable = encoder.component.prepare(&*self.device, sizes)?;
            let inputs = vec![ids, mask.clone()];
            parts.push((encoder.component.run(&*self.device, &*executable, inputs, run.control)?, mask));
            run.tell(Stage::Text, i + 1, self.text.len())?;
        }
        concat_text(prompts.len(), &parts)
    }

    fn sample_latents<F>(
        &self,
        job: &Job,
        request: &Request,
        text: Text,
        run: &mut Run<'_, F>,
    ) -> Result<Vec<f32>, Error>
    where
        F: FnMut(Progress) -> ControlFlow<()>,
    {
        let channels = self.manifest.latent.channels;
        let (t, h, w) = job.latent;
        let batch = if job.unguided() { 1 } else { 2 };
        let tokens = text.mask.desc().shape[1];
        let sizes = vec![("B", batch), ("T", t), ("H", h), ("W", w), ("L", tokens)];
        let executable = self.backbone.prepare(&*self.device, sizes)?;
        let mut state = job.noise(channels, request)?;
        let steps = job.times.len() - 1;
        run.tell(Stage::Sample, 0, steps)?;
        let control = run.control;
        let velocity = |x: &[f32], time: f64, out: &mut [f32]| -> Result<(), Error> {
            let tensor = |e| Error::tensor("backbone", e);
            let latent = HostTensor::f32([batch, channels, t, h, w], x.repeat(batch)).map_err(tensor)?;
            let time = HostTensor::f32([batch], vec![time as f32; batch]).map_err(tensor)?;
            let inputs = vec![latent, time, text.features.clone(), text.mask.clone()];
            let velocity = self.backbone.run(&*self.device, &*executable, inputs, control)?;
            combine(out, &velocity, job.guidance)
        };
        let after_step =
            |step: crate::sampler::Step, _: &[f32]| match run.tell(Stage::Sample, step.index + 1, step.of) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
        sample(self.manifest.sampler.solver, &job.times, &mut state, velocity, after_step)?;
        Ok(state)
    }

    fn decode_latents<F>(&self, job: &Job, latents: &[f32], run: &mut Run<'_, F>) -> Result<Frames, Error>
    where
        F: FnMut(Progress) -> ControlFlow<()>,
    {
        run.tell(Stage::Decode, 0, 1)?;
        let spec = &self.manifest.latent;
        let (t, h, w) = job.latent;
        let plane = t * h * w;
        let mut z = latents.to_vec();
        for (channel, values) in z.chunks_mut(plane.max(1)).enumerate() {
            let (shift, scale) = spec.affine(channel);
            values.iter_mut().for_each(|v| *v = *v / scale + shift);
        }
        let tensor = |e| Error::tensor("decoder", e);
        let latent = HostTensor::f32([1, spec.channels, t, h, w], z).map_err(tensor)?;
        let executable = self.decoder.prepare(&*self.device, vec![("B", 1), ("T", t), ("H", h), ("W", w)])?;
        let video = self.decoder.run(&*self.device, &*executable, vec![latent], run.control)?;
        let frames = to_frames(&video, job.frames)?;
        run.tell(Stage::Decode, 1, 1)?;
        Ok(frames)
    }
}

/// The velocity of a batch: the prompt's alone, or guided away from the negative prompt's.
fn combine(out: &mut [f32], velocity: &HostTensor, guidance: f32) -> Result<(), Error> {
    let fail = || Error::Component {
        component: "backbone".into(),
        reason: format!("gave a velocity of {}, which is not the latent's shape", velocity.desc()),
    };
    let values = velocity.as_f32().ok_or_else(fail)?;
    match values.len() {
        n if n == out.len() => out.copy_from_slice(values),
        n if n == 2 * out.len() => {
            let (text, negative) = values.split_at(out.len());
            out.copy_from_slice(text);
            guide(out, negative, guidance);
        }
        _ => return Err(fail()),
    }
    Ok(())
}

/// Ids and masks of a batch of texts, \[batch, length\].
fn token_tensors(
    tokens: &[Tokens],
    length: usize,
) -> Result<(HostTensor, HostTensor), kinograph_graph::OpError> {
    let ids = tokens.iter().flat_map(|t| t.ids.iter().copied()).collect();
    let mask = tokens.iter().flat_map(|t| t.mask.iter().map(|&m| u8::from(m))).collect();
    let shape = [tokens.len(), length];
    Ok((HostTensor::new(shape, HostData::I64(ids))?, HostTensor::new(shape, HostData::Bool(mask))?))
}

/// Concatenates the encoders' outputs along the sequence.
fn concat_text(batch: usize, parts: &[(HostTensor, HostTensor)]) -> Result<Text, Error> {
    let fail = |reason: String| Error::Component { component: "text".into(), reason };
    let width = parts.first().and_then(|(f, _)| f.desc().shape.get(2)).copied().unwrap_or(0);
    let (mut features, mut mask, mut tokens) = (Vec::new(), Vec::new(), 0);
    for b in 0..batch {
        tokens = 0;
        for (part, part_mask) in parts {
            let [_, length, part_width] = part.desc().shape[..] else {
                return Err(fail(format!("a text encoder gave {}, not [batch, tokens, width]", part.desc())));
            };
            if part_width != width {
                return Err(fail(format!(
                    "the encoders give widths {width} and {part_width}; they must be one"
                )));
            }
            let row = b * length * width..(b + 1) * length * width;
            let (Some(values), HostData::Bool(bits)) =
                (part.as_f32().and_then(|v| v.get(row)), part_mask.data())
            else {
                return Err(fail("a text encoder must give f32".into()));
            };
            features.extend_from_slice(values);
            mask.extend_from_slice(&bits[b * length..(b + 1) * length]);
            tokens += length;
        }
    }
    let tensor = |e| Error::tensor("text", e);
    Ok(Text {
        features: HostTensor::f32([batch, tokens, width], features).map_err(tensor)?,
        mask: HostTensor::new([batch, tokens], HostData::Bool(mask)).map_err(tensor)?,
    })
}

/// The first frames of a decoded video \[1, 3, T, H, W\] in -1..1.
fn to_frames(video: &HostTensor, frames: usize) -> Result<Frames, Error> {
    let fail = |reason: String| Error::Component { component: "decoder".into(), reason };
    let (&[1, 3, t, h, w], Some(values)) = (&video.desc().shape[..], video.as_f32()) else {
        return Err(fail(format!("gave {}, not f32[1, 3, frames, height, width]", video.desc())));
    };
    if t < frames {
        return Err(fail(format!("gave {t} frames, but {frames} are needed")));
    }
    let planes: Vec<f32> =
        values.chunks_exact(t * h * w).flat_map(|plane| plane[..frames * h * w].iter().copied()).collect();
    Frames::from_planar(&planes, frames, h, w).map_err(|e| fail(e.to_string()))
}
