//! The list of steps under construction.

use std::collections::HashMap;

use kinograph_backend::{CompileError, DeviceError, Refusal};
use kinograph_graph::{DType, Graph, Node, OpError, Source, TensorDesc, ValueId};

use super::exact::{Rows, WholeKey};
use super::weight::{Lay, WeightPart, WeightSource};
use crate::layout::{Root, View, dense_strides};
use crate::shader::{Kernel, Shader, Square, Tail, Variant};
use crate::words::device_bytes;

/// Where the elements of a storage come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// A step computes it.
    Step,
    /// An input of the graph, by position.
    Input(usize),
    /// A weight, or some of its rows.
    Weight(WeightPart),
    /// Made at compile time, by position in [`Builder::constants`].
    Constant(usize),
    /// The word in which kernels tell of data that an op does not take.
    Status,
}

/// A storage of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) bytes: u64,
    pub(crate) origin: Origin,
}

/// One dispatch.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) node: String,
    pub(crate) shader: Shader,
    pub(crate) reads: Vec<Root>,
    pub(crate) writes: Vec<Root>,
    pub(crate) params: Vec<u32>,
    pub(crate) grid: [u32; 3],
    /// What it costs: operations, and bytes moved, together.
    pub(crate) cost: u64,
}

/// Which floats are kept as `f16`, two bytes each; every kernel computes in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halves {
    /// None: the adapter has no f16.
    None,
    /// What a graph declares as f16.
    Declared,
    /// That, and what lies between the nodes of a graph of native numerics.
    All,
}

impl Halves {
    /// Whether a tensor of that type is kept so wherever it comes from, as buffers of the device are.
    pub(crate) fn of(self, declared: DType) -> bool {
        self != Self::None && declared == DType::F16
    }
}

/// What lowering must know of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    pub(crate) variant: Variant,
    /// The most bytes of one binding.
    pub(crate) binding: u64,
    /// The most storages that one kernel may bind.
    pub(crate) bindings: usize,
    /// The most workgroups along an axis.
    pub(crate) groups: u32,
    /// The cost above which a dispatch is cut into several.
    pub(crate) dispatch_cost: u64,
    /// Whether a workgroup shares one long sum. A processor that plays a graphics card pays more for its barriers than it gains.
    pub(crate) teams: bool,
    pub(crate) halves: Halves,
    /// The matrices by which products of halves are multiplied, where that was asked for: they sum in an order of their own.
    pub(crate) squares: Option<Square>,
}

/// Why a node was not lowered.
#[derive(Debug)]
pub(crate) enum LowerError {
    Refused(Refusal),
    Compile(CompileError),
}

impl From<Refusal> for LowerError {
    fn from(refusal: Refusal) -> Self {
        LowerError::Refused(refusal)
    }
}

impl From<CompileError> for LowerError {
    fn from(error: CompileError) -> Self {
        LowerError::Compile(error)
    }
}

impl From<OpError> for LowerError {
    fn from(error: OpError) -> Self {
        LowerError::Compile(DeviceError::Internal(error.to_string()).into())
    }
}

pub(crate) type Lowered = Result<(), LowerError>;

/// A refusal in words.
pub(crate) fn refused(reason: impl Into<String>) -> LowerError {
    LowerError::Refused(Refusal::Other(reason.into()))
}

/// Collects the steps of one graph.
pub(crate) struct Builder<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) traits: Traits,
    pub(crate) storages: Vec<Storage>,
    pub(crate) steps: Vec<Step>,
    /// Bytes of constants, as the device keeps them.
    pub(crate) constants: Vec<Vec<u8>>,
    pub(super) weights: WeightSource<'g>,
    views: HashMap<ValueId, View>,
    pub(super) parts: HashMap<WeightPart, Root>,
    /// Rows that were made whole numbers.
    pub(super) whole: Vec<(WholeKey, Rows)>,
    status: Option<Root>,
    /// What the kernel of the node that is being lowered does to its results; [`Tail::none`] outside of chains.
    tail: Option<Tail>,
}

/// Whether values between nodes may be halves: those of a model's graph, but not of one with reproducible numerics, whose bits are promised,
/// or of one that has no such layers, as those that move a sampler's state on.
fn keeps_halves(graph: &Graph) -> bool {
    let any = |is: fn(&str) -> bool| graph.nodes().iter().any(|node| is(node.op.name));
    any(|op| ["Attention", "Conv", "Linear", "MatMul"].contains(&op)) && !any(|op| op.starts_with("exact."))
}

