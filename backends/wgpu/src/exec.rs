//! The compiled graph, and its runs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kinograph_backend::{
    BufferRef, CompileError, Control, DeviceError, Executable, MemoryPlan, RunError, Weights, check_inputs,
};
use kinograph_graph::Graph;

use crate::buffer::GpuBuffer;
use crate::gpu::{Gpu, Memory, Pipeline, internal, lock};
use crate::lower::{Origin, Plan, Step};
use crate::memory::{Place, Placement};
use crate::upload::upload_weight;

/// What a plan needs, in bytes.
pub(crate) fn memory_plan(plan: &Plan, placement: &Placement) -> MemoryPlan {
    let bytes = |root: &usize| plan.storages[*root].bytes;
    let params = params_layout(&plan.steps, 256).1;
    MemoryPlan {
        run: placement.slot_bytes() + plan.outputs.iter().map(bytes).sum::<u64>(),
        reused: 0,
        weights_in_place: 0,
        weights_copied: placement.held.iter().map(bytes).sum::<u64>() + params,
    }
}

/// Where the parameters of each step lie in one buffer, and its size.
fn params_layout(steps: &[Step], alignment: u64) -> (Vec<u64>, u64) {
    let mut at = 0;
    let starts = steps.iter().map(|step| {
        let start = at;
        at += (4 * step.params.len() as u64).next_multiple_of(alignment);
        start
    });
    (starts.collect(), at)
}

/// The buffers of one run at a time, with the bindings that only concern them.
struct Arena {
    slots: Vec<Memory>,
    status: Option<Memory>,
    /// Of each step; nothing where a binding changes from run to run.
    bindings: Vec<Option<wgpu::BindGroup>>,
}

pub(crate) struct GpuExecutable {
    graph: Arc<Graph>,
    gpu: Arc<Gpu>,
    /// What the weights on the device came from: it tells them from others of the same name.
    _weights: Arc<dyn Weights>,
    plan: Plan,
    placement: Placement,
    pipelines: Vec<Arc<Pipeline>>,
    held: Vec<Arc<Memory>>,
    params: Memory,
    params_at: Vec<u64>,
    memory: MemoryPlan,
    arenas: Mutex<Vec<Arena>>,
    /// The time that one submission should take at most, in milliseconds.
    max_submission_ms: u64,
}

impl GpuExecutable {
    pub(crate) fn new(
        graph: Arc<Graph>,
        gpu: Arc<Gpu>,
        weights: Arc<dyn Weights>,
        plan: Plan,
        max_submission_ms: u64,
    ) -> Result<Self, CompileError> {
        let placement = crate::memory::place(&plan, !gpu.guards);
        let memory = memory_plan(&plan, &placement);
        let pipelines = plan.steps.iter().map(|s| gpu.pipeline(&s.shader)).collect::<Result<_, _>>()?;
        gpu.keep_pipelines();
        let held = placement
            .held
            .iter()
            .map(|&root| match &plan.storages[root].origin {
                Origin::Weight(part) => upload_weight(&gpu, &weights, part, plan.storages[root].bytes),
                Origin::Constant(at) => {
                    let memory = gpu.storage(plan.storages[root].bytes)?;
                    gpu.write(&memory, 0, &plan.constants[*at])?;
                    Ok(Arc::new(memory))
                }
                _ => Err(internal("a held storage has no source").into()),
            })
            .collect::<Result<_, CompileError>>()?;
        let alignment = u64::from(gpu.limits.min_uniform_buffer_offset_alignment).max(16);
        let (params_at, bytes) = params_layout(&plan.steps, alignment);
        let params = gpu.allocate(bytes, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST)?;
        let mut image = vec![0; bytes as usize];
        for (step, &at) in plan.steps.iter().zip(&params_at) {
            let own: &[u8] = bytemuck::cast_slice(&step.params);
            image[at as usize..at as usize + own.len()].copy_from_slice(own);
        }
        gpu.write(&params, 0, &image)?;
        gpu.queue.submit([]);
        Ok(Self {
            graph,
            gpu,
            _weights: weights,
            plan,
            placement,
            pipelines,
            held,
            params,
            params_at,
            memory,
            arenas: Mutex::default(),
            max_submission_ms,
        })
    }

    /// Gives back the buffers of runs that are over.
    pub(crate) fn trim(&self) {
        lock(&self.arenas).clear();
    }

