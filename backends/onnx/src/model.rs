//! What a graph is lowered to: ONNX in memory, without protobuf.

use kinograph_graph::TensorDesc;

/// The domain of ONNX's own ops.
pub const ONNX: &str = "";

/// The domain of ONNX Runtime's own ops.
pub const MICROSOFT: &str = "com.microsoft";

/// An ONNX graph with static shapes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// The version of ONNX's own ops.
    pub opset: u32,
    /// The name of the graph.
    pub name: String,
    /// The inputs in the order of the graph's.
    pub inputs: Vec<Io>,
    /// The outputs in the order of the graph's.
    pub outputs: Vec<Io>,
    /// Weights and constants.
    pub initializers: Vec<Initializer>,
    /// The nodes, each after those whose outputs it reads.
    pub nodes: Vec<Node>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct Io {
    /// Its name in the ONNX graph.
    pub name: String,
    /// Its type and shape.
    pub desc: TensorDesc,
}

/// A tensor that is part of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Initializer {
    /// Its name in the ONNX graph.
    pub name: String,
    /// Its type and shape; of a weight, the type that it is stored in when the target reads it so.
    pub desc: TensorDesc,
    /// Its elements.
    pub data: Data,
}

/// The elements of an initializer.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Those of the weight of this name.
    Weight(String),
    /// These, row-major and little-endian.
    Bytes(Vec<u8>),
}

/// One ONNX node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The op.
    pub op: &'static str,
    /// The op's domain, [`ONNX`] or [`MICROSOFT`].
    pub domain: &'static str,
    /// The name of the graph's node that it stands for, with a number where that took several.
    pub name: String,
    /// What it reads; an empty name where an optional input is left out.
    pub inputs: Vec<String>,
    /// What it makes.
    pub outputs: Vec<String>,
    /// Its attributes.
    pub attrs: Vec<(&'static str, Attr)>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// An integer, or a truth value.
    Int(i64),
    /// A real number.
    Float(f32),
    /// A word.
    Str(&'static str),
    /// A list of integers.
    Ints(Vec<i64>),
}