impl<'g> Builder<'g> {
    pub(crate) fn new(graph: &'g Graph, weights: WeightSource<'g>, traits: Traits) -> Self {
        let halves = if traits.halves == Halves::All && !keeps_halves(graph) {
            Halves::Declared
        } else {
            traits.halves
        };
        Self {
            graph,
            traits: Traits { halves, ..traits },
            storages: Vec::new(),
            steps: Vec::new(),
            constants: Vec::new(),
            weights,
            views: HashMap::new(),
            parts: HashMap::new(),
            whole: Vec::new(),
            status: None,
            tail: None,
        }
    }

    pub(crate) fn desc(&self, id: ValueId) -> &'g TensorDesc {
        &self.graph.value(id).desc
    }

    pub(super) fn storage(&mut self, bytes: u64, origin: Origin) -> Result<Root, LowerError> {
        // Weights have rules of their own for what is larger than a binding.
        if bytes > self.traits.binding {
            return Err(refused(format!(
                "a tensor of {bytes} bytes is larger than a binding of this device, {} bytes; use smaller tiles",
                self.traits.binding
            )));
        }
        self.storages.push(Storage { bytes, origin });
        Ok(self.storages.len() - 1)
    }

    /// A value of the graph as the device keeps it.
    pub(crate) fn view(&mut self, id: ValueId) -> Result<View, LowerError> {
        if let Some(view) = self.views.get(&id) {
            return Ok(view.clone());
        }
        let desc = self.desc(id);
        let half = self.is_half(id)?;
        let bytes = device_bytes(desc.dtype, half, desc.elements());
        let root = match self.graph.value(id).source {
            Source::Weight => {
                let stored = self.stored(id)?;
                let lay = if half { Lay::Packed } else { Lay::Wide(desc.dtype) };
                let part = self.part(id, stored, lay, 0, desc.elements());
                self.part_root(part, bytes)?
            }
            Source::Input => {
                let position = self.graph.inputs().iter().position(|&i| i == id);
                self.storage(bytes, Origin::Input(position.unwrap_or_default()))?
            }
            Source::Node(_) => self.storage(bytes, Origin::Step)?,
        };
        let view = View::dense(root, desc.dtype, &desc.shape).of_halves(half);
        self.views.insert(id, view.clone());
        Ok(view)
    }

    /// Whether a value of the graph is kept as halves: what is declared so, and with [`Halves::All`] what lies between nodes that compute
    /// in f32; of weights, what is stored as it is declared.
    fn is_half(&self, id: ValueId) -> Result<bool, CompileError> {
        let (value, halves) = (self.graph.value(id), self.traits.halves);
        let declared = halves.of(value.desc.dtype);
        Ok(match value.source {
            Source::Weight => declared && self.stored(id)? == DType::F16,
            Source::Node(_) if halves == Halves::All && value.desc.dtype == DType::F32 => {
                !self.graph.outputs().iter().any(|output| output.value == id)
            }
            Source::Input | Source::Node(_) => declared,
        })
    }

    /// A value whose elements lie one after the other: itself, or a copy.
    pub(crate) fn dense(&mut self, node: &Node, id: ValueId) -> Result<View, LowerError> {
        let view = self.view(id)?;
        self.densified(node, view)
    }

    pub(crate) fn densified(&mut self, node: &Node, view: View) -> Result<View, LowerError> {
        if view.is_dense() { Ok(view) } else { self.copied(node, &view) }
    }

    fn copied(&mut self, node: &Node, view: &View) -> Result<View, LowerError> {
        let out = self.temporary(view.dtype, view.half, &view.shape)?;
        super::elementwise::copy(self, &node.name, view, &out)?;
        Ok(out)
    }

    /// The same elements under another shape, copied where they lie too far apart for it.
    pub(crate) fn reshaped(&mut self, node: &Node, view: &View, shape: &[usize]) -> Result<View, LowerError> {
        match view.reshaped(shape) {
            Some(reshaped) => Ok(reshaped),
            None => {
                let dense = self.copied(node, view)?;
                Ok(View { shape: shape.to_vec(), strides: dense_strides(shape), ..dense })
            }
        }
    }

    /// Elements that lie one after the other from the beginning of their storage: a view of such, or a copy.
    pub(crate) fn at_start(&mut self, node: &Node, view: View) -> Result<View, LowerError> {
        if view.start == 0 { self.densified(node, view) } else { self.copied(node, &view) }
    }

    /// A storage for a kernel's result that is no value of the graph.
    pub(crate) fn temporary(
        &mut self,
        dtype: DType,
        half: bool,
        shape: &[usize],
    ) -> Result<View, LowerError> {
        let elements = shape.iter().product();
        let root = self.storage(device_bytes(dtype, half, elements), Origin::Step)?;
        Ok(View::dense(root, dtype, shape).of_halves(half))
    }

    /// What was made at compile time.
    pub(crate) fn constant(
        &mut self,
        dtype: DType,
        shape: &[usize],
        mut bytes: Vec<u8>,
    ) -> Result<View, LowerError> {
        bytes.resize(bytes.len().max(4), 0);
        self.constants.push(bytes);
        let at = self.constants.len() - 1;
        let root = self.storage(self.constants[at].len() as u64, Origin::Constant(at))?;
        Ok(View::dense(root, dtype, shape))
    }

    /// The word in which kernels tell of bad data.
    pub(crate) fn status(&mut self) -> Result<Root, LowerError> {
        if let Some(root) = self.status {
            return Ok(root);
        }
        let root = self.storage(4, Origin::Status)?;
        self.status = Some(root);
        Ok(root)
    }

    pub(crate) fn status_root(&self) -> Option<Root> {
        self.status
    }

    /// Says that a value of the graph is that view.
    pub(crate) fn set(&mut self, id: ValueId, view: View) {
        self.views.insert(id, view);
    }

    /// The workgroups for so many units, in two axes where one is too short.
    pub(crate) fn grid(&self, units: usize) -> Result<[u32; 3], LowerError> {
        let most = self.traits.groups as usize;
        let rows = units.div_ceil(most).max(1);
        if rows > most {
            return Err(refused("more workgroups than the device takes"));
        }
        Ok([units.div_ceil(rows).max(1) as u32, rows as u32, 1])
    }

    /// Lowers the head of a chain with the rest of the chain as its tail.
    pub(crate) fn with_tail(&mut self, tail: Tail, lower: impl FnOnce(&mut Self) -> Lowered) -> Lowered {
        self.tail = Some(tail);
        let before = self.steps.len();
        let lowered = lower(self);
        self.tail = None;
        // A rule that took another way would leave the chain out.
        let taken = self.steps[before..].iter().any(|step| step.shader.finishes);
        match lowered {
            Ok(()) if !taken => Err(OpError::invalid("the chain behind the node was not taken").into()),
            lowered => lowered,
        }
    }

    /// A kernel that takes the tail of the chain, with its parameters and what it reads.
    pub(crate) fn finished(
        &self,
        kernel: Kernel,
        declarations: &[String],
        params: &mut Vec<u32>,
        reads: &mut Vec<Root>,
    ) -> Shader {
        let none = Tail::none();
        let tail = self.tail.as_ref().unwrap_or(&none);
        // The struct of the tail's parameters is aligned to 16 bytes.
        params.resize(params.len().next_multiple_of(4), 0);
        params.extend(&tail.params);
        reads.extend(&tail.reads);
        kernel.finished(declarations, self.traits.variant, tail)
    }

    /// Adds a step, unless it has nothing to do.
    pub(crate) fn step(
        &mut self,
        node: &Node,
        shader: Shader,
        reads: Vec<Root>,
        writes: Vec<Root>,
        params: Vec<u32>,
        grid: [u32; 3],
    ) -> Lowered {
        if grid.iter().any(|&g| g > self.traits.groups) {
            return Err(refused("more workgroups than the device takes"));
        }
        let moved = reads.iter().chain(&writes).map(|&r| self.storages[r].bytes).sum::<u64>();
        let cost = moved.saturating_add(self.graph.node_flops(node));
        self.steps.push(Step { node: node.name.clone(), shader, reads, writes, params, grid, cost });
        Ok(())
    }

    /// Adds a step that is cut along one axis of its grid where it would take long; the parameter at `base` becomes the first group.
    pub(crate) fn step_cut(&mut self, node: &Node, step: Step, axis: usize, base: usize) -> Lowered {
        let pieces =
            step.cost.div_ceil(self.traits.dispatch_cost.max(1)).clamp(1, u64::from(step.grid[axis].max(1)));
        let pieces = pieces.max(u64::from(step.grid[axis].div_ceil(self.traits.groups)));
        let each = u64::from(step.grid[axis]).div_ceil(pieces).max(1) as u32;
        for first in (0..step.grid[axis]).step_by(each as usize) {
            let mut piece = step.clone();
            piece.grid[axis] = each.min(step.grid[axis] - first);
            piece.params[base] = first;
            piece.cost = step.cost / pieces;
            if piece.grid.iter().any(|&g| g > self.traits.groups) {
                return Err(refused(format!("`{}` needs more workgroups than the device takes", node.name)));
            }
            self.steps.push(piece);
        }
        Ok(())
    }
}

/// An input that the op table requires.
pub(crate) fn input(node: &Node, i: usize) -> Result<ValueId, OpError> {
    node.input(i).ok_or_else(|| OpError::invalid(format!("input {i} is missing")))
}
