//! What a job will need, before it runs: operations, tiles, memory, and how it stays within a limit.

mod codec;

use kinograph_backend::{Device, MemoryPlan};
use kinograph_graph::{DType, Graph};

use super::Model;
use super::codec::{CodecOptions, CodecPlan};
use super::component::{self, Blueprint, Sizes};
use super::job::{Grid, Job};
use super::tiled::{Piece, Scale};
use crate::Error;
use crate::error::RequestError;
use crate::package::{ComponentSpec, Manifest, Package};
use crate::placement::Placement;
use crate::progress::Stage;
use crate::request::Request;
use crate::tiling::Tiles;
use codec::{codec_stage, smaller_tiles};

/// What a job needs. Memory is in bytes and counts what grows with model and job, not the program around it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The device's id.
    pub device: String,
    /// Frames, width and height of the video.
    pub video: (usize, usize, usize),
    /// Channels, frames, rows and columns of the latent.
    pub latent: [usize; 4],
    /// Each component in the order in which it runs.
    pub stages: Vec<StagePlan>,
    /// How memory is kept low.
    pub tactics: Tactics,
    /// The most memory that the job needs at a time: weights, buffers of the device, tensors of the host.
    pub peak: u64,
}

/// What one component of a job does and needs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StagePlan {
    /// The stage that it belongs to.
    pub stage: Stage,
    /// The component.
    pub component: String,
    /// The parts that its graph is cut into: the id of the device and the number of nodes of each.
    pub partitions: Vec<(String, usize)>,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Bytes of its weights as they are stored.
    pub weight_bytes: u64,
    /// The longest sequence that attends to itself, if any does.
    pub tokens: Option<usize>,
    /// Tiles of the whole stage, in time times in space.
    pub tiles: usize,
    /// Floating-point operations of one forward: one text, one state, or the largest tile.
    pub flops: u64,
    /// Floating-point operations before the first forward, once for the whole job: what depends on the texts alone.
    pub flops_once: u64,
    /// Forwards in all; nothing with an adaptive solver.
    pub forwards: Option<u64>,
    /// What the device needs for its largest run.
    pub memory: MemoryPlan,
    /// Tensors of the host beside the run.
    pub host: u64,
}

/// What a job does to stay within its memory limit. Without a limit it does none of it, as each costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tactics {
    /// Gives back what a stage used before the next begins. The result is the same.
    pub release: bool,
    /// Computes in each step what depends on the text alone, instead of keeping it: the keys and values of
    /// cross-attention, where they are a part of the work that is worth it. The result is the same.
    pub recompute_text: bool,
    /// Runs prompt and negative prompt one after the other. The result is the same up to rounding: a device may sum in
    /// another order for another size of batch.
    pub split_guidance: bool,
    /// Decodes frames in tiles of so many latent rows and columns, which changes the result a little.
    pub spatial: Option<Tiles>,
}

impl Tactics {
    /// Nothing but what the caller chose.
    fn none(job: &Job) -> Self {
        Self { spatial: job.spatial, ..Self::default() }
    }
}

impl StagePlan {
    fn held(&self) -> u64 {
        self.memory.weights_copied.saturating_add(self.memory.weights_in_place)
    }

    fn passing(&self) -> u64 {
        self.memory.run.saturating_add(self.host)
    }

    /// Floating-point operations of the stage in all; nothing with an adaptive solver.
    pub fn flops_in_all(&self) -> Option<f64> {
        Some(self.flops_once as f64 + self.flops as f64 * self.forwards? as f64)
    }
}

impl Plan {
    /// Floating-point operations of the whole job; nothing with an adaptive solver.
    pub fn flops(&self) -> Option<f64> {
        self.stages.iter().map(StagePlan::flops_in_all).sum()
    }

    /// Numbers in all weights.
    pub fn parameters(&self) -> u64 {
        self.stages.iter().map(|s| s.parameters).sum()
    }

    /// Bytes of all weights as they are stored.
    pub fn weight_bytes(&self) -> u64 {
        self.stages.iter().map(|s| s.weight_bytes).sum()
    }
}

