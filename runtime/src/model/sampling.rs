//! Sampling: the solver that follows the velocity of a job's videos, on the host or on the device, and what is done after each step.

use std::cell::RefCell;
use std::ops::ControlFlow;

use kinograph_backend::{BufferRef, HostTensor};

use super::Model;
use super::apart::{Kind, Moved, Steps};
use super::checkpoint::Checkpoint;
use super::job::{Grid, Job};
use super::plan::Tactics;
use super::text::Text;
use super::velocity::Velocity;
use crate::Error;
use crate::media::Frames;
use crate::package::PreviewSpec;
use crate::progress::{Run, Stage};
use crate::request::Request;
use crate::sampler::{self, Position, SampleError, Solver, Step, check, sample};

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
        let checkpoint = request.checkpoint.as_ref().map(|c| Checkpoint::new(c, identity(), &shape));
        let position = checkpoint.as_ref().map(|c| c.resume(&mut state)).transpose()?.flatten();
        let begun = progress(job, position);
        run.tell(Stage::Sample, begun, self.of())?;
        run.expect(costs.as_ref().map(|costs| costs.iter().skip(begun).sum::<f64>() + decoding));
        let mut after = After { sampling: self, costs, checkpoint, run };
        let apart = self.apart()?;
        let state = match apart {
            Some(steps) => self.on_device(&steps, &mut velocity, state, position, &mut after)?,
            None => {
                self.on_host(velocity, &mut state, position, &mut after)?;
                state.truncate(length);
                state
            }
        };
        after.run.done(Stage::Sample);
        Ok(state)
    }

    /// Solves on the host: a velocity is moved there, and the state to the device, for each evaluation.
    fn on_host(
        &self,
        velocity: Velocity<'_>,
        state: &mut [f32],
        position: Option<Position>,
        after: &mut After<'_, '_>,
    ) -> Result<(), Error> {
        let job = self.job;
        let length = state.len() / (1 + job.solver.carried());
        let velocity = RefCell::new(velocity);
        let mut failed = None;
        let after_step = |step: &Step, state: &[f32]| {
            let wants = after.wants(step);
            match after.step(step, wants, &state[..length], state, &velocity.borrow().last) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let evaluate = |x: &[f32], t: f64, out: &mut [f32]| velocity.borrow_mut().evaluate(x, t, out);
        let done = sample(job.solver, &job.times, state, position, evaluate, after_step);
        failed.map_or(done.map_err(Error::from), Err)
    }

    /// How the backbone's device takes the steps itself, where it should and can: its memory lies apart, and the arithmetic is its own. What is
    /// reproducible is computed on the host, by what all devices share.
    fn apart(&self) -> Result<Option<Steps<'_>>, Error> {
        let device = &**self.model.backbone.device();
        let reproducible = device.info().fact("numerics").is_some();
        if self.job.solver != Solver::Euler || reproducible || !device.is_apart() {
            return Ok(None);
        }
        let shape = self.job.latent.shape(self.job.items.len(), self.model.manifest.latent.channels);
        Steps::new(device, shape, &self.request.control)
    }

    /// Takes Euler steps on the device, where the state stays until someone wants to see it.
    fn on_device(
        &self,
        steps: &Steps<'_>,
        velocity: &mut Velocity<'_>,
        state: Vec<f32>,
        position: Option<Position>,
        after: &mut After<'_, '_>,
    ) -> Result<Vec<f32>, Error> {
        let job = self.job;
        check::<Error>(job.solver, &job.times, &state)?;
        let shape = velocity.shape(job.items.len());
        let tensor = HostTensor::f32(shape, state).map_err(|e| Error::tensor("sampler", e))?;
        let mut state = steps.upload(tensor)?;
        for step in sampler::steps::<Error>(&job.times, position)? {
            let moved = self
                .move_on(steps, velocity, &state, &step)
                .map_err(|source| SampleError::Velocity { step: step.index + 1, of: step.of, source })?;
            if !moved.highest.is_finite() {
                let values = steps.download(&moved.velocity)?;
                let found = values.iter().enumerate().find(|(_, value)| !value.is_finite());
                let (element, value) = found.map_or((0, moved.highest), |(element, value)| (element, *value));
                return Err(
                    SampleError::NotFinite { step: step.index + 1, of: step.of, element, value }.into()
                );
            }
            state = moved.state;
            let wants = after.wants(&step);
            let seen = if wants.state() { steps.download(&state)? } else { Vec::new() };
            let last = if wants.preview { steps.download(&moved.velocity)? } else { Vec::new() };
            after.step(&step, wants, &seen, &seen, &last)?;
        }
        steps.download(&state)
    }

    /// One step of a state on the device.
    fn move_on(
        &self,
        steps: &Steps<'_>,
        velocity: &mut Velocity<'_>,
        state: &BufferRef,
        step: &Step,
    ) -> Result<Moved, Error> {
        let scale = self.job.guidance.scale_at(step.from);
        let size = (step.to - step.from) as f32;
        let mut made = Vec::new();
        for texts in velocity.texts(scale) {
            let joined = texts.len() > self.job.items.len();
            let latent = if joined { steps.twice(state)? } else { state.clone() };
            made.push(velocity.run_there(texts, latent, step.from)?);
            if joined {
                return steps.take(Kind::Joined, state, made, scale, size);
            }
        }
        let kind = if made.len() == 2 { Kind::Separate } else { Kind::Plain };
        steps.take(kind, state, made, scale, size)
    }

    /// Steps as progress counts them.
    fn of(&self) -> usize {
        if self.job.solver.is_adaptive() { PARTS } else { self.job.times.len() - 1 }
    }
}

