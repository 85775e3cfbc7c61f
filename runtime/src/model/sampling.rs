//! Sampling: the velocity of a job's videos, guided, and the solver that follows it.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use kinograph_backend::{BufferRef, Control, Executable, HostTensor};

use super::Model;
use super::checkpoint::Checkpoint;
use super::component::expect;
use super::job::{Grid, Job};
use super::plan::Tactics;
use super::text::Text;
use crate::Error;
use crate::media::Frames;
use crate::package::PreviewSpec;
use crate::progress::{Run, Stage};
use crate::request::Request;
use crate::sampler::{Position, Step, guide, sample};

/// Steps of which an adaptive solver's progress is told: thousandths of the way.
const PARTS: usize = 1000;

/// What a job's sampling is made of besides the job.
pub(super) struct Sampling<'a> {
    pub(super) model: &'a Model,
    pub(super) job: &'a Job,
    pub(super) request: &'a Request,
    pub(super) tactics: &'a Tactics,
}

impl Sampling<'_> {
    /// The latents of all items, one after another, \[channels, frames, rows, columns\] each.
    pub(super) fn run(&self, text: &Text, decoding: f64, run: &mut Run<'_>) -> Result<Vec<f32>, Error> {
        let Sampling { model, job, request, .. } = *self;
        let channels = model.manifest.latent.channels;
        let mut shape = job.latent.shape(job.items.len(), channels);
        // Behind the state comes what a multistep solver carries.
        shape[0] *= 1 + job.solver.carried();
        let mut velocity = Velocity::new(model, job, text, self.tactics, run.control);
        // Compiles first: what the graph takes bounds what is allocated here.
        let costs = velocity.costs()?;
        let mut state = job.noise(channels)?;
        let length = state.len();
        state.resize(length * (1 + job.solver.carried()), 0.0);
        let identity = || {
            let mut identity = job.identity(&model.manifest);
            // Steps in two arithmetics would make the latents of neither.
            if let Some(numerics) = model.backbone.device().info().fact("numerics") {
                identity["numerics"] = numerics.into();
            }
            identity
        };
        let mut checkpoint = request.checkpoint.as_ref().map(|c| Checkpoint::new(c, identity(), &shape));
        let position = checkpoint.as_ref().map(|c| c.resume(&mut state)).transpose()?.flatten();
        let begun = progress(job, position);
        run.tell(Stage::Sample, begun, self.of())?;
        run.expect(costs.as_ref().map(|costs| costs.iter().skip(begun).sum::<f64>() + decoding));
        let velocity = RefCell::new(velocity);
        let mut failed = None;
        let after_step = |step: &Step, state: &[f32]| {
            let ended = job.times.last() == Some(&step.to);
            if let Some(listener) = &request.on_step {
                (listener.0)(step.index, &state[..length]);
            }
            let preview = || self.preview(&state[..length], step, &velocity.borrow());
            run.worked(costs.as_ref().and_then(|costs| costs.get(step.index)).copied().unwrap_or(0.0));
            let kept = checkpoint.as_mut().map_or(Ok(()), |c| c.keep(state, &step.position, ended));
            let done = progress(job, Some(step.position));
            match kept.and_then(|()| run.show(Stage::Sample, done, self.of(), preview())) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let evaluate = |x: &[f32], t: f64, out: &mut [f32]| velocity.borrow_mut().evaluate(x, t, out);
        let done = sample(job.solver, &job.times, &mut state, position, evaluate, after_step);
        match failed {
            Some(error) => return Err(error),
            None => done?,
        }
        run.done(Stage::Sample);
        state.truncate(length);
        Ok(state)
    }

    /// Steps as progress counts them.
    fn of(&self) -> usize {
        if self.job.solver.is_adaptive() { PARTS } else { self.job.times.len() - 1 }
    }

    /// What the first item will about be: the state, moved on to the end at its last velocity.
    fn preview(&self, state: &[f32], step: &Step, velocity: &Velocity<'_>) -> Option<Frames> {
        let every = self.request.preview_every;
        if every == 0 || !(step.index + 1).is_multiple_of(every) {
            return None;
        }
        let spec = self.model.manifest.preview.as_ref()?;
        let ahead = (self.job.times.last()? - step.to) as f32;
        let length = state.len() / self.job.items.len();
        let end: Vec<f32> = state[..length].iter().zip(&velocity.last).map(|(x, u)| x + ahead * u).collect();
        picture(spec, &end, self.job.latent)
    }
}

/// Steps done, as progress counts them.
fn progress(job: &Job, position: Option<Position>) -> usize {
    let Some(position) = position else { return 0 };
    match (job.solver.is_adaptive(), &job.times[..]) {
        (true, [begin, .., end]) => ((position.time - begin) / (end - begin) * PARTS as f64) as usize,
        _ => position.steps,
    }
}

/// The picture of a latent \[channels, frames, rows, columns\], a pixel a position.
fn picture(spec: &PreviewSpec, latent: &[f32], grid: Grid) -> Option<Frames> {
    let length = grid.frames * grid.plane();
    let mut planes = Vec::with_capacity(3 * length);
    for (weights, bias) in spec.weight.iter().zip(spec.bias) {
        let mut plane = vec![bias; length];
        for (weight, channel) in weights.iter().zip(latent.chunks_exact(length.max(1))) {
            plane.iter_mut().zip(channel).for_each(|(p, x)| *p += weight * x);
        }
        planes.append(&mut plane);
    }
    Frames::from_planar(&planes, grid.frames, grid.rows, grid.columns).ok()
}