/// The most that stages need, one after another.
fn peak(stages: &[StagePlan], release: bool) -> u64 {
    let most = |need: fn(&StagePlan) -> u64| stages.iter().map(need).max().unwrap_or(0);
    match release {
        true => most(|s| s.held().saturating_add(s.passing())),
        false => stages.iter().map(StagePlan::held).fold(most(StagePlan::passing), u64::saturating_add),
    }
}

/// Tells the type that a weight is stored in.
type Stored<'a> = Box<dyn Fn(&str) -> Option<DType> + 'a>;

/// A component as a plan sees it.
struct Part<'a> {
    blueprint: &'a Blueprint,
    device: &'a dyn Device,
    stored: Stored<'a>,
}

impl<'a> Part<'a> {
    fn loaded(component: &'a component::Component) -> Self {
        Self {
            blueprint: component.blueprint(),
            device: &**component.device(),
            stored: Box::new(|name| component.stored(name)),
        }
    }

    /// A row of the plan: a graph's numbers for one item, the device's memory for the sizes that run.
    fn stage(&self, stage: Stage, one: &Sizes, run: &Sizes, kinds: u64) -> Result<StagePlan, Error> {
        let graph = self.blueprint.graph(one)?;
        let batch = if one == run { None } else { Some(self.blueprint.graph(run)?) };
        let stored = |name: &str| (self.stored)(name);
        let mut memory = self.blueprint.memory(self.device, batch.as_ref().unwrap_or(&graph), &stored)?;
        memory.weights_copied = memory.weights_copied.saturating_mul(kinds);
        let bytes = |&id| {
            let value = graph.value(id);
            let dtype = stored(&value.name).unwrap_or(value.desc.dtype);
            value.desc.with_dtype(dtype).bytes() as u64
        };
        Ok(StagePlan {
            stage,
            component: self.blueprint.name.clone(),
            partitions: self.device.partitions(&graph),
            parameters: graph.parameters(),
            weight_bytes: graph.weights().iter().map(bytes).sum(),
            tokens: tokens(&graph),
            tiles: 1,
            flops: graph.flops(),
            flops_once: 0,
            forwards: None,
            memory,
            host: 0,
        })
    }
}

impl Part<'_> {
    /// Changes a row to what it is when that which does not vary is computed once, for so many texts, and kept.
    fn apart(
        &self,
        stage: &mut StagePlan,
        [one, run]: [&Sizes; 2],
        texts: u64,
        kinds: u64,
    ) -> Result<(), Error> {
        let cut = |sizes| self.blueprint.cut(&self.blueprint.graph(sizes)?);
        let (Some(single), Some(batch)) = (cut(one)?, cut(run)?) else { return Ok(()) };
        let memory =
            |graph: &Graph| self.blueprint.memory(self.device, graph, &|name: &str| (self.stored)(name));
        let (once, each) = (memory(&batch.once)?, memory(&batch.rest)?);
        let bytes = |graph: &Graph| {
            graph
                .outputs()
                .iter()
                .map(|o| graph.value(o.value).desc.bytes() as u64)
                .fold(0, u64::saturating_add)
        };
        let kept = bytes(&single.once).saturating_mul(texts);
        // What is being made is among what is kept.
        let making = once.run.saturating_sub(bytes(&batch.once));
        let copied = once.weights_copied.saturating_add(each.weights_copied);
        stage.memory = MemoryPlan {
            run: each.run.max(making).saturating_add(kept),
            reused: 0,
            weights_in_place: once.weights_in_place.saturating_add(each.weights_in_place),
            weights_copied: copied.saturating_mul(kinds),
        };
        stage.flops = single.rest.flops();
        stage.flops_once = single.once.flops().saturating_mul(texts);
        Ok(())
    }
}

