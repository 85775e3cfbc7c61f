//! The compiled graph, and its runs.

use std::sync::Arc;
use std::time::Instant;

use kinograph_backend::{
    BufferRef, CompileError, Control, DeviceError, Executable, MemoryPlan, RunError, Weights, check_inputs,
};
use kinograph_graph::{DType, Graph};

use crate::lower::{Lowered, Mapped, Origin, Val, Value};
use crate::memory::{Arenas, Bytes, Constant, CpuBuffer, LINE, Spares, View};
use crate::plan::{Place, Plan, plan};
use crate::run::{Fault, Io, Kernel, Run};
use crate::simd::Level;

/// An operand of a step: its type, place and size.
#[derive(Clone, Copy, Debug)]
struct Operand {
    dtype: DType,
    place: Place,
    bytes: usize,
}

struct Step {
    node: String,
    kernel: Box<dyn Kernel>,
    inputs: Vec<Operand>,
    outputs: Vec<Operand>,
    in_place: Option<usize>,
    /// Inputs of the graph that it is the last to read.
    frees: Vec<usize>,
}

impl Lowered {
    /// Where every value lives, and what a run with so many threads needs; weights of these names were made for it.
    pub(crate) fn plan(&self, threads: usize, made: &[String]) -> (Plan, MemoryPlan) {
        let plan = plan(&self.values, &self.steps, &self.outputs);
        let read = |own: bool| -> u64 {
            self.mapped.iter().filter(|m| made.contains(&m.name) == own).map(|m| m.bytes as u64).sum()
        };
        let memory = MemoryPlan {
            run: (plan.arena + plan.outputs.iter().sum::<usize>() + self.scratch() * threads) as u64,
            reused: self.reused(&plan) as u64,
            weights_in_place: read(false),
            weights_copied: self.copied + read(true),
        };
        (plan, memory)
    }

    /// The inputs of the graph that no step reads, and for each step those that it is the last to read. None of them is an
    /// output too.
    fn frees(&self, plan: &Plan) -> (Vec<usize>, Vec<Vec<usize>>) {
        let input = |val: &Val| match plan.places[*val] {
            Place::Input(i, _) => Some(i),
            _ => None,
        };
        let kept: Vec<usize> = self.outputs.iter().filter_map(input).collect();
        let mut unread: Vec<usize> = (0..self.inputs().count()).filter(|i| !kept.contains(i)).collect();
        let mut frees = vec![Vec::new(); self.steps.len()];
        for (step, frees) in self.steps.iter().zip(&mut frees).rev() {
            let read: Vec<usize> = step.inputs.iter().filter_map(input).collect();
            *frees = unread.extract_if(.., |i| read.contains(i)).collect();
        }
        (unread, frees)
    }

    /// The bytes of the inputs of the graph, in their order.
    fn inputs(&self) -> impl Iterator<Item = usize> {
        self.values.iter().filter(|value| matches!(value.origin, Origin::Input(_))).map(|value| value.bytes)
    }

    /// How much of the outputs finds room in inputs that are given away, when the outputs are largest.
    fn reused(&self, plan: &Plan) -> usize {
        let inputs: Vec<usize> = self.inputs().collect();
        let bytes = |freed: &Vec<usize>| freed.iter().map(|&i| inputs[i]).sum::<usize>() as isize;
        let (unread, frees) = self.frees(plan);
        let mut made = vec![false; plan.outputs.len()];
        let (mut held, mut most) = (-bytes(&unread), 0);
        for (step, freed) in self.steps.iter().zip(&frees) {
            for &out in &step.outputs {
                if let Place::Output(n, _) = plan.places[out]
                    && !std::mem::replace(&mut made[n], true)
                {
                    held += plan.outputs[n] as isize;
                }
            }
            most = most.max(held);
            held -= bytes(freed);
        }
        plan.outputs.iter().sum::<usize>() - most as usize
    }

    /// The most bytes of scratch that a step needs in one thread.
    fn scratch(&self) -> usize {
        self.steps.iter().map(|s| s.kernel.scratch()).max().unwrap_or(0) * size_of::<f32>()
    }
}

/// The threads that the executables of one device share.
#[derive(Clone)]
pub(crate) struct Workers {
    pub(crate) level: Level,
    pub(crate) threads: usize,
    /// None for a single thread: the caller's.
    pub(crate) pool: Option<Arc<rayon::ThreadPool>>,
    pub(crate) arenas: Arc<Arenas>,
    /// Memory of outputs that nobody holds any more.
    pub(crate) spares: Arc<Spares>,
}

