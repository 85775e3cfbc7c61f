use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use kinograph_backend::{Control, Executable, HostData, HostTensor};
use kinograph_graph::{DType, OpError, TensorDesc};

use super::Model;
use super::job::Job;
use crate::Error;
use crate::media::Frames;
use crate::progress::{Progress, Stage};
use crate::request::Request;
use crate::sampler::{Step, guide, sample};
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

/// What one encoder makes of a batch of prompts.
struct TextPart<'a> {
    name: &'a str,
    /// Tokens of each prompt, padding included.
    length: usize,
    tokens: Vec<Tokens>,
    features: HostTensor,
}

/// A running job: its callback, its clock, its handle to cancel.
struct Run<'a, F> {
    on_progress: F,
    control: &'a Control,
    begin: Instant,
    timings: Vec<(Stage, Duration)>,
}

impl<'a, F: FnMut(Progress) -> ControlFlow<()>> Run<'a, F> {
    fn new(control: &'a Control, on_progress: F) -> Self {
        Self { on_progress, control, begin: Instant::now(), timings: Vec::new() }
    }

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
        let mut run = Run::new(&request.control, on_progress);
        let latents = self.latents(&job, request, &mut run)?;
        let frames = self.decode_latents(&job, &latents, &mut run)?;
        run.done(Stage::Decode);
        Ok(Generated { frames, latents: self.latent_tensor(&job, latents)?, timings: run.timings })
    }

    /// Samples without decoding: the latents that [`generate`](Self::generate) would decode.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn sample(
        &self,
        request: &Request,
        on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<HostTensor, Error> {
        let job = Job::new(self, request)?;
        let mut run = Run::new(&request.control, on_progress);
        let latents = self.latents(&job, request, &mut run)?;
        self.latent_tensor(&job, latents)
    }

    fn latents<F>(&self, job: &Job, request: &Request, run: &mut Run<'_, F>) -> Result<Vec<f32>, Error>
    where
        F: FnMut(Progress) -> ControlFlow<()>,
    {
        let text = self.encode_text(job, run)?;
        run.done(Stage::Text);
        let latents = self.sample_latents(job, request, text, run)?;
        run.done(Stage::Sample);
        Ok(latents)
    }

    fn latent_tensor(&self, job: &Job, latents: Vec<f32>) -> Result<HostTensor, Error> {
        let shape = job.latent_shape(1, self.manifest.latent.channels);
        HostTensor::f32(shape, latents).map_err(|e| Error::tensor("backbone", e))
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
                .map_err(|source| Error::tokenize(name, source))?;
            let length = encoder.tokenizer.options().max_length;
            let (ids, mask) = token_tensors(&tokens, length).map_err(|e| Error::tensor(name, e))?;
            let upload = |tensor| encoder.component.upload(&*self.device, tensor);
            let inputs = [upload(ids)?, upload(mask)?];
            let sizes = vec![("B", prompts.len()), ("L", length)];
            let executable = encoder.component.prepare(&*self.device, sizes)?;
            let features = encoder.component.run(&*self.device, &*executable, &inputs, run.control)?;
            parts.push(TextPart { name, length, tokens, features });
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
        let shape = job.latent_shape(batch, channels);
        let tokens = text.mask.desc().shape[1];
        let sizes = vec![("B", batch), ("T", t), ("H", h), ("W", w), ("L", tokens)];
        let executable = self.backbone.prepare(&*self.device, sizes)?;
        // What the graph takes bounds what is allocated below.
        expect("backbone", "takes a latent of", input_desc(&*executable, 0), &shape)?;
        let mut state = job.noise(channels, request)?;
        let steps = job.times.len() - 1;
        run.tell(Stage::Sample, 0, steps)?;
        let control = run.control;
        // The text is the same in every step and goes to the device once.
        let upload = |tensor| self.backbone.upload(&*self.device, tensor);
        let (features, mask) = (upload(text.features)?, upload(text.mask)?);
        let velocity = |x: &[f32], time: f64, out: &mut [f32]| -> Result<(), Error> {
            let tensor = |e| Error::tensor("backbone", e);
            let latent = HostTensor::f32(shape, x.repeat(batch)).map_err(tensor)?;
            let time = HostTensor::f32([batch], vec![time as f32; batch]).map_err(tensor)?;
            let inputs = [upload(latent)?, upload(time)?, features.clone(), mask.clone()];
            let velocity = self.backbone.run(&*self.device, &*executable, &inputs, control)?;
            expect("backbone", "gives a velocity of", Some(velocity.desc()), &shape)?;
            combine(out, &velocity, job.guidance);
            Ok(())
        };
        let after_step = |step: Step, _: &[f32]| match run.tell(Stage::Sample, step.index + 1, step.of) {
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
        let latent = HostTensor::f32(job.latent_shape(1, spec.channels), z)
            .map_err(|e| Error::tensor("decoder", e))?;
        let executable = self.decoder.prepare(&*self.device, vec![("B", 1), ("T", t), ("H", h), ("W", w)])?;
        let latent = self.decoder.upload(&*self.device, latent)?;
        let video = self.decoder.run(&*self.device, &*executable, &[latent], run.control)?;
        let frames = to_frames(&video, job)?;
        run.tell(Stage::Decode, 1, 1)?;
        Ok(frames)
    }
}

fn input_desc(executable: &dyn Executable, index: usize) -> Option<&TensorDesc> {
    let graph = executable.graph();
    graph.inputs().get(index).map(|&id| &graph.value(id).desc)
}

/// Checks that a component takes or gives f32 of that shape.
fn expect(component: &str, does: &str, found: Option<&TensorDesc>, shape: &[usize]) -> Result<(), Error> {
    let expected = TensorDesc::new(DType::F32, shape);
    match found {
        Some(found) if *found == expected => Ok(()),
        found => {
            let found = found.map_or("nothing".to_owned(), ToString::to_string);
            let reason = format!("its graph {does} {found}, but this job needs {expected}");
            Err(Error::Component { component: component.to_owned(), reason })
        }
    }
}

/// The velocity of a batch: the prompt's alone, or guided away from the negative prompt's.
fn combine(out: &mut [f32], velocity: &HostTensor, guidance: f32) {
    let (text, negative) = velocity.as_f32().unwrap_or(&[]).split_at(out.len());
    out.copy_from_slice(text);
    if !negative.is_empty() {
        guide(out, negative, guidance);
    }
}

/// Ids and masks of a batch of texts, \[batch, length\].
fn token_tensors(tokens: &[Tokens], length: usize) -> Result<(HostTensor, HostTensor), OpError> {
    let ids = tokens.iter().flat_map(|t| t.ids.iter().copied()).collect();
    let mask = tokens.iter().flat_map(|t| t.mask.iter().map(|&m| u8::from(m))).collect();
    let shape = [tokens.len(), length];
    Ok((HostTensor::new(shape, HostData::I64(ids))?, HostTensor::new(shape, HostData::Bool(mask))?))
}

/// Concatenates the encoders' outputs along the sequence.
fn concat_text(batch: usize, parts: &[TextPart<'_>]) -> Result<Text, Error> {
    let width = parts.first().and_then(|p| p.features.desc().shape.get(2)).copied().unwrap_or(0);
    for part in parts {
        expect(part.name, "gives text of", Some(part.features.desc()), &[batch, part.length, width])?;
    }
    let (mut features, mut mask) = (Vec::new(), Vec::new());
    for b in 0..batch {
        for part in parts {
            let row = part.length * width;
            features.extend_from_slice(&part.features.as_f32().unwrap_or(&[])[b * row..(b + 1) * row]);
            mask.extend(part.tokens[b].mask.iter().map(|&m| u8::from(m)));
        }
    }
    let tokens = parts.iter().map(|p| p.length).sum();
    let tensor = |e| Error::tensor("text", e);
    Ok(Text {
        features: HostTensor::f32([batch, tokens, width], features).map_err(tensor)?,
        mask: HostTensor::new([batch, tokens], HostData::Bool(mask)).map_err(tensor)?,
    })
}

/// The first frames of a decoded video \[1, 3, T, H, W\] in -1..1.
fn to_frames(video: &HostTensor, job: &Job) -> Result<Frames, Error> {
    let (width, height) = job.size;
    let decoded = video.desc().shape.get(2).copied().unwrap_or(0).max(job.frames);
    expect("decoder", "gives a video of", Some(video.desc()), &[1, 3, decoded, height, width])?;
    let values = video.as_f32().unwrap_or(&[]);
    let (all, kept) = (decoded * height * width, job.frames * height * width);
    let planes: Vec<f32> =
        values.chunks_exact(all.max(1)).flat_map(|plane| &plane[..kept]).copied().collect();
    Frames::from_planar(&planes, job.frames, height, width)
        .map_err(|e| Error::Component { component: "decoder".into(), reason: e.to_string() })
}
