use std::collections::HashMap;

use kinograph_backend::{HostData, Refusal, StoredTypes};
use kinograph_graph::{DType, Graph, Node as GraphNode, Source, TensorDesc, ValueId};

use crate::model::{Attr, Data, Initializer, Io, MICROSOFT, Model, Node, ONNX};
use crate::target::Target;

/// Why a node is not lowered.
pub(crate) type Lowered<T = ()> = Result<T, Refusal>;

/// The name of a value in the ONNX graph.
pub(crate) type Name = String;

/// ONNX's number of an element type.
pub(crate) fn type_code(dtype: DType) -> i64 {
    match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        DType::I32 => 6,
        DType::I64 => 7,
        DType::Bool => 9,
        DType::F16 => 10,
        DType::BF16 => 16,
    }
}

/// Writes the nodes of a model one after the other.
///
/// Values keep a name made of their position, so that one node can be lowered without the others. Half-precision floats
/// are computed in f32 and rounded once, when a node of the graph has its result.
pub(crate) struct Builder<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) target: &'a Target,
    stored: StoredTypes<'a>,
    model: Model,
    /// Weights that the model has.
    weights: HashMap<ValueId, Name>,
    /// f32 copies of half-precision values.
    wide: HashMap<ValueId, Name>,
    constants: HashMap<(DType, Vec<usize>, Vec<u8>), Name>,
    /// The node that is being lowered, and how many ONNX nodes it took so far.
    current: (String, usize),
    fresh: usize,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(graph: &'a Graph, target: &'a Target, stored: StoredTypes<'a>) -> Self {
        Self {
            graph,
            target,
            stored,
            model: Model { opset: target.opset, name: graph.name().to_owned(), ..Model::default() },
            weights: HashMap::new(),
            wide: HashMap::new(),
            constants: HashMap::new(),
            current: (String::new(), 0),
            fresh: 0,
        }
    }

    /// Starts a node of the graph.
    pub(crate) fn start(&mut self, node: &GraphNode) {
        self.current = (node.name.clone(), 0);
    }

    /// Names the inputs and outputs of the graph and gives the model.
    pub(crate) fn finish(mut self) -> Model {
        let io = |name: Name, id: ValueId| Io { name, desc: self.graph.value(id).desc.clone() };
        self.model.inputs = self.graph.inputs().iter().map(|&id| io(own_name(id), id)).collect();
        self.current = ("outputs".to_owned(), 0);
        for (i, output) in self.graph.outputs().iter().enumerate() {
            // An output of its own name, as the same value may be an input, a weight or another output.
            let value = self.raw(output.value);
            let name = format!("out{i}");
            self.emit("Identity", ONNX, &[&value], vec![name.clone()], vec![]);
            let desc = self.graph.value(output.value).desc.clone();
            self.model.outputs.push(Io { name, desc });
        }
        self.model
    }

    /// The type and shape of an input of a node.
    pub(crate) fn desc(&self, node: &GraphNode, i: usize) -> Lowered<&'a TensorDesc> {
        let id = node.input(i).ok_or_else(|| Refusal::Other(format!("input {i} is missing")))?;
        Ok(&self.graph.value(id).desc)
    }

    /// The type and shape of an output of a node.
    pub(crate) fn out_desc(&self, node: &GraphNode, i: usize) -> &'a TensorDesc {
        &self.graph.value(node.outputs[i]).desc
    }

    /// A value in its own type.
    pub(crate) fn raw(&mut self, id: ValueId) -> Name {
        let value = self.graph.value(id);
        if value.source != Source::Weight {
            return own_name(id);
        }
        if let Some(name) = self.weights.get(&id) {
            return name.clone();
        }
        let declared = value.desc.dtype;
        let stored = if self.target.stored_weights { (self.stored)(&value.name) } else { None };
        let stored = stored.unwrap_or(declared);
        let name = format!("w{}", id.index());
        self.model.initializers.push(Initializer {
            name: name.clone(),
            desc: value.desc.with_dtype(stored),
            data: Data::Weight(value.name.clone()),
        });
        let name =
            if stored == declared { name } else { self.cast_as(&name, declared, format!("{name}.read")) };
        self.weights.insert(id, name.clone());
        name
    }

    /// A value in the type that it is computed in: f32 for every float.
    pub(crate) fn read(&mut self, id: ValueId) -> Name {
        let dtype = self.graph.value(id).desc.dtype;
        if !dtype.is_float() || dtype == DType::F32 {
            return self.raw(id);
        }
        if let Some(name) = self.wide.get(&id) {
            return name.clone();
        }
        let name = self.raw(id);
        let name = self.cast_as(&name, DType::F32, format!("{name}.wide"));
        self.wide.insert(id, name.clone());
        name
    }

    /// A required input of a node, in the type that it is computed in.
    pub(crate) fn input(&mut self, node: &GraphNode, i: usize) -> Lowered<Name> {
        let id = node.input(i).ok_or_else(|| Refusal::Other(format!("input {i} is missing")))?;
        Ok(self.read(id))
    }

    /// A required input of a node, in its own type, for ops that only move elements.
    pub(crate) fn raw_input(&mut self, node: &GraphNode, i: usize) -> Lowered<Name> {
        let id = node.input(i).ok_or_else(|| Refusal::Other(format!("input {i} is missing")))?;
        Ok(self.raw(id))
    }

    /// All inputs of a node that are given, in the type that they are computed in.
    pub(crate) fn inputs(&mut self, node: &GraphNode) -> Vec<Name> {
        node.inputs.iter().flatten().map(|&id| self.read(id)).collect()
    }

    /// Makes a value, in the type that it was computed in, the output of a node.
    pub(crate) fn output(&mut self, node: &GraphNode, i: usize, value: Name) {
        let id = node.outputs[i];
        match self.graph.value(id).desc.dtype {
            half @ (DType::F16 | DType::BF16) => {
                let rounded = self.cast(&value, half);
                self.rename(rounded, own_name(id));
            }
            _ => self.rename(value, own_name(id)),
        }
    }

    /// Makes a value of the output's own type the output of a node.
    pub(crate) fn raw_output(&mut self, node: &GraphNode, i: usize, value: Name) {
        self.rename(value, own_name(node.outputs[i]));
    }

    /// Gives a value another name: at its node when that is the last one, which nothing reads yet.
    fn rename(&mut self, value: Name, name: Name) {
        if let Some(node) = self.model.nodes.last_mut()
            && let Some(output) = node.outputs.iter_mut().find(|o| **o == value)
            && value.starts_with('t')
        {
            *output = name;
            return;
        }
        self.emit("Identity", ONNX, &[&value], vec![name], vec![]);
    }

    fn emit(
        &mut self,
        op: &'static str,
        domain: &'static str,
        inputs: &[&str],
        outputs: Vec<Name>,
        attrs: Vec<(&'static str, Attr)>,
    ) {
        let (node, parts) = &mut self.current;
        let name = if *parts == 0 { node.clone() } else { format!("{node}/{parts}") };
        *parts += 1;
        let inputs = inputs.iter().map(|&i| i.to_owned()).collect();
        self.model.nodes.push(Node { op, domain, name, inputs, outputs, attrs });
    }

    pub(crate) fn fresh(&mut self) -> Name {
        self.fresh += 1;
        format!("t{}", self.fresh)
    }

    /// Adds an ONNX node of one output.
    pub(crate) fn op(&mut self, op: &'static str, inputs: &[&str]) -> Name {
        self.op_with(op, inputs, vec![])
    }

    /// Adds an ONNX node of one output with attributes.
    pub(crate) fn op_with(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        attrs: Vec<(&'static str, Attr)>,
    ) -> Name {
        let output = self.fresh();
        self.emit(op, ONNX, inputs, vec![output.clone()], attrs);
        output
    }

    /// Adds a node of ONNX Runtime's own domain.
    pub(crate) fn microsoft(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        attrs: Vec<(&'static str, Attr)>,
    ) -> Name {
        let output = self.fresh();
        self.emit(op, MICROSOFT, inputs, vec![output.clone()], attrs);
        output
    }

    /// Adds an ONNX node of several outputs.
    pub(crate) fn op_many(
        &mut self,
        op: &'static str,
        inputs: &[&str],
        attrs: Vec<(&'static str, Attr)>,
        count: usize,
    ) -> Vec<Name> {
        let outputs: Vec<Name> = (0..count).map(|_| self.fresh()).collect();
        self.emit(op, ONNX, inputs, outputs.clone(), attrs);
        outputs
    }

    /// Gives the outputs of the last node of several outputs the names of the graph's.
    pub(crate) fn raw_outputs(&mut self, node: &GraphNode) {
        if let Some(last) = self.model.nodes.last_mut() {
            last.outputs = node.outputs.iter().map(|&id| own_name(id)).collect();
        }
    }

    pub(crate) fn cast(&mut self, value: &str, to: DType) -> Name {
        self.op_with("Cast", &[value], vec![("to", Attr::Int(type_code(to)))])
    }

    /// A conversion that later nodes read too, so that it keeps its name.
    fn cast_as(&mut self, value: &str, to: DType, name: Name) -> Name {
        let to = vec![("to", Attr::Int(type_code(to)))];
        self.emit("Cast", ONNX, &[value], vec![name.clone()], to);
        name
    }

    pub(crate) fn reshape(&mut self, value: &str, shape: &[usize]) -> Name {
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let dims = self.i64s(&dims);
        self.op_with("Reshape", &[value, &dims], vec![("allowzero", Attr::Int(1))])
    }

    pub(crate) fn transpose(&mut self, value: &str, perm: &[usize]) -> Name {
        let perm = perm.iter().map(|&p| p as i64).collect();
        self.op_with("Transpose", &[value], vec![("perm", Attr::Ints(perm))])
    }

    /// A constant tensor.
    pub(crate) fn constant(&mut self, shape: &[usize], data: &HostData) -> Name {
        let (dtype, bytes) = (data.dtype(), data.as_bytes().to_vec());
        let key = (dtype, shape.to_vec(), bytes);
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let name = format!("c{}", self.constants.len());
        let (desc, bytes) = (TensorDesc::new(dtype, shape), key.2.clone());
        self.model.initializers.push(Initializer { name: name.clone(), desc, data: Data::Bytes(bytes) });
        self.constants.insert(key, name.clone());
        name
    }

    pub(crate) fn i64s(&mut self, values: &[i64]) -> Name {
        self.constant(&[values.len()], &HostData::I64(values.to_vec()))
    }

    pub(crate) fn f32s(&mut self, shape: &[usize], values: Vec<f32>) -> Name {
        self.constant(shape, &HostData::F32(values))
    }

    pub(crate) fn number(&mut self, value: f32) -> Name {
        self.f32s(&[], vec![value])
    }

    /// A scalar of an integer type or f32.
    pub(crate) fn scalar(&mut self, dtype: DType, value: f64) -> Name {
        self.constant(&[], &HostData::from_f64(dtype, &[value]))
    }

    /// A scalar of i32 or i64, exactly.
    pub(crate) fn scalar_i64(&mut self, dtype: DType, value: i64) -> Name {
        match dtype {
            DType::I64 => self.constant(&[], &HostData::I64(vec![value])),
            _ => self.constant(&[], &HostData::I32(vec![value as i32])),
        }
    }
}

fn own_name(id: ValueId) -> Name {
    format!("v{}", id.index())
}
