//! A graph as the flat arrays of the interface.

use std::ffi::{CString, NulError, c_void};
use std::ptr;

use kinograph_backend::{CompileError, StoredTypes, WeightView, Weights, check_weight};
use kinograph_graph::{Attr, Attrs, DType, Graph, Node, Source, Value, ValueId};
use kinograph_plugin_abi::*;

use crate::error::{Failure, FailureKind};

/// The code of an element type.
pub(crate) fn dtype_code(dtype: DType) -> KinographPluginDType {
    match dtype {
        DType::F32 => KINOGRAPH_PLUGIN_DTYPE_F32,
        DType::F16 => KINOGRAPH_PLUGIN_DTYPE_F16,
        DType::BF16 => KINOGRAPH_PLUGIN_DTYPE_BF16,
        DType::I8 => KINOGRAPH_PLUGIN_DTYPE_I8,
        DType::U8 => KINOGRAPH_PLUGIN_DTYPE_U8,
        DType::I32 => KINOGRAPH_PLUGIN_DTYPE_I32,
        DType::I64 => KINOGRAPH_PLUGIN_DTYPE_I64,
        DType::Bool => KINOGRAPH_PLUGIN_DTYPE_BOOL,
    }
}

/// The element type of a code, if there is one.
pub(crate) fn dtype_of(code: KinographPluginDType) -> Option<DType> {
    DType::ALL.into_iter().find(|&dtype| dtype_code(dtype) == code)
}

/// The size of a struct as it stands in its first field.
pub(crate) fn size_field<T>() -> u32 {
    size_of::<T>() as u32
}

/// A shape as the interface has it, NULL for a scalar.
pub(crate) fn shape_pointer(shape: &[u64]) -> *const u64 {
    if shape.is_empty() { ptr::null() } else { shape.as_ptr() }
}

