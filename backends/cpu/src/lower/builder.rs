//! The list of steps under construction: values, constants, and what converts between types.

use std::collections::HashMap;
use std::sync::Arc;

use kinograph_backend::{CompileError, DeviceError, Refusal, StoredTypes, Weights, check_weight};
use kinograph_graph::{DType, Graph, Node, Source, TensorDesc, ValueId};

use super::folded::Folded;
use super::packed::PackedWeights;
use crate::kernels::elementwise::{Op, Program};
use crate::kernels::exact::Precision;
use crate::layout::dense_strides;
use crate::memory::{Bytes, Constant, convert_floats};
use crate::run::Kernel;

/// A value of the plan.
pub(crate) type Val = usize;

/// What is known of a value of the plan.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) dtype: DType,
    pub(crate) bytes: usize,
    pub(crate) origin: Origin,
}

/// Where a value of the plan lives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Origin {
    /// A step computes it.
    Step,
    /// An input of the graph, by position.
    Input(usize),
    /// A weight read in place, by position in [`Builder::mapped`].
    Weight(usize),
    /// A copy made at compile time, by position in [`Builder::constants`].
    Constant(usize),
    /// Part of another value, from that byte on.
    Alias { of: Val, offset: usize },
}

/// One kernel with its operands.
pub(crate) struct Step {
    pub(crate) node: String,
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) inputs: Vec<Val>,
    pub(crate) outputs: Vec<Val>,
}

/// A weight that is read where the caller has it.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) bytes: usize,
}

/// Where a lowering learns of weights.
#[derive(Clone, Copy)]
pub(crate) enum WeightSource<'g> {
    /// From the weights themselves.
    Bytes(&'g dyn Weights),
    /// From their types alone: for plans. What would be copied is counted instead.
    Types(StoredTypes<'g>),
}

/// Collects the steps of one graph.
pub(crate) struct Builder<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) values: Vec<Value>,
    pub(crate) steps: Vec<Step>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) mapped: Vec<Mapped>,
    /// Bytes of all constants, with those that a plan only counts.
    pub(crate) copied: u64,
    pub(super) weights: WeightSource<'g>,
    pub(super) packed: &'g PackedWeights,
    pub(super) folded: Folded,
    /// Values whose rows of a length are there in pairs, with their units.
    pub(super) whole: HashMap<(Val, usize, Precision), (Val, Val)>,
    of_graph: Vec<Option<Val>>,
    /// Weights by graph value and the type that they are given in.
    of_weight: HashMap<(ValueId, DType), Val>,
    widened: HashMap<Val, Val>,
}

impl<'g> Builder<'g> {
    pub(crate) fn new(graph: &'g Graph, weights: WeightSource<'g>, packed: &'g PackedWeights) -> Self {
        let mut builder = Self {
            graph,
            values: Vec::new(),
            steps: Vec::new(),
            constants: Vec::new(),
            mapped: Vec::new(),
            copied: 0,
            weights,
            packed,
            folded: Folded::of(graph),
            whole: HashMap::new(),
            of_graph: vec![None; graph.values().len()],
            of_weight: HashMap::new(),
            widened: HashMap::new(),
        };
        for (i, &id) in graph.inputs().iter().enumerate() {
            let desc = &graph.value(id).desc;
            let val = builder.add(desc.dtype, desc.bytes(), Origin::Input(i));
            builder.of_graph[id.index()] = Some(val);
        }
        builder
    }

