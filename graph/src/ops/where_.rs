use super::util::{self, broadcast_offset, broadcast_shape};
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Where",
    doc: "The second tensor where the condition is true and the third elsewhere, with broadcasting.",
    inputs: &[
        InputSpec::required("condition", Types::Bool),
        InputSpec::required("X", Types::Any),
        InputSpec::required("Y", Types::Any),
    ],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[],
    infer,
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let dtype = util::same_type_among(args, [1, 2])?;
    let shapes = [&args.input(0)?.shape[..], &args.input(1)?.shape, &args.input(2)?.shape];
    Ok(vec![TensorDesc::new(dtype, broadcast_shape(&shapes)?)])
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let (condition, x, y) = (args.input(0)?, args.input(1)?, args.input(2)?);
    let at = |t: &Tensor, index: &[usize]| t.data()[broadcast_offset(t.shape(), index)];
    Ok(vec![Tensor::from_fn(util::output_of(args)?, |index| {
        if at(condition, index) != 0.0 { at(x, index) } else { at(y, index) }
    })])
}