/// What the plugin is told of the weights.
#[derive(Clone, Copy)]
pub(crate) enum Stored<'a> {
    /// Nothing: support alone is asked for.
    Unknown,
    /// The types that they are stored in.
    Types(StoredTypes<'a>),
    /// They themselves. Their data must outlive the executable.
    Data(&'a dyn Weights),
}

/// A graph as flat arrays. The pointers in them lead to heap memory of this struct, which is not changed any more, and, of weights,
/// to what [`Stored::Data`] gave.
pub(crate) struct FlatGraph {
    graph: KinographPluginGraph,
    #[expect(dead_code, reason = "pointed into")]
    arrays: Arrays,
}

/// Where the pointers of a graph lead to. Each list is moved into place when it is complete, and moving a list leaves its elements
/// where they are.
#[derive(Default)]
struct Arrays {
    texts: Vec<CString>,
    shapes: Vec<Vec<u64>>,
    positions: Vec<Vec<u32>>,
    integers: Vec<Vec<i64>>,
    reals: Vec<Vec<f64>>,
    values: List<KinographPluginValue>,
    nodes: List<KinographPluginNode>,
    attrs: Vec<List<KinographPluginAttr>>,
    weights: List<KinographPluginWeight>,
    outputs: List<KinographPluginOutput>,
}

/// Elements, and a pointer to each.
struct List<T> {
    #[expect(dead_code, reason = "pointed into")]
    elements: Vec<T>,
    pointers: Vec<*const T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<T> List<T> {
    fn new(elements: Vec<T>) -> Self {
        let pointers = elements.iter().map(|element| element as *const T).collect();
        Self { elements, pointers }
    }
}

impl Arrays {
    fn text(&mut self, text: &str) -> Result<*const std::ffi::c_char, NulError> {
        let text = CString::new(text)?;
        let pointer = text.as_ptr();
        self.texts.push(text);
        Ok(pointer)
    }

    fn positions(&mut self, positions: Vec<u32>) -> *const u32 {
        let pointer = positions.as_ptr();
        self.positions.push(positions);
        pointer
    }

    fn value(&mut self, value: &Value, source: Source) -> Result<KinographPluginValue, NulError> {
        let shape: Vec<u64> = value.desc.shape.iter().map(|&d| d as u64).collect();
        let value = KinographPluginValue {
            struct_size: size_field::<KinographPluginValue>(),
            dtype: dtype_code(value.desc.dtype),
            name: self.text(&value.name)?,
            shape: shape_pointer(&shape),
            rank: shape.len() as u32,
            source: match source {
                Source::Input => KINOGRAPH_PLUGIN_SOURCE_INPUT,
                Source::Weight => KINOGRAPH_PLUGIN_SOURCE_WEIGHT,
                Source::Node(_) => KINOGRAPH_PLUGIN_SOURCE_NODE,
            },
        };
        self.shapes.push(shape);
        Ok(value)
    }

    fn node(
        &mut self,
        node: &Node,
        position: impl Fn(ValueId) -> u32,
    ) -> Result<KinographPluginNode, NulError> {
        let inputs: Vec<u32> =
            node.inputs.iter().map(|id| id.map_or(KINOGRAPH_PLUGIN_NO_VALUE, &position)).collect();
        let outputs: Vec<u32> = node.outputs.iter().copied().map(&position).collect();
        let attrs = self.attrs(&node.attrs)?;
        Ok(KinographPluginNode {
            struct_size: size_field::<KinographPluginNode>(),
            input_count: inputs.len() as u32,
            name: self.text(&node.name)?,
            op: self.text(node.op.name)?,
            output_count: outputs.len() as u32,
            inputs: self.positions(inputs),
            outputs: self.positions(outputs),
            attr_count: node.attrs.iter().count() as u32,
            attrs,
        })
    }

    fn attrs(&mut self, attrs: &Attrs) -> Result<*const *const KinographPluginAttr, NulError> {
        let attrs = attrs.iter().map(|(name, attr)| self.attr(name, attr)).collect::<Result<Vec<_>, _>>()?;
        let list = List::new(attrs);
        let pointer = list.pointers.as_ptr();
        self.attrs.push(list);
        Ok(pointer)
    }

    fn attr(&mut self, name: &str, attr: &Attr) -> Result<KinographPluginAttr, NulError> {
        let mut flat = KinographPluginAttr {
            struct_size: size_field::<KinographPluginAttr>(),
            kind: KINOGRAPH_PLUGIN_ATTR_INT,
            name: self.text(name)?,
            integer: 0,
            real: 0.0,
            text: ptr::null(),
            integers: ptr::null(),
            reals: ptr::null(),
            count: 0,
        };
        match attr {
            Attr::Int(v) => flat.integer = *v,
            Attr::Float(v) => (flat.kind, flat.real) = (KINOGRAPH_PLUGIN_ATTR_FLOAT, *v),
            Attr::Bool(v) => (flat.kind, flat.integer) = (KINOGRAPH_PLUGIN_ATTR_BOOL, i64::from(*v)),
            Attr::Str(v) => (flat.kind, flat.text) = (KINOGRAPH_PLUGIN_ATTR_TEXT, self.text(v)?),
            Attr::Ints(v) => {
                (flat.kind, flat.count) = (KINOGRAPH_PLUGIN_ATTR_INTS, v.len());
                self.integers.push(v.clone());
                flat.integers =
                    self.integers.last().filter(|v| !v.is_empty()).map_or(ptr::null(), |v| v.as_ptr());
            }
            Attr::Floats(v) => {
                (flat.kind, flat.count) = (KINOGRAPH_PLUGIN_ATTR_FLOATS, v.len());
                self.reals.push(v.clone());
                flat.reals = self.reals.last().filter(|v| !v.is_empty()).map_or(ptr::null(), |v| v.as_ptr());
            }
        }
        Ok(flat)
    }

    /// Gives the graph. The counts fit: a graph has at most 2^32 values.
    fn finish(self, name: *const std::ffi::c_char, inputs: *const u32, input_count: usize) -> FlatGraph {
        let graph = KinographPluginGraph {
            struct_size: size_field::<KinographPluginGraph>(),
            value_count: self.values.pointers.len() as u32,
            name,
            values: self.values.pointers.as_ptr(),
            nodes: self.nodes.pointers.as_ptr(),
            inputs,
            weights: self.weights.pointers.as_ptr(),
            outputs: self.outputs.pointers.as_ptr(),
            node_count: self.nodes.pointers.len() as u32,
            input_count: input_count as u32,
            weight_count: self.weights.pointers.len() as u32,
            output_count: self.outputs.pointers.len() as u32,
        };
        FlatGraph { graph, arrays: self }
    }
}

impl FlatGraph {
    /// The graph, valid as long as this.
    pub(crate) fn as_ptr(&self) -> *const KinographPluginGraph {
        &self.graph
    }

    /// A whole graph, its weights checked.
    ///
    /// # Errors
    /// A weight that is missing or does not fit; a name that C cannot hold.
    pub(crate) fn whole(graph: &Graph, stored: Stored<'_>) -> Result<Self, CompileError> {
        let weights: Vec<KinographPluginWeight> = graph
            .weights()
            .iter()
            .map(|&id| weight(id.index() as u32, graph.value(id), stored))
            .collect::<Result<_, _>>()?;
        Self::build(graph, weights).map_err(|e| CompileError::Device(no_text(&e).device_error()))
    }

    fn build(graph: &Graph, weights: Vec<KinographPluginWeight>) -> Result<Self, NulError> {
        let mut arrays = Arrays { weights: List::new(weights), ..Arrays::default() };
        let position = |id: ValueId| id.index() as u32;
        let values = graph.values().iter().map(|v| arrays.value(v, v.source)).collect::<Result<_, _>>()?;
        let nodes = graph.nodes().iter().map(|n| arrays.node(n, position)).collect::<Result<_, _>>()?;
        let outputs = graph
            .outputs()
            .iter()
            .map(|o| output(arrays.text(&o.name)?, position(o.value)))
            .collect::<Result<_, _>>()?;
        (arrays.values, arrays.nodes) = (List::new(values), List::new(nodes));
        arrays.outputs = List::new(outputs);
        let name = arrays.text(graph.name())?;
        let inputs = arrays.positions(graph.inputs().iter().copied().map(position).collect());
        Ok(arrays.finish(name, inputs, graph.inputs().len()))
    }

    /// One node with those that feed it and read nothing, and its position.
    ///
    /// # Errors
    /// A name that C cannot hold.
    pub(crate) fn of_node(graph: &Graph, node: &Node) -> Result<(Self, u32), Failure> {
        Part::new(graph, node).build(graph).map_err(|e| no_text(&e))
    }
}

fn no_text(error: &NulError) -> Failure {
    let message = format!("a name has a NUL in it, which plugins cannot take: {error}");
    Failure { function: "compile", kind: FailureKind::Invalid, message }
}

fn output(name: *const std::ffi::c_char, value: u32) -> Result<KinographPluginOutput, NulError> {
    Ok(KinographPluginOutput { struct_size: size_field::<KinographPluginOutput>(), value, name })
}

fn weight(position: u32, value: &Value, stored: Stored<'_>) -> Result<KinographPluginWeight, CompileError> {
    let mut flat = KinographPluginWeight {
        struct_size: size_field::<KinographPluginWeight>(),
        value: position,
        dtype: KINOGRAPH_PLUGIN_DTYPE_NONE,
        reserved: 0,
        data: ptr::null(),
        bytes: 0,
    };
    match stored {
        Stored::Unknown => {}
        Stored::Types(types) => {
            let missing = || CompileError::MissingWeight(value.name.clone());
            let dtype = types(&value.name).ok_or_else(missing)?;
            (flat.dtype, flat.bytes) = (dtype_code(dtype), value.desc.with_dtype(dtype).bytes() as u64);
        }
        Stored::Data(weights) => {
            let WeightView { dtype, bytes, .. } = check_weight(weights, &value.name, &value.desc)?;
            (flat.dtype, flat.bytes) = (dtype_code(dtype), bytes.len() as u64);
            flat.data = bytes.as_ptr().cast::<c_void>();
        }
    }
    Ok(flat)
}

/// The part of a graph that support of a node depends on.
struct Part<'a> {
    nodes: Vec<&'a Node>,
    values: Vec<(ValueId, Source)>,
}

impl<'a> Part<'a> {
    fn new(graph: &'a Graph, node: &'a Node) -> Self {
        let mut part = Self { nodes: Vec::new(), values: Vec::new() };
        for id in node.inputs.iter().copied().flatten() {
            if part.values.iter().any(|&(known, _)| known == id) {
                continue;
            }
            match graph.value(id).source {
                Source::Node(from) => match graph.nodes().get(from.index()) {
                    Some(from) if from.inputs.is_empty() => part.add(graph, from),
                    _ => part.values.push((id, Source::Input)),
                },
                source => part.values.push((id, source)),
            }
        }
        part.add(graph, node);
        part
    }

    fn add(&mut self, graph: &Graph, node: &'a Node) {
        self.nodes.push(node);
        self.values.extend(node.outputs.iter().map(|&id| (id, graph.value(id).source)));
    }

    fn build(&self, graph: &Graph) -> Result<(FlatGraph, u32), NulError> {
        let position = |id: ValueId| {
            let found = self.values.iter().position(|&(known, _)| known == id);
            found.map_or(KINOGRAPH_PLUGIN_NO_VALUE, |at| at as u32)
        };
        let of = |wanted: Source| {
            let ids = self.values.iter().filter(move |&&(_, source)| source == wanted);
            ids.map(|&(id, _)| position(id)).collect::<Vec<u32>>()
        };
        let mut arrays = Arrays::default();
        let values =
            self.values.iter().map(|&(id, s)| arrays.value(graph.value(id), s)).collect::<Result<_, _>>()?;
        let nodes = self.nodes.iter().map(|node| arrays.node(node, position)).collect::<Result<_, _>>()?;
        let made = self.nodes.last().map_or(&[][..], |node| &node.outputs);
        let outputs = made
            .iter()
            .enumerate()
            .map(|(i, &id)| output(arrays.text(&i.to_string())?, position(id)))
            .collect::<Result<_, _>>()?;
        (arrays.values, arrays.nodes) = (List::new(values), List::new(nodes));
        arrays.outputs = List::new(outputs);
        let weights = self.values.iter().filter(|(_, source)| *source == Source::Weight);
        let weights =
            weights.filter_map(|&(id, _)| weight(position(id), graph.value(id), Stored::Unknown).ok());
        arrays.weights = List::new(weights.collect());
        let inputs = of(Source::Input);
        let input_count = inputs.len();
        let name = arrays.text(graph.name())?;
        let inputs = arrays.positions(inputs);
        Ok((arrays.finish(name, inputs, input_count), self.nodes.len() as u32 - 1))
    }
}