pub(crate) struct CpuExecutable {
    graph: Arc<Graph>,
    /// Dropped before the weights: the address of a weight stands for what is packed of it as long as that lives.
    constants: Vec<Constant>,
    weights: Arc<dyn Weights>,
    workers: Workers,
    steps: Vec<Step>,
    mapped: Vec<Mapped>,
    /// Inputs of the graph that no step reads.
    unread: Vec<usize>,
    /// For each output of the graph, where its elements are after the last step.
    results: Vec<Operand>,
    arena_bytes: usize,
    output_bytes: Vec<usize>,
    memory: MemoryPlan,
}

impl CpuExecutable {
    pub(crate) fn new(
        graph: Arc<Graph>,
        weights: Arc<dyn Weights>,
        workers: Workers,
        lowered: Lowered,
        made: &[String],
    ) -> Result<Self, CompileError> {
        let (plan, memory) = lowered.plan(workers.threads, made);
        probe(lowered.scratch())?;
        let (unread, frees) = lowered.frees(&plan);
        let Lowered { values, steps, constants, mapped, outputs, .. } = lowered;
        let operand = |values: &[Value], val: Val| Operand {
            dtype: values[val].dtype,
            place: plan.places[val],
            bytes: values[val].bytes,
        };
        let results = outputs.iter().map(|&val| operand(&values, val)).collect();
        let steps = steps
            .into_iter()
            .zip(&plan.in_place)
            .zip(frees)
            .map(|((step, &in_place), frees)| Step {
                inputs: step.inputs.iter().map(|&val| operand(&values, val)).collect(),
                outputs: step.outputs.iter().map(|&val| operand(&values, val)).collect(),
                node: step.node,
                kernel: step.kernel,
                in_place,
                frees,
            })
            .collect();
        Ok(Self {
            graph,
            weights,
            workers,
            steps,
            mapped,
            unread,
            constants,
            results,
            arena_bytes: plan.arena,
            output_bytes: plan.outputs,
            memory,
        })
    }

    /// The weights that are read in place, as slices. They are asked for anew in each run, as an
    /// executable cannot hold references into what it owns.
    fn mapped_bytes(&self) -> Result<Vec<&[u8]>, DeviceError> {
        let find = |m: &Mapped| {
            let view = self.weights.get(&m.name)?;
            let aligned = (view.bytes.as_ptr() as usize).is_multiple_of(m.dtype.size());
            (view.dtype == m.dtype && view.bytes.len() == m.bytes && aligned).then_some(view.bytes)
        };
        self.mapped
            .iter()
            .map(|m| {
                find(m).ok_or_else(|| {
                    DeviceError::Internal(format!(
                        "the weight `{}` changed after the graph was compiled",
                        m.name
                    ))
                })
            })
            .collect()
    }

    fn run_steps(&self, inputs: Vec<BufferRef>, control: &Control) -> Result<Vec<BufferRef>, RunError> {
        let run = Run { level: self.workers.level, threads: self.workers.threads, control };
        let mut state = State {
            inputs: inputs.into_iter().map(Some).collect(),
            weights: self.mapped_bytes()?,
            constants: &self.constants,
            arena: self.workers.arenas.take(self.arena_bytes)?,
            outputs: self.output_bytes.iter().map(|_| Bytes::empty()).collect(),
        };
        self.unread.iter().for_each(|&i| state.inputs[i] = None);
        let done = self.steps.iter().try_for_each(|step| {
            if control.is_cancelled() {
                return Err(RunError::Cancelled);
            }
            self.make_room(step, &mut state.outputs)?;
            let start = log::log_enabled!(log::Level::Trace).then(Instant::now);
            let result = state.step(&run, step);
            if let Some(start) = start {
                log::trace!("{:9.3} ms {}", start.elapsed().as_secs_f64() * 1e3, step.node);
            }
            step.frees.iter().for_each(|&i| state.inputs[i] = None);
            result.map_err(|fault| match fault {
                Fault::Cancelled => RunError::Cancelled,
                Fault::Data(reason) => RunError::Data { node: step.node.clone(), reason },
            })
        });
        let results = done.and_then(|()| self.collect(&mut state));
        self.workers.arenas.give_back(state.arena);
        results
    }