/// What is to be done after a step.
struct After<'a, 'r> {
    sampling: &'a Sampling<'a>,
    costs: Option<Vec<f64>>,
    checkpoint: Option<Checkpoint<'a>>,
    run: &'a mut Run<'r>,
}

/// What wants to see the state after a step.
#[derive(Clone, Copy)]
struct Wants {
    listener: bool,
    preview: bool,
    checkpoint: bool,
}

impl Wants {
    fn state(self) -> bool {
        self.listener || self.preview || self.checkpoint
    }
}

impl After<'_, '_> {
    fn wants(&self, step: &Step) -> Wants {
        let Sampling { model, job, request, .. } = *self.sampling;
        let every = request.preview_every;
        let ended = job.times.last() == Some(&step.to);
        Wants {
            listener: request.on_step.is_some(),
            preview: every != 0 && (step.index + 1).is_multiple_of(every) && model.manifest.preview.is_some(),
            checkpoint: self.checkpoint.as_ref().is_some_and(|c| ended || c.is_due()),
        }
    }

    /// Tells of a step. `state` is that of all items and `all` with what the solver carries behind it, where it is wanted; `velocity` begins
    /// with the first item's last one, for a preview.
    fn step(
        &mut self,
        step: &Step,
        wants: Wants,
        state: &[f32],
        all: &[f32],
        velocity: &[f32],
    ) -> Result<(), Error> {
        let Sampling { job, request, .. } = *self.sampling;
        if let Some(listener) = &request.on_step {
            (listener.0)(step.index, state);
        }
        let preview = if wants.preview { self.preview(state, step, velocity) } else { None };
        self.run.worked(self.costs.as_ref().and_then(|costs| costs.get(step.index)).copied().unwrap_or(0.0));
        if let Some(checkpoint) = self.checkpoint.as_mut().filter(|_| wants.checkpoint) {
            checkpoint.keep(all, &step.position)?;
        }
        self.run.show(Stage::Sample, progress(job, Some(step.position)), self.sampling.of(), preview)
    }

    /// What the first item will about be: the state, moved on to the end at its last velocity.
    fn preview(&self, state: &[f32], step: &Step, velocity: &[f32]) -> Option<Frames> {
        let Sampling { model, job, .. } = *self.sampling;
        let spec = model.manifest.preview.as_ref()?;
        let ahead = (job.times.last()? - step.to) as f32;
        let length = state.len() / job.items.len();
        let end: Vec<f32> = state[..length].iter().zip(velocity).map(|(x, u)| x + ahead * u).collect();
        picture(spec, &end, job.latent)
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