/// The longest sequence whose tokens attend to one another.
fn tokens(graph: &Graph) -> Option<usize> {
    let attention = graph.nodes().iter().filter(|node| node.op.name == "Attention");
    let length = |value| {
        let shape = &graph.value(value).desc.shape;
        shape.len().checked_sub(2).map(|axis| shape[axis])
    };
    let own = attention.filter_map(|node| {
        let (q, k) = (length(node.input(0)?)?, length(node.input(1)?)?);
        (q == k).then_some(q)
    });
    own.max()
}

/// All components of a model, and the device that will run them.
struct Planner<'a> {
    manifest: &'a Manifest,
    device: &'a dyn Device,
    /// The text encoders, with the tokens that each gives.
    text: Vec<(Part<'a>, usize)>,
    backbone: Part<'a>,
    decoder: Part<'a>,
}

impl Planner<'_> {
    /// The first tactics that stay within the limit.
    fn choose(&self, job: &Job) -> Result<Plan, Error> {
        let spatial = job.spatial;
        let mut plan = self.plan(job, Tactics::none(job))?;
        let Some(limit) = job.memory_limit else { return Ok(plan) };
        let mut candidates = vec![
            Tactics { release: true, spatial, ..Tactics::default() },
            Tactics { release: true, recompute_text: true, spatial, ..Tactics::default() },
            Tactics { release: true, recompute_text: true, split_guidance: true, spatial },
        ];
        if spatial.is_none() {
            let smaller = smaller_tiles(job.latent);
            let low = Tactics { release: true, recompute_text: true, split_guidance: true, spatial };
            let with = |tiles| Tactics { spatial: Some(tiles), ..low };
            candidates.extend(smaller.map(with));
        }
        for tactics in candidates {
            if plan.peak <= limit {
                break;
            }
            plan = self.plan(job, tactics)?;
        }
        within(limit, plan.peak, &plan.stages)?;
        Ok(plan)
    }

    fn plan(&self, job: &Job, tactics: Tactics) -> Result<Plan, Error> {
        let mut stages = self.text_stages(job)?;
        stages.push(self.sampling(job, tactics)?);
        let channels = self.manifest.latent.channels;
        let codec = CodecPlan { temporal: job.temporal, spatial: tactics.spatial };
        let mut decoder = codec_stage(&self.decoder, self.manifest, Stage::Decode, job.latent, codec)?;
        decoder.forwards = decoder.forwards.map(|n| n * job.items.len() as u64);
        stages.push(decoder);
        let Grid { frames, rows, columns } = job.latent;
        Ok(Plan {
            device: self.device.info().id.clone(),
            video: (job.frames, job.size.0, job.size.1),
            latent: [channels, frames, rows, columns],
            peak: peak(&stages, tactics.release),
            stages,
            tactics,
        })
    }

    fn text_stages(&self, job: &Job) -> Result<Vec<StagePlan>, Error> {
        let texts = job.texts().len();
        let stage = |(part, length): &(Part<'_>, usize)| {
            let length = job.text_tokens.unwrap_or(*length);
            let (one, run) = (vec![("B", 1), ("L", length)], vec![("B", texts), ("L", length)]);
            let mut stage = part.stage(Stage::Text, &one, &run, 1)?;
            stage.forwards = Some(texts as u64);
            Ok(stage)
        };
        self.text.iter().map(stage).collect()
    }

    fn sampling(&self, job: &Job, tactics: Tactics) -> Result<StagePlan, Error> {
        let items = job.items.len();
        let guided = if job.unguided() { 1 } else { 2 };
        let batch = if tactics.split_guidance { items } else { items * guided };
        let tokens = self.text.iter().map(|(_, length)| job.text_tokens.unwrap_or(*length)).sum();
        let Grid { frames, rows, columns } = job.latent;
        let sizes = |b| vec![("B", b), ("T", frames), ("H", rows), ("W", columns), ("L", tokens)];
        // An interval of guidance has a size of batch of its own outside of it.
        let kinds = if batch > items && job.guidance.has_interval() { 2 } else { 1 };
        let mut stage = self.backbone.stage(Stage::Sample, &sizes(1), &sizes(batch), kinds)?;
        if !tactics.recompute_text {
            let texts = items * (guided + kinds as usize - 1);
            self.backbone.apart(&mut stage, [&sizes(1), &sizes(batch)], texts as u64, kinds)?;
        }
        let steps = (job.times.len() - 1) as u64;
        let (each, carried) = (job.solver.velocities_per_step(), job.solver.carried() as u64);
        stage.forwards = each.map(|each| steps * each as u64 * (items * guided) as u64);
        // The state, a velocity for each stage of the solver, and what goes to the device and comes from it; a device that takes
        // the steps itself holds no more.
        let state = bytes(&job.latent.shape(items, self.manifest.latent.channels));
        stage.host = state.saturating_mul(1 + carried + each.unwrap_or(7) as u64 + 4 * guided as u64);
        Ok(stage)
    }
}