    /// Allocates the outputs of the graph that a step is the first to write.
    fn make_room(&self, step: &Step, outputs: &mut [Bytes]) -> Result<(), DeviceError> {
        for operand in &step.outputs {
            if let Place::Output(n, _) = operand.place
                && outputs[n].len() < self.output_bytes[n]
            {
                outputs[n] = self.workers.spares.take(self.output_bytes[n])?;
            }
        }
        Ok(())
    }

    /// Makes the buffers of the graph's outputs: own buffers are handed over, the rest is copied.
    fn collect(&self, state: &mut State<'_>) -> Result<Vec<BufferRef>, RunError> {
        let copied: Vec<Option<Bytes>> = self
            .results
            .iter()
            .enumerate()
            .map(|(i, operand)| match operand.place {
                Place::Output(_, 0) if self.owner(i, operand) => Ok(None),
                _ => Bytes::copy_of(state.view(operand).bytes).map(Some),
            })
            .collect::<Result<_, _>>()?;
        let outputs = self.graph.outputs().iter().zip(&self.results).zip(copied);
        outputs
            .map(|((output, operand), copied)| {
                let bytes = match (copied, operand.place) {
                    (Some(bytes), _) => bytes,
                    (None, Place::Output(n, _)) => std::mem::replace(&mut state.outputs[n], Bytes::empty()),
                    (None, _) => return Err(DeviceError::Internal("an output has no place".into()).into()),
                };
                let desc = self.graph.value(output.value).desc.clone();
                Ok(Arc::new(CpuBuffer::made(desc, bytes, &self.workers.spares)) as BufferRef)
            })
            .collect()
    }

    /// Whether an output is the first that takes over its own buffer, which is of its size.
    fn owner(&self, i: usize, operand: &Operand) -> bool {
        let fits = |o: &Operand| matches!(o.place, Place::Output(n, 0) if self.output_bytes[n] == o.bytes);
        fits(operand)
            && !self.results[..i].iter().any(|earlier| fits(earlier) && earlier.place == operand.place)
    }
}

impl Executable for CpuExecutable {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn memory(&self) -> MemoryPlan {
        self.memory
    }

    fn run(&self, inputs: &[BufferRef], control: &Control) -> Result<Vec<BufferRef>, RunError> {
        self.run_owned(inputs.to_vec(), control)
    }

    fn run_owned(&self, inputs: Vec<BufferRef>, control: &Control) -> Result<Vec<BufferRef>, RunError> {
        check_inputs(&self.graph, &inputs)?;
        if !inputs.iter().all(|buffer| buffer.as_any().is::<CpuBuffer>()) {
            return Err(DeviceError::Internal("an input lies on another device".into()).into());
        }
        match &self.workers.pool {
            Some(pool) => pool.install(|| self.run_steps(inputs, control)),
            None => self.run_steps(inputs, control),
        }
    }
}

/// Asks for so many bytes and gives them back: scratch memory grows while a kernel runs, where running out could
/// not be reported, and absurd sizes show here.
fn probe(bytes: usize) -> Result<(), DeviceError> {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| DeviceError::OutOfMemory { bytes: bytes as u64 })
}

/// The elements of an input of the graph, of which [`Executable::run_owned`] has seen that it is this device's.
fn given(inputs: &[Option<BufferRef>], i: usize) -> &[u8] {
    let buffer = inputs[i].as_ref().and_then(|buffer| buffer.as_any().downcast_ref::<CpuBuffer>());
    buffer.map_or(&[], CpuBuffer::bytes)
}

/// The memory of one run.
struct State<'a> {
    /// Until the last step that reads them.
    inputs: Vec<Option<BufferRef>>,
    weights: Vec<&'a [u8]>,
    constants: &'a [Constant],
    arena: Bytes,
    outputs: Vec<Bytes>,
}