    /// The type and shape of a value of the graph.
    pub(crate) fn desc(&self, id: ValueId) -> &'g TensorDesc {
        &self.graph.value(id).desc
    }

    /// Adds a value.
    pub(crate) fn add(&mut self, dtype: DType, bytes: usize, origin: Origin) -> Val {
        self.values.push(Value { dtype, bytes, origin });
        self.values.len() - 1
    }

    /// A value for a kernel's result that is not one of the graph's.
    pub(crate) fn temporary(&mut self, dtype: DType, elements: usize) -> Val {
        self.add(dtype, elements * dtype.size(), Origin::Step)
    }

    /// A value of the graph in its declared type.
    pub(crate) fn value(&mut self, id: ValueId) -> Result<Val, CompileError> {
        if self.graph.value(id).source == Source::Weight {
            return self.weight_as(id, self.desc(id).dtype);
        }
        Ok(self.made(id))
    }

    /// The place of what a node makes.
    pub(crate) fn made(&mut self, id: ValueId) -> Val {
        if let Some(val) = self.of_graph[id.index()] {
            return val;
        }
        let desc = self.desc(id);
        let val = self.add(desc.dtype, desc.bytes(), Origin::Step);
        self.of_graph[id.index()] = Some(val);
        val
    }

    /// Says that a graph value is part of another value of the plan.
    pub(crate) fn alias(&mut self, id: ValueId, of: Val, offset: usize) {
        let desc = self.desc(id);
        let val = self.add(desc.dtype, desc.bytes(), Origin::Alias { of, offset });
        self.of_graph[id.index()] = Some(val);
    }

    /// A float value in whatever float type it is stored in when it is a weight, else as `f32`.
    /// For kernels that widen weights piece by piece.
    pub(crate) fn stored(&mut self, id: ValueId) -> Result<Val, CompileError> {
        if self.graph.value(id).source != Source::Weight {
            return self.f32(id);
        }
        let dtype = self.stored_type(id)?;
        self.weight_as(id, dtype)
    }

    /// The type that a weight is stored in.
    fn stored_type(&self, id: ValueId) -> Result<DType, CompileError> {
        let name = &self.graph.value(id).name;
        match self.weights {
            WeightSource::Bytes(weights) => Ok(check_weight(weights, name, self.desc(id))?.dtype),
            WeightSource::Types(stored) => {
                stored(name).ok_or_else(|| CompileError::MissingWeight(name.clone()))
            }
        }
    }

    /// A float or bool value as `f32`.
    pub(crate) fn f32(&mut self, id: ValueId) -> Result<Val, CompileError> {
        if self.graph.value(id).source == Source::Weight {
            return self.weight_as(id, DType::F32);
        }
        let val = self.made(id);
        let dtype = self.values[val].dtype;
        if dtype == DType::F32 {
            return Ok(val);
        }
        if let Some(&known) = self.widened.get(&val) {
            return Ok(known);
        }
        let elements = self.desc(id).elements();
        let wide = self.temporary(DType::F32, elements);
        self.convert(val, wide, elements);
        self.widened.insert(val, wide);
        Ok(wide)
    }

    /// A step that converts between float types.
    fn convert(&mut self, from: Val, to: Val, elements: usize) {
        let shape = [elements];
        let input = (self.values[from].dtype, dense_strides(&shape));
        let kernel = Program::new(&shape, self.values[to].dtype, &[input], &[(Op::Copy, vec![0])]);
        let node = "conversion".to_owned();
        self.steps.push(Step { node, kernel: Box::new(kernel), inputs: vec![from], outputs: vec![to] });
    }

    fn weight_as(&mut self, id: ValueId, dtype: DType) -> Result<Val, CompileError> {
        if let Some(&known) = self.of_weight.get(&(id, dtype)) {
            return Ok(known);
        }
        let bytes = self.desc(id).with_dtype(dtype).bytes();
        let origin = match self.copy_of_weight(id, dtype)? {
            None => {
                self.mapped.push(Mapped { name: self.graph.value(id).name.clone(), dtype, bytes });
                Origin::Weight(self.mapped.len() - 1)
            }
            Some(copy) => self.add_constant(Arc::new(copy), bytes),
        };
        let val = self.add(dtype, bytes, origin);
        self.of_weight.insert((id, dtype), val);
        Ok(val)
    }

    /// The copy that is needed to read a weight as that type; none when it can be read in place.
    fn copy_of_weight(&self, id: ValueId, dtype: DType) -> Result<Option<Bytes>, CompileError> {
        let weights = match self.weights {
            WeightSource::Bytes(weights) => weights,
            WeightSource::Types(_) => {
                let same = self.stored_type(id)? == dtype;
                return Ok((!same).then(Bytes::empty));
            }
        };
        let value = self.graph.value(id);
        let view = check_weight(weights, &value.name, &value.desc)?;
        let aligned = (view.bytes.as_ptr() as usize).is_multiple_of(view.dtype.size());
        Ok(match view.dtype == dtype {
            true if aligned => None,
            true => Some(Bytes::copy_of(view.bytes)?),
            false => Some(convert_floats(view.bytes, view.dtype, dtype)?),
        })
    }

    pub(super) fn add_constant(&mut self, content: Constant, bytes: usize) -> Origin {
        self.copied += bytes as u64;
        self.constants.push(content);
        Origin::Constant(self.constants.len() - 1)
    }

    /// Checks the size of a table that a rule is about to make: sizes come from files, and running out of memory
    /// there could not be reported.
    pub(crate) fn check_table(&self, entries: usize) -> Result<(), DeviceError> {
        const MOST: usize = 1 << 26;
        if entries <= MOST { Ok(()) } else { Err(DeviceError::OutOfMemory { bytes: entries as u64 * 16 }) }
    }

    /// Adds a constant made at compile time.
    pub(crate) fn constant(&mut self, dtype: DType, bytes: &[u8]) -> Result<Val, DeviceError> {
        let origin = self.add_constant(Arc::new(Bytes::copy_of(bytes)?), bytes.len());
        Ok(self.add(dtype, bytes.len(), origin))
    }

    /// Adds a step whose outputs are those of a node, in their own types.
    pub(crate) fn step(&mut self, node: &Node, kernel: impl Kernel + 'static, inputs: Vec<Val>) {
        let outputs = node.outputs.iter().map(|&id| self.made(id)).collect();
        self.step_into(node, kernel, inputs, outputs);
    }

    /// Adds a step with any outputs.
    pub(crate) fn step_into(
        &mut self,
        node: &Node,
        kernel: impl Kernel + 'static,
        inputs: Vec<Val>,
        outputs: Vec<Val>,
    ) {
        self.steps.push(Step { node: node.name.clone(), kernel: Box::new(kernel), inputs, outputs });
    }

    /// Adds a step whose kernel makes the one output of a node as `f32`; where the graph declares
    /// a narrower type, another step rounds it.
    pub(crate) fn step_f32(&mut self, node: &Node, kernel: impl Kernel + 'static, inputs: Vec<Val>) {
        let id = node.outputs[0];
        let out = self.made(id);
        if self.values[out].dtype == DType::F32 {
            return self.step_into(node, kernel, inputs, vec![out]);
        }
        let elements = self.desc(id).elements();
        let wide = self.temporary(DType::F32, elements);
        self.step_into(node, kernel, inputs, vec![wide]);
        self.convert(wide, out, elements);
    }
}

/// Why a node is not lowered.
#[derive(Debug)]
pub(crate) enum LowerError {
    /// The device does not take it.
    Refused(Refusal),
    /// Its weights or the memory fail.
    Compile(CompileError),
}

impl From<CompileError> for LowerError {
    fn from(error: CompileError) -> Self {
        LowerError::Compile(error)
    }
}

impl From<DeviceError> for LowerError {
    fn from(error: DeviceError) -> Self {
        LowerError::Compile(error.into())
    }
}

impl From<Refusal> for LowerError {
    fn from(refusal: Refusal) -> Self {
        LowerError::Refused(refusal)
    }
}

impl From<kinograph_graph::OpError> for LowerError {
    fn from(error: kinograph_graph::OpError) -> Self {
        LowerError::Refused(Refusal::Other(error.to_string()))
    }
}