fn bytes(shape: &[usize]) -> u64 {
    shape.iter().fold(4, |n, &d| n.saturating_mul(d as u64))
}

fn within(limit: u64, needed: u64, stages: &[StagePlan]) -> Result<(), Error> {
    if needed <= limit {
        return Ok(());
    }
    let largest = stages.iter().max_by_key(|s| s.held().saturating_add(s.passing()));
    let component = largest.map(|s| s.component.clone()).unwrap_or_default();
    Err(RequestError::MemoryLimit { limit, needed, component }.into())
}

impl Model {
    /// What a request will need on this device.
    ///
    /// # Errors
    /// A request that the model does not take, or that does not fit its memory limit.
    pub fn plan(&self, request: &Request) -> Result<Plan, Error> {
        self.plan_job(&Job::new(&self.manifest, request)?)
    }

    /// How a job keeps its memory low. Without a limit that needs no plan, which costs a lowering of every graph.
    pub(super) fn tactics(&self, job: &Job) -> Result<Tactics, Error> {
        match job.memory_limit {
            Some(_) => Ok(self.plan_job(job)?.tactics),
            None => Ok(Tactics::none(job)),
        }
    }

    fn plan_job(&self, job: &Job) -> Result<Plan, Error> {
        let text = self.text.iter();
        let planner = Planner {
            manifest: &self.manifest,
            device: &**self.device(),
            text: text.map(|t| (Part::loaded(&t.component), t.tokenizer.options().max_length)).collect(),
            backbone: Part::loaded(&self.backbone),
            decoder: Part::loaded(&self.decoder),
        };
        planner.choose(job)
    }

    pub(super) fn plan_decode(&self, grid: Grid, options: &CodecOptions) -> Result<CodecPlan, Error> {
        let temporal = options.tiles.temporal.or(self.manifest.tiling.map(|t| t.decoder));
        self.plan_codec(&self.decoder, Stage::Decode, grid, temporal, options)
    }

    pub(super) fn plan_encode(
        &self,
        width: usize,
        height: usize,
        frames: Option<usize>,
        options: &CodecOptions,
    ) -> Result<CodecPlan, Error> {
        let component = self.encoder.as_ref().ok_or(RequestError::NoEncoder)?;
        let temporal = options.tiles.temporal.or(self.manifest.tiling.map(|t| t.encoder));
        let (ct, ch, cw) = self.manifest.latent.compression;
        if let Some(tiles) = temporal
            && !(tiles.size().is_multiple_of(ct) && tiles.overlap().is_multiple_of(ct))
        {
            return Err(RequestError::EncoderTiles { compression: ct }.into());
        }
        // Without tiles the whole clip is one, and its length may not be known.
        let frames = frames.or(temporal.map(Tiles::size)).unwrap_or(ct);
        let grid = Grid { frames, rows: height.next_multiple_of(ch), columns: width.next_multiple_of(cw) };
        self.plan_codec(component, Stage::Encode, grid, temporal, options)
    }