impl State<'_> {
    /// The elements of an operand while no step runs.
    fn view(&self, operand: &Operand) -> View<'_> {
        let (bytes, start) = match operand.place {
            Place::Input(i, start) => (given(&self.inputs, i), start),
            Place::Weight(i, start) => (self.weights[i], start),
            Place::Constant(i, start) => ((*self.constants[i]).as_ref(), start),
            Place::Output(i, start) => (self.outputs[i].as_slice(), start),
            Place::Arena(start) => (self.arena.as_slice(), start),
        };
        View { dtype: operand.dtype, bytes: &bytes[start..start + operand.bytes] }
    }

    fn step(&mut self, run: &Run<'_>, step: &Step) -> Result<(), Fault> {
        // Own buffers that the step writes are taken out, so that the others can be read.
        let mut taken: Vec<(usize, Bytes)> = Vec::new();
        for operand in &step.outputs {
            if let Place::Output(n, _) = operand.place {
                taken.push((n, std::mem::replace(&mut self.outputs[n], Bytes::empty())));
            }
        }
        let result = {
            let (gaps, written) = divide(self.arena.as_mut_slice(), &step.outputs);
            let sources = Sources {
                inputs: &self.inputs,
                weights: &self.weights,
                constants: self.constants,
                gaps: &gaps,
                outputs: &self.outputs,
            };
            let inputs: Vec<View<'_>> = step
                .inputs
                .iter()
                .enumerate()
                .map(|(i, operand)| match step.in_place {
                    Some(own) if own == i => View { dtype: operand.dtype, bytes: &[] },
                    _ => sources.view(operand),
                })
                .collect();
            let mut own = taken.iter_mut().map(|(_, bytes)| bytes.as_mut_slice());
            let mut outputs: Vec<&mut [u8]> =
                written.into_iter().map(|w| w.or_else(|| own.next()).unwrap_or_default()).collect();
            let io = Io { inputs: &inputs, outputs: &mut outputs, in_place: step.in_place };
            step.kernel.run(run, io)
        };
        for (n, bytes) in taken {
            self.outputs[n] = bytes;
        }
        result
    }
}

/// Everything that a step may read.
struct Sources<'a> {
    inputs: &'a [Option<BufferRef>],
    weights: &'a [&'a [u8]],
    constants: &'a [Constant],
    /// The arena without what the step writes, each part with its offset.
    gaps: &'a [(usize, &'a [u8])],
    outputs: &'a [Bytes],
}

impl<'a> Sources<'a> {
    fn view(&self, operand: &Operand) -> View<'a> {
        let (bytes, start) = match operand.place {
            Place::Input(i, start) => (given(self.inputs, i), start),
            Place::Weight(i, start) => (self.weights[i], start),
            Place::Constant(i, start) => ((*self.constants[i]).as_ref(), start),
            Place::Output(i, start) => (self.outputs[i].as_slice(), start),
            Place::Arena(start) => {
                let after = self.gaps.partition_point(|(offset, _)| *offset <= start);
                match after.checked_sub(1).map(|i| self.gaps[i]) {
                    Some((offset, gap)) if operand.bytes > 0 => (gap, start - offset),
                    _ => (&[][..], 0),
                }
            }
        };
        View { dtype: operand.dtype, bytes: &bytes[start..start + operand.bytes] }
    }
}

/// Divides the arena into the parts that a step writes, in the order of its outputs (`None` for
/// those outside the arena), and the parts between them.
#[allow(clippy::type_complexity)]
fn divide<'a>(
    arena: &'a mut [u8],
    outputs: &[Operand],
) -> (Vec<(usize, &'a [u8])>, Vec<Option<&'a mut [u8]>>) {
    let mut order: Vec<(usize, usize)> = outputs
        .iter()
        .enumerate()
        .filter_map(|(i, operand)| match operand.place {
            Place::Arena(start) => Some((start, i)),
            _ => None,
        })
        .collect();
    order.sort_unstable();
    let mut written: Vec<Option<&mut [u8]>> = outputs.iter().map(|_| None).collect();
    let mut gaps: Vec<(usize, &[u8])> = Vec::with_capacity(order.len() + 1);
    let (mut rest, mut at) = (arena, 0);
    for (start, i) in order {
        if outputs[i].bytes == 0 {
            written[i] = Some(&mut []);
            continue;
        }
        let (gap, tail) = rest.split_at_mut(start - at);
        let (own, tail) = tail.split_at_mut(outputs[i].bytes);
        gaps.push((at, gap));
        written[i] = Some(own);
        (rest, at) = (tail, start + outputs[i].bytes);
    }
    gaps.push((at, rest));
    (gaps, written)
}

// Offsets in the arena are multiples of a line, so that every type is aligned there.
const _: () = assert!(LINE.is_multiple_of(8));
