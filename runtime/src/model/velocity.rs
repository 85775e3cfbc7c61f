//! The velocity that a backbone gives to a job's latents.

use std::ops::Range;
use std::sync::Arc;

use kinograph_backend::{BufferRef, Control, Executable, HostTensor};

use super::Model;
use super::component::expect;
use super::job::{Grid, Job};
use super::plan::Tactics;
use super::text::Text;
use crate::Error;
use crate::sampler::guide;

/// One way to run the backbone: for these texts, which are on the device.
struct Pass {
    texts: Range<usize>,
    executable: Arc<dyn Executable>,
    /// What it reads besides latent and time: the texts, and what was made of them once.
    text: Vec<BufferRef>,
}

/// The velocity of a job's items at any state and time.
pub(super) struct Velocity<'a> {
    model: &'a Model,
    job: &'a Job,
    text: &'a Text,
    tactics: &'a Tactics,
    control: &'a Control,
    passes: Vec<Pass>,
    /// The first item's latest velocity, for previews.
    pub(super) last: Vec<f32>,
}

impl<'a> Velocity<'a> {
    pub(super) fn new(
        model: &'a Model,
        job: &'a Job,
        text: &'a Text,
        tactics: &'a Tactics,
        control: &'a Control,
    ) -> Self {
        Self { model, job, text, tactics, control, passes: Vec::new(), last: Vec::new() }
    }

    /// The texts of each run of the backbone at that scale of guidance.
    pub(super) fn texts(&self, scale: f32) -> Vec<Range<usize>> {
        let items = self.job.items.len();
        let (prompts, negatives, all) = (0..items, items..2 * items, 0..2 * items);
        match (scale == 1.0, self.tactics.split_guidance) {
            (true, _) => Vec::from([prompts]),
            (false, true) => Vec::from([prompts, negatives]),
            (false, false) => Vec::from([all]),
        }
    }

    /// The floating-point operations of each step; nothing for a solver that chooses its steps.
    pub(super) fn costs(&mut self) -> Result<Option<Vec<f64>>, Error> {
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

    pub(super) fn shape(&self, batch: usize) -> [usize; 5] {
        self.job.latent.shape(batch, self.model.manifest.latent.channels)
    }

    /// Writes the guided velocity of all items at a state.
    pub(super) fn evaluate(&mut self, x: &[f32], t: f64, out: &mut [f32]) -> Result<(), Error> {
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
        let (batch, items) = (texts.len(), self.job.items.len());
        let latent = HostTensor::f32(self.shape(batch), x.repeat(batch / items));
        let latent = self.model.backbone.upload(latent.map_err(|e| Error::tensor("backbone", e))?)?;
        let made = self.run_there(texts, latent, t)?;
        self.model.backbone.download(&made)
    }

    /// The velocity of these texts, where the latent is: on the device.
    pub(super) fn run_there(
        &mut self,
        texts: Range<usize>,
        latent: BufferRef,
        t: f64,
    ) -> Result<BufferRef, Error> {
        let (model, control, batch) = (self.model, self.control, texts.len());
        let told = model.manifest.sampler.told.map_or(t as f32, |told| told.at(t));
        let time = HostTensor::f32([batch], vec![told; batch]).map_err(|e| Error::tensor("backbone", e))?;
        let shape = self.shape(batch);
        let pass = self.pass(texts)?;
        let mut inputs = vec![latent, model.backbone.upload(time)?];
        inputs.extend(pass.text.iter().cloned());
        let made = model.backbone.run_there(&*pass.executable, &inputs, control)?;
        expect("backbone", "gives a velocity of", Some(made.desc()), &shape)?;
        Ok(made)
    }
}
