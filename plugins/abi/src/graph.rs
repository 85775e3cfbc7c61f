//! A graph as flat arrays.

use core::ffi::{c_char, c_void};

use crate::codes::KinographPluginDType;

/// A value of a graph: a tensor that flows through it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginValue {
    /// The size of this struct.
    pub struct_size: u32,
    /// The type of its elements; of a weight, the type that it is computed in.
    pub dtype: KinographPluginDType,
    /// Its name; of a weight, the name in the weight files. Others may repeat.
    pub name: *const c_char,
    /// Its dimensions, outermost first; NULL when `rank` is 0.
    pub shape: *const u64,
    /// The number of dimensions, at most `KINOGRAPH_PLUGIN_MAX_RANK`; 0 is a scalar. A dimension may be 0.
    pub rank: u32,
    /// Where it comes from: `KINOGRAPH_PLUGIN_SOURCE_INPUT`, `_WEIGHT` or `_NODE`.
    pub source: i32,
}

/// A checked attribute of a node. Which field holds it follows from `kind`; the others are 0 or NULL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginAttr {
    /// The size of this struct.
    pub struct_size: u32,
    /// `KINOGRAPH_PLUGIN_ATTR_INT`, `_FLOAT`, `_BOOL`, `_TEXT`, `_INTS` or `_FLOATS`.
    pub kind: i32,
    /// Its name in docs/ops.md.
    pub name: *const c_char,
    /// An integer, or a truth value as 0 or 1.
    pub integer: i64,
    /// A real number.
    pub real: f64,
    /// A word.
    pub text: *const c_char,
    /// Integers, `count` of them; NULL when there are none.
    pub integers: *const i64,
    /// Real numbers, `count` of them; NULL when there are none.
    pub reals: *const f64,
    /// The length of the list.
    pub count: usize,
}

/// One operation.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginNode {
    /// The size of this struct.
    pub struct_size: u32,
    /// The number of inputs; those left out at the end may not be counted.
    pub input_count: u32,
    /// Its name, unique in the graph; for messages.
    pub name: *const c_char,
    /// Its op, a name in docs/ops.md.
    pub op: *const c_char,
    /// What it reads, as positions in `values` of the graph; `KINOGRAPH_PLUGIN_NO_VALUE` where an optional input is left out.
    pub inputs: *const u32,
    /// What it makes, as positions in `values`.
    pub outputs: *const u32,
    /// The number of outputs.
    pub output_count: u32,
    /// The number of attributes.
    pub attr_count: u32,
    /// Its attributes in the order of names, defaults filled in.
    pub attrs: *const *const KinographPluginAttr,
}

/// A weight as it is stored: dense, row-major, little-endian.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginWeight {
    /// The size of this struct.
    pub struct_size: u32,
    /// The position in `values` of the graph, where its name and shape stand.
    pub value: u32,
    /// The type that it is stored in: that of its value or, where that is a float, any float type. For `support` it is
    /// `KINOGRAPH_PLUGIN_DTYPE_NONE`.
    pub dtype: KinographPluginDType,
    /// Always 0.
    pub reserved: u32,
    /// Its elements, not necessarily aligned to their type. For `compile` they stay valid and unchanged until `executable_free`
    /// returns: a device may read them in place. For `support` and `plan` it is NULL. A weight without elements may be NULL too.
    pub data: *const c_void,
    /// The size of its elements in bytes; for `support` 0.
    pub bytes: u64,
}

/// An output of a graph.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginOutput {
    /// The size of this struct.
    pub struct_size: u32,
    /// The position in `values` of the graph. It may also be an input, a weight, or the value of another output.
    pub value: u32,
    /// The name by which the host asks for it.
    pub name: *const c_char,
}

/// A static graph: all shapes are known. It was checked: positions are within their arrays, types and shapes follow docs/ops.md, and
/// a node reads only what stands before it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KinographPluginGraph {
    /// The size of this struct.
    pub struct_size: u32,
    /// The number of values.
    pub value_count: u32,
    /// Its name; for messages.
    pub name: *const c_char,
    /// The values.
    pub values: *const *const KinographPluginValue,
    /// The nodes, in an order in which they can run.
    pub nodes: *const *const KinographPluginNode,
    /// The inputs in order, as positions in `values`.
    pub inputs: *const u32,
    /// The weights in order.
    pub weights: *const *const KinographPluginWeight,
    /// The outputs in order.
    pub outputs: *const *const KinographPluginOutput,
    /// The number of nodes.
    pub node_count: u32,
    /// The number of inputs.
    pub input_count: u32,
    /// The number of weights.
    pub weight_count: u32,
    /// The number of outputs.
    pub output_count: u32,
}