    fn arena(&self) -> Result<Arena, DeviceError> {
        if let Some(arena) = lock(&self.arenas).pop() {
            return Ok(arena);
        }
        let slots =
            self.placement.slots.iter().map(|&b| self.gpu.storage(b)).collect::<Result<Vec<_>, _>>()?;
        let status = self.plan.status.map(|_| self.gpu.storage(4)).transpose()?;
        let mut arena = Arena { slots, status, bindings: Vec::new() };
        let bind = |at: usize| {
            let step = &self.plan.steps[at];
            let changes =
                |&root: &usize| matches!(self.placement.places[root], Place::Input(_) | Place::Output(_));
            if step.reads.iter().chain(&step.writes).any(changes) {
                return Ok(None);
            }
            self.bind(at, &arena, &[], &[]).map(Some)
        };
        let bindings = (0..self.plan.steps.len()).map(bind).collect::<Result<_, DeviceError>>()?;
        arena.bindings = bindings;
        Ok(arena)
    }

    fn bind(
        &self,
        at: usize,
        arena: &Arena,
        inputs: &[&GpuBuffer],
        outputs: &[Memory],
    ) -> Result<wgpu::BindGroup, DeviceError> {
        let step = &self.plan.steps[at];
        let mut entries = Vec::new();
        let (own, extra) = step.reads.split_at(step.shader.reads);
        let params = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.params.buffer,
            offset: self.params_at[at],
            size: std::num::NonZeroU64::new((4 * step.params.len() as u64).next_multiple_of(16)),
        });
        let storages = own.iter().chain(&step.writes).chain(extra);
        for (i, &root) in storages.enumerate() {
            if i == own.len() + step.writes.len() {
                entries.push(params.clone());
            }
            let buffer = match self.placement.places[root] {
                Place::Slot(slot) => arena.slots.get(slot).map(|m| &m.buffer),
                Place::Output(output) => outputs.get(output).map(|m| &m.buffer),
                Place::Input(input) => inputs.get(input).map(|b| &b.memory().buffer),
                Place::Held(held) => self.held.get(held).map(|m| &m.buffer),
                Place::Status => arena.status.as_ref().map(|m| &m.buffer),
            };
            let buffer = buffer.ok_or_else(|| internal("a storage has no buffer"))?;
            entries.push(buffer.as_entire_binding());
        }
        if extra.is_empty() {
            entries.push(params);
        }
        let entry = |(i, resource)| wgpu::BindGroupEntry { binding: i as u32, resource };
        let entries: Vec<_> = entries.into_iter().enumerate().map(entry).collect();
        Ok(self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(step.shader.name),
            layout: &self.pipelines[at].layout,
            entries: &entries,
        }))
    }

    fn run_in(
        &self,
        arena: &Arena,
        inputs: &[&GpuBuffer],
        control: &Control,
    ) -> Result<Vec<BufferRef>, RunError> {
        let bytes = |&root: &usize| self.plan.storages[root].bytes;
        let outputs =
            self.plan.outputs.iter().map(|r| self.gpu.storage(bytes(r))).collect::<Result<Vec<_>, _>>()?;
        if let Some(status) = &arena.status {
            self.gpu.write(status, 0, &[0; 4])?;
        }
        let mut next = 0;
        while next < self.plan.steps.len() {
            if control.is_cancelled() {
                return Err(RunError::Cancelled);
            }
            let (end, cost) = self.portion(next);
            let start = Instant::now();
            let submission = self.gpu.scoped(0, || self.submit(next..end, arena, inputs, &outputs))??;
            // One at a time: a desktop gets its turn, and cancelling is soon.
            self.gpu.wait(Some(submission))?;
            self.learn(cost, start);
            if self.gpu.guards {
                self.check_guards(next..end, arena, &outputs)?;
            }
            let last = &self.plan.steps[end - 1];
            let (count, ms) = (end - next, start.elapsed().as_secs_f64() * 1e3);
            log::trace!("{count} steps up to {} ({}) in {ms:.3} ms", last.node, last.shader.name);
            next = end;
        }
        if let (Some(status), false) = (&arena.status, control.is_cancelled()) {
            self.check_status(status)?;
        }
        let graph_outputs = self.graph.outputs().iter().map(|o| self.graph.value(o.value).desc.clone());
        let made = graph_outputs.zip(outputs);
        Ok(made
            .map(|(desc, memory)| Arc::new(GpuBuffer::new(desc, self.gpu.clone(), memory)) as BufferRef)
            .collect())
    }

    /// Whether steps wrote where they should only.
    fn check_guards(
        &self,
        steps: std::ops::Range<usize>,
        arena: &Arena,
        outputs: &[Memory],
    ) -> Result<(), DeviceError> {
        for step in &self.plan.steps[steps] {
            for &root in &step.writes {
                let memory = match self.placement.places[root] {
                    Place::Slot(slot) => arena.slots.get(slot),
                    Place::Output(output) => outputs.get(output),
                    Place::Status => arena.status.as_ref(),
                    Place::Input(_) | Place::Held(_) => None,
                };
                if let Some(memory) = memory
                    && !self.gpu.intact(memory)?
                {
                    let (kernel, node) = (step.shader.name, &step.node);
                    return Err(internal(format!(
                        "the kernel `{kernel}` of `{node}` wrote outside of its result"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The steps from one on that together stay below the time of a submission, one at least, and their cost.
    fn portion(&self, first: usize) -> (usize, u64) {
        if self.gpu.guards {
            return (first + 1, self.plan.steps[first].cost);
        }
        let pace = self.gpu.pace.load(Ordering::Relaxed);
        // Nothing is known before the first measurement: a gigabyte or -flop takes a desktop GPU some milliseconds.
        let most =
            self.max_submission_ms.saturating_mul(1_000_000_000_000).checked_div(pace).unwrap_or(1 << 30);
        let mut cost = 0u64;
        for (at, step) in self.plan.steps.iter().enumerate().skip(first) {
            if at > first && cost.saturating_add(step.cost) > most {
                return (at, cost);
            }
            cost = cost.saturating_add(step.cost);
        }
        (self.plan.steps.len(), cost)
    }

    /// Measures what a unit of cost takes, in large submissions, where starting does not count.
    fn learn(&self, cost: u64, start: Instant) {
        if cost >= 1 << 24 {
            let pace = (start.elapsed().as_nanos() as u64).saturating_mul(1_000_000) / cost;
            let before = self.gpu.pace.load(Ordering::Relaxed);
            let mixed = if before == 0 { pace } else { before / 4 * 3 + pace / 4 };
            self.gpu.pace.store(mixed.max(1), Ordering::Relaxed);
        }
    }

    fn submit(
        &self,
        steps: std::ops::Range<usize>,
        arena: &Arena,
        inputs: &[&GpuBuffer],
        outputs: &[Memory],
    ) -> Result<wgpu::SubmissionIndex, DeviceError> {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for at in steps {
                let made;
                let bindings = match &arena.bindings[at] {
                    Some(bindings) => bindings,
                    None => {
                        made = self.bind(at, arena, inputs, outputs)?;
                        &made
                    }
                };
                pass.set_pipeline(&self.pipelines[at].compute);
                pass.set_bind_group(0, bindings, &[]);
                let [x, y, z] = self.plan.steps[at].grid;
                pass.dispatch_workgroups(x, y, z);
            }
        }
        Ok(self.gpu.queue.submit([encoder.finish()]))
    }

    /// An index outside of its table names its step.
    fn check_status(&self, status: &Memory) -> Result<(), RunError> {
        let bytes = self.gpu.read(&status.buffer, 4)?;
        let code = bytes.first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b)) as usize;
        let Some(step) = code.checked_sub(1).and_then(|at| self.plan.steps.get(at)) else { return Ok(()) };
        Err(RunError::Data { node: step.node.clone(), reason: "an index lies outside the table".into() })
    }
}

impl Executable for GpuExecutable {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        self.memory
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        check_inputs(&self.graph, inputs)?;
        if control.is_cancelled() {
            return Err(RunError::Cancelled);
        }
        let own = |buffer: &BufferRef| {
            buffer.as_any().downcast_ref::<GpuBuffer>().is_some_and(|b| b.is_of(&self.gpu))
        };
        if !inputs.iter().all(own) {
            self.gpu.check()?;
            return Err(internal("an input lies on another device").into());
        }
        let inputs: Vec<&GpuBuffer> = inputs.iter().filter_map(|b| b.as_any().downcast_ref()).collect();
        let arena = self.arena()?;
        let result = self.run_in(&arena, &inputs, control);
        if self.gpu.lost().is_none() {
            lock(&self.arenas).push(arena);
        }
        result
    }
}