    fn plan_codec(
        &self,
        component: &component::Component,
        stage: Stage,
        grid: Grid,
        temporal: Option<Tiles>,
        options: &CodecOptions,
    ) -> Result<CodecPlan, Error> {
        let mut plan = CodecPlan { temporal, spatial: options.tiles.spatial };
        let Some(limit) = options.memory_limit else { return Ok(plan) };
        let part = Part::loaded(component);
        let row = |plan| codec_stage(&part, &self.manifest, stage, grid, plan);
        let mut stages = [row(plan)?];
        let latent = match stage {
            Stage::Encode => Scale::down(&self.manifest.latent).apply(grid, Piece::Begin),
            _ => grid,
        };
        let smaller = smaller_tiles(latent).filter(|_| options.tiles.spatial.is_none());
        for tiles in smaller {
            if peak(&stages, true) <= limit {
                break;
            }
            plan.spatial = Some(tiles);
            stages = [row(plan)?];
        }
        within(limit, peak(&stages, true), &stages)?;
        Ok(plan)
    }
}

/// What a request will need on its devices, by a package whose weights need not be there: each component then says in the
/// manifest the type that its weights are stored in.
///
/// # Errors
/// A file of the package that is wrong; a request that the model does not take or that does not fit its memory limit.
pub fn plan(package: &Package, devices: impl Into<Placement>, request: &Request) -> Result<Plan, Error> {
    let devices = &devices.into();
    let manifest = package.manifest();
    let job = Job::new(manifest, request)?;
    let names: Vec<&str> = manifest.text.iter().map(|spec| spec.name.as_str()).collect();
    devices.check(&names)?;
    let load = |name: &str, spec: &ComponentSpec, interface| Blueprint::load(package, name, spec, interface);
    let text: Vec<_> = manifest
        .text
        .iter()
        .map(|spec| Ok((load(&spec.name, &spec.component(), &component::TEXT)?, spec)))
        .collect::<Result<_, Error>>()?;
    let backbone = load("backbone", &manifest.backbone, &component::BACKBONE)?;
    let decoder = load("decoder", &manifest.decoder, &component::DECODER)?;
    let planner = Planner {
        manifest,
        device: &**devices.default_device(),
        text: text
            .iter()
            .map(|(blueprint, spec)| {
                Ok((
                    unloaded(package, blueprint, &spec.component(), devices, true)?,
                    spec.tokenizer.max_length,
                ))
            })
            .collect::<Result<_, Error>>()?,
        backbone: unloaded(package, &backbone, &manifest.backbone, devices, false)?,
        decoder: unloaded(package, &decoder, &manifest.decoder, devices, false)?,
    };
    planner.choose(&job)
}

/// The graphs of a package at the sizes that they assume for inspection.
pub(crate) fn graphs(package: &Package) -> Result<Vec<Graph>, Error> {
    let manifest = package.manifest();
    let graph = |name: &str, spec: &ComponentSpec, interface| {
        Blueprint::load(package, name, spec, interface)?.graph(&Vec::new())
    };
    let text = manifest.text.iter().map(|spec| graph(&spec.name, &spec.component(), &component::TEXT));
    let mut graphs = text.collect::<Result<Vec<_>, Error>>()?;
    graphs.push(graph("backbone", &manifest.backbone, &component::BACKBONE)?);
    graphs.push(graph("decoder", &manifest.decoder, &component::DECODER)?);
    if let Some(encoder) = &manifest.encoder {
        graphs.push(graph("encoder", encoder, &component::ENCODER)?);
    }
    Ok(graphs)
}

/// A component with the types of its weight files, or with the one that the manifest tells.
fn unloaded<'a>(
    package: &Package,
    blueprint: &'a Blueprint,
    spec: &ComponentSpec,
    devices: &'a Placement,
    is_text: bool,
) -> Result<Part<'a>, Error> {
    use kinograph_backend::Weights;
    let stored: Stored<'_> =
        match (package.weights(&spec.weights).map(|w| w.with_aliases(&spec.aliases)), spec.dtype) {
            (Ok(weights), _) => Box::new(move |name| weights.get(name).map(|view| view.dtype)),
            (Err(error), Some(dtype)) if error.is_missing_file() => Box::new(move |_| Some(dtype)),
            (Err(error), _) => return Err(error.into()),
        };
    let device = &**devices.device(&blueprint.name, is_text);
    Ok(Part { blueprint, device, stored })
}
