//! The list of steps under construction.

use std::collections::HashMap;

use kinograph_backend::{CompileError, DeviceError, Refusal, StoredTypes, Weights, check_weight};
use kinograph_graph::exact::Slices;
use kinograph_graph::{DType, Graph, Node, OpError, Source, TensorDesc, ValueId};

use super::exact::{Form, Rows, WholeKey};
use crate::layout::{Root, View};
use crate::shader::{Kernel, Shader, Tail, Variant};
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

/// Rows of a weight, and how they lie on the device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WeightPart {
    pub(crate) name: String,
    /// The type in the weight's file.
    pub(crate) stored: DType,
    /// The first byte in the file's tensor, and how many.
    pub(crate) first: usize,
    pub(crate) bytes: usize,
    pub(crate) lay: Lay,
}

/// How the elements of a weight lie on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lay {
    /// Each widened to its words.
    Wide,
    /// As in the file.
    Packed,
    /// As in the file, but with so many last elements, the taps of a convolution, first: each tap of all channels together.
    ByTap(usize),
    /// As whole numbers.
    Whole(WholeWeight),
}

/// A weight of which each row of the first axis is in whole numbers: `[taps, rows, width]`, two bytes each, and behind them the units of
/// the rows. With [`Form::Halves`] that once for each slice, with room for [`BEYOND`](super::exact::BEYOND) more rows, and exponents for units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WholeWeight {
    pub(crate) slices: Slices,
    pub(crate) channels: usize,
    pub(crate) taps: usize,
    /// The channels that are summed together; each chunk of them is padded to a multiple of eight.
    pub(crate) chunk: usize,
    pub(crate) form: Form,
}

impl WholeWeight {
    /// Where a channel stands in a row.
    pub(crate) fn position(&self, channel: usize) -> usize {
        channel / self.chunk * self.chunk.next_multiple_of(8) + channel % self.chunk
    }

    /// The elements of a row of one tap.
    pub(crate) fn width(&self) -> usize {
        self.channels
            .checked_sub(1)
            .map_or(0, |last| self.position(last) + 1)
            .next_multiple_of(self.form.step())
    }

    /// The word at which the units of so many rows begin.
    pub(crate) fn units(&self, rows: usize) -> usize {
        self.form.words(self.slices, rows * self.taps, self.width())
    }
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
}

