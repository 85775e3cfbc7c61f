//! One function an op.

mod activation;
mod attention;
mod cast;
mod conv;
mod linear;
mod movement;
mod norm;
mod pointwise;
mod position;
mod reduce;
mod resize;
mod util;

use kinograph_backend::Refusal;
use kinograph_graph::Node;

use crate::builder::{Builder, Lowered};

type Lower = fn(&mut Builder<'_>, &Node) -> Lowered;

/// The lowering of every op, in the order of names.
static TABLE: &[(&str, Lower)] = &[
    ("Abs", pointwise::abs),
    ("Add", pointwise::arithmetic),
    ("And", pointwise::logic),
    ("ArgMax", reduce::arg_max),
    ("Attention", attention::attention),
    ("Cast", cast::cast),
    ("Clip", activation::clip),
    ("Concat", movement::concat),
    ("Constant", position::table),
    ("Conv", conv::conv),
    ("ConvTranspose", conv::conv_transpose),
    ("Cos", pointwise::unary),
    ("Div", pointwise::div),
    ("Equal", pointwise::compare),
    ("Erf", activation::erf),
    ("Exp", pointwise::unary),
    ("Expand", movement::expand),
    ("Floor", pointwise::unary),
    ("Gather", movement::gather),
    ("Gelu", activation::gelu),
    ("Greater", pointwise::compare),
    ("GroupNormalization", norm::group),
    ("Identity", movement::identity),
    ("Iota", position::table),
    ("LayerNormalization", norm::layer),
    ("LeakyRelu", activation::leaky_relu),
    ("Less", pointwise::compare),
    ("Linear", linear::linear),
    ("Log", pointwise::unary),
    ("MatMul", linear::mat_mul),
    ("Max", pointwise::extreme),
    ("Min", pointwise::extreme),
    ("Mul", pointwise::arithmetic),
    ("Neg", pointwise::neg),
    ("Not", pointwise::logic),
    ("Or", pointwise::logic),
    ("Pad", movement::pad),
    ("Pow", pointwise::pow),
    ("RMSNormalization", norm::rms),
    ("Reciprocal", pointwise::unary),
    ("ReduceMax", reduce::extreme),
    ("ReduceMean", reduce::sum),
    ("ReduceMin", reduce::extreme),
    ("ReduceSum", reduce::sum),
    ("Relu", activation::relu),
    ("Reshape", movement::reshape),
    ("Resize", resize::resize),
    ("RotaryEmbedding", position::rotary),
    ("Round", pointwise::unary),
    ("Sigmoid", activation::sigmoid),
    ("Sin", pointwise::unary),
    ("Slice", movement::slice),
    ("Snake", activation::snake),
    ("Softmax", norm::softmax),
    ("Softplus", activation::softplus),
    ("Split", movement::split),
    ("Sqrt", pointwise::unary),
    ("Sub", pointwise::arithmetic),
    ("Swish", activation::swish),
    ("Tanh", activation::tanh),
    ("Tile", movement::tile),
    ("Transpose", movement::transpose),
    ("Where", pointwise::choose),
    ("video.RelativeBuckets", position::table),
    ("video.SinusoidalEmbedding", position::sinusoidal),
];

/// Lowers one node.
pub(crate) fn node(b: &mut Builder<'_>, node: &Node) -> Lowered {
    b.start(node);
    if let Some((_, reason)) = b.target.refused.iter().find(|(op, _)| *op == node.op.name) {
        return Err(Refusal::Other((*reason).to_owned()));
    }
    for id in node.inputs.iter().flatten().chain(&node.outputs) {
        let desc = &b.graph.value(*id).desc;
        if !b.target.types.contains(&desc.dtype) {
            return Err(Refusal::DType(desc.dtype));
        }
        if desc.elements() == 0 && !b.target.empty {
            return Err(Refusal::Other("no kernels for tensors without elements".into()));
        }
    }
    match TABLE.binary_search_by(|(name, _)| (*name).cmp(node.op.name)) {
        Ok(at) => TABLE[at].1(b, node),
        Err(_) => Err(Refusal::Op),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinograph_graph::ops::OPS;

    #[test]
    fn every_op_has_its_lowering() {
        let names: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
        // The exact ops are written in ordinary ones before.
        let ops: Vec<&str> =
            OPS.iter().map(|op| op.name).filter(|name| !name.starts_with("exact.")).collect();
        assert_eq!(names, ops);
    }
}