/// One way to run the backbone: for these texts, which are on the device.
struct Pass {
    texts: Range<usize>,
    executable: Arc<dyn Executable>,
    /// What it reads besides latent and time: the texts, and what was made of them once.
    text: Vec<BufferRef>,
}

/// The velocity of a job's items at any state and time.
struct Velocity<'a> {
    model: &'a Model,
    job: &'a Job,
    text: &'a Text,
    tactics: &'a Tactics,
    control: &'a Control,
    passes: Vec<Pass>,
    /// The first item's latest velocity, for previews.
    last: Vec<f32>,
}

impl<'a> Velocity<'a> {
    fn new(
        model: &'a Model,
        job: &'a Job,
        text: &'a Text,
        tactics: &'a Tactics,
        control: &'a Control,
    ) -> Self {
        Self { model, job, text, tactics, control, passes: Vec::new(), last: Vec::new() }
    }

    /// The texts of each run of the backbone at that scale of guidance.
    fn texts(&self, scale: f32) -> Vec<Range<usize>> {
        let items = self.job.items.len();
        let (prompts, negatives, all) = (0..items, items..2 * items, 0..2 * items);
        match (scale == 1.0, self.tactics.split_guidance) {
            (true, _) => Vec::from([prompts]),
            (false, true) => Vec::from([prompts, negatives]),
            (false, false) => Vec::from([all]),
        }
    }

    /// The floating-point operations of each step; nothing for a solver that chooses its steps.
    fn costs(&mut self) -> Result<Option<Vec<f64>>, Error> {
        let cost = |velocity: &mut Self, scale: f32| {
            let passes = velocity.texts(scale).into_iter();
            let flops = passes.map(|texts| Ok(velocity.pass(texts)?.executable.graph().flops() as f64));
            flops.sum::<Result<f64, Error>>()
        };
        let steps = &self.job.times[..self.job.times.len() - 1];
        let scales: Vec<f32> = steps.iter().map(|&t| self.job.guidance.scale_at(t)).collect();
        let mut costs = Vec::with_capacity(scales.len());
        for scale in scales {
            costs.push(cost(self, scale)?);
        }
        let each = self.job.solver.velocities_per_step();
        Ok(each.map(|each| costs.iter().map(|cost| cost * each as f64).collect()))
    }

    fn pass(&mut self, texts: Range<usize>) -> Result<&Pass, Error> {
        if let Some(at) = self.passes.iter().position(|pass| pass.texts == texts) {
            return Ok(&self.passes[at]);
        }
        let Grid { frames, rows, columns } = self.job.latent;
        let sizes =
            vec![("B", texts.len()), ("T", frames), ("H", rows), ("W", columns), ("L", self.text.tokens)];
        let backbone = &self.model.backbone;
        let prepared = backbone.prepared(sizes, !self.tactics.recompute_text)?;
        let executable = prepared.each;
        let graph = executable.graph();
        let latent = graph.inputs().first().map(|&id| &graph.value(id).desc);
        expect("backbone", "takes a latent of", latent, &self.shape(texts.len()))?;
        let mut text = Vec::from(self.text.upload(self.model, texts.clone())?);
        if let Some(once) = prepared.once {
            let made = backbone.run_once(&*once, &text, self.control)?;
            text.extend(made);
        }
        self.passes.push(Pass { texts, executable, text });
        Ok(&self.passes[self.passes.len() - 1])
    }

    fn shape(&self, batch: usize) -> [usize; 5] {
        self.job.latent.shape(batch, self.model.manifest.latent.channels)
    }

    /// Writes the guided velocity of all items at a state.
    fn evaluate(&mut self, x: &[f32], t: f64, out: &mut [f32]) -> Result<(), Error> {
        let scale = self.job.guidance.scale_at(t);
        let mut both: Vec<f32> = Vec::new();
        for texts in self.texts(scale) {
            let made = self.run(texts, x, t)?;
            both.extend_from_slice(made.as_f32().unwrap_or(&[]));
        }
        let (text, negative) = both.split_at(out.len());
        out.copy_from_slice(text);
        if !negative.is_empty() {
            guide(out, negative, scale);
        }
        self.last.clear();
        self.last.extend_from_slice(&out[..out.len() / self.job.items.len()]);
        Ok(())
    }

    fn run(&mut self, texts: Range<usize>, x: &[f32], t: f64) -> Result<HostTensor, Error> {
        let (model, control, items) = (self.model, self.control, self.job.items.len());
        let (batch, shape) = (texts.len(), self.shape(texts.len()));
        let told = model.manifest.sampler.told.map_or(t as f32, |told| told.at(t));
        let tensor = |e| Error::tensor("backbone", e);
        let latent = HostTensor::f32(shape, x.repeat(batch / items)).map_err(tensor)?;
        let time = HostTensor::f32([batch], vec![told; batch]).map_err(tensor)?;
        let upload = |tensor| model.backbone.upload(tensor);
        let pass = self.pass(texts)?;
        let mut inputs = vec![upload(latent)?, upload(time)?];
        inputs.extend(pass.text.iter().cloned());
        let made = model.backbone.run(&*pass.executable, &inputs, control)?;
        expect("backbone", "gives a velocity of", Some(made.desc()), &shape)?;
        Ok(made)
    }
}
