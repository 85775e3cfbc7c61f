use super::util::{self, broadcast_offset, broadcast_shape};
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Expand",
    doc: "The input broadcast together with a shape.",
    inputs: &[InputSpec::required("input", Types::Any)],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[AttrSpec {
        name: "shape",
        kind: AttrKind::Ints,
        default: AttrDefault::Required,
        doc: "The shape, aligned at the last axis; where it has 1, the input's dimension stays.",
    }],
    infer,
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let x = args.input(0)?;
    let shape = util::dims("shape", args.attrs.ints("shape")?)?;
    Ok(vec![x.with_shape(broadcast_shape(&[&x.shape, &shape])?)])
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let x = args.input(0)?;
    Ok(vec![Tensor::from_fn(util::output_of(args)?, |index| x.data()[broadcast_offset(x.shape(), index)])])
}