/// Where a lowering learns of weights.
#[derive(Clone, Copy)]
pub(crate) enum WeightSource<'g> {
    Bytes(&'g dyn Weights),
    Types(StoredTypes<'g>),
    /// Nowhere: each is taken to be stored in the type that the graph declares.
    Declared,
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
    weights: WeightSource<'g>,
    views: HashMap<ValueId, View>,
    parts: HashMap<WeightPart, Root>,
    /// Rows that were made whole numbers.
    pub(super) whole: Vec<(WholeKey, Rows)>,
    status: Option<Root>,
    /// What the kernel of the node that is being lowered does to its results; [`Tail::none`] outside of chains.
    tail: Option<Tail>,
}

impl<'g> Builder<'g> {
    pub(crate) fn new(graph: &'g Graph, weights: WeightSource<'g>, traits: Traits) -> Self {
        Self {
            graph,
            traits,
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

    fn storage(&mut self, bytes: u64, origin: Origin) -> Result<Root, LowerError> {
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

    /// A value of the graph, in words.
    pub(crate) fn view(&mut self, id: ValueId) -> Result<View, LowerError> {
        if let Some(view) = self.views.get(&id) {
            return Ok(view.clone());
        }
        let desc = self.desc(id);
        let bytes = device_bytes(desc.dtype, desc.elements());
        let root = match self.graph.value(id).source {
            Source::Weight => {
                let stored = self.stored(id)?;
                let part = self.part(id, stored, Lay::Wide, 0, desc.elements());
                self.part_root(part, bytes)?
            }
            Source::Input => {
                let position = self.graph.inputs().iter().position(|&i| i == id);
                self.storage(bytes, Origin::Input(position.unwrap_or_default()))?
            }
            Source::Node(_) => self.storage(bytes, Origin::Step)?,
        };
        let view = View::dense(root, desc.dtype, &desc.shape);
        self.views.insert(id, view.clone());
        Ok(view)
    }

    /// The type that a weight is stored in.
    fn stored(&self, id: ValueId) -> Result<DType, CompileError> {
        let name = &self.graph.value(id).name;
        match self.weights {
            WeightSource::Declared => Ok(self.desc(id).dtype),
            WeightSource::Bytes(weights) => Ok(check_weight(weights, name, self.desc(id))?.dtype),
            WeightSource::Types(stored) => {
                stored(name).ok_or_else(|| CompileError::MissingWeight(name.clone()))
            }
        }
    }

    fn part(&self, id: ValueId, stored: DType, lay: Lay, first: usize, elements: usize) -> WeightPart {
        let name = self.graph.value(id).name.clone();
        let (first, bytes) = (first * stored.size(), elements * stored.size());
        WeightPart { name, stored, first, bytes, lay }
    }

    fn part_root(&mut self, part: WeightPart, bytes: u64) -> Result<Root, LowerError> {
        if let Some(&root) = self.parts.get(&part) {
            return Ok(root);
        }
        let root = self.storage(bytes, Origin::Weight(part.clone()))?;
        self.parts.insert(part, root);
        Ok(root)
    }

    /// A float operand for a kernel that reads packed weights: in one part, or as many as its bindings need, each of
    /// whole rows of the first axis, with the first row of each.
    pub(crate) fn packed(&mut self, id: ValueId) -> Result<Vec<(View, usize)>, LowerError> {
        self.packed_by_tap(id, 1)
    }

    /// Whether [`packed`](Self::packed) gives what lies as in a file.
    pub(crate) fn is_packed(&self, id: ValueId) -> Result<bool, LowerError> {
        let weight = self.graph.value(id).source == Source::Weight && self.desc(id).dtype == DType::F32;
        Ok(weight && self.stored(id)?.is_float())
    }

    /// The same with so many taps, the last axes, before all else in each part, where the weight lies as in a file.
    pub(crate) fn packed_by_tap(
        &mut self,
        id: ValueId,
        taps: usize,
    ) -> Result<Vec<(View, usize)>, LowerError> {
        let desc = self.desc(id);
        if !self.is_packed(id)? {
            return Ok(vec![(self.view(id)?, 0)]);
        }
        let stored = self.stored(id)?;
        let lay = if taps > 1 { Lay::ByTap(taps) } else { Lay::Packed };
        let row = desc.elements() / desc.shape.first().copied().unwrap_or(1).max(1);
        let parts = self.by_rows(id, lay, |count| (count * row * stored.size()).max(1) as u64)?;
        let view = |(root, first, count): (Root, usize, usize)| {
            let mut shape = desc.shape.clone();
            if let Some(rows) = shape.first_mut() {
                *rows = count;
            }
            (View { packed: Some(stored), ..View::dense(root, DType::F32, &shape) }, first)
        };
        Ok(parts.into_iter().map(view).collect())
    }

    /// A weight as whole numbers, in as many parts as its bindings need, with the first row of each and how many there are.
    pub(crate) fn whole_weight(
        &mut self,
        id: ValueId,
        whole: WholeWeight,
    ) -> Result<Vec<(Root, usize, usize)>, LowerError> {
        self.by_rows(id, Lay::Whole(whole), |count| 4 * (whole.units(count) + count) as u64)
    }

    /// A weight in parts of whole rows of the first axis, each no larger than a binding: the storage of each, its first row and how many.
    /// `bytes` says what so many rows take on the device.
    fn by_rows(
        &mut self,
        id: ValueId,
        lay: Lay,
        bytes: impl Fn(usize) -> u64,
    ) -> Result<Vec<(Root, usize, usize)>, LowerError> {
        let desc = self.desc(id);
        let stored = self.stored(id)?;
        let rows = desc.shape.first().copied().unwrap_or(1).max(1);
        let row = desc.elements() / rows;
        // Beside its rows a part may have something of one size, and less than 16 bytes to the end of a word.
        let one = bytes(2) - bytes(1);
        let beside = bytes(1) - one;
        let most = (self.traits.binding.saturating_sub(16 + beside) / one.max(1)).max(1) as usize;
        let mut parts = Vec::new();
        for first in (0..rows).step_by(most) {
            let count = most.min(rows - first);
            let part = self.part(id, stored, lay, first * row, count * row);
            let root = self.part_root(part, bytes(count).next_multiple_of(16))?;
            parts.push((root, first, count));
        }
        Ok(parts)
    }

    /// A value whose elements lie one after the other: itself, or a copy.
    pub(crate) fn dense(&mut self, node: &Node, id: ValueId) -> Result<View, LowerError> {
        let view = self.view(id)?;
        self.densified(node, view)
    }

    pub(crate) fn densified(&mut self, node: &Node, view: View) -> Result<View, LowerError> {
        if view.is_dense() {
            return Ok(view);
        }
        let out = self.temporary(view.dtype, &view.shape)?;
        super::elementwise::copy(self, &node.name, &view, &out)?;
        Ok(out)
    }

    /// A storage for a kernel's result that is no value of the graph.
    pub(crate) fn temporary(&mut self, dtype: DType, shape: &[usize]) -> Result<View, LowerError> {
        let elements = shape.iter().product();
        let root = self.storage(device_bytes(dtype, elements), Origin::Step)?;
        Ok(View::dense(root, dtype, shape))
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
