use super::util;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Concat",
    doc: "Several tensors one after the other along an axis; their other dimensions are equal.",
    inputs: &[InputSpec::variadic("inputs", Types::Any)],
    outputs: &["concat_result"],
    variadic_outputs: false,
    attrs: &[AttrSpec {
        name: "axis",
        kind: AttrKind::Int,
        default: AttrDefault::Required,
        doc: "The axis along which they are joined, from the end if negative.",
    }],
    infer,
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn axis(attrs: &Attrs, rank: usize) -> Result<usize, OpError> {
    util::axis("axis", attrs.int("axis")?, rank)
}

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    util::same_type(args)?;
    let first = args.input(0)?;
    let axis = axis(args.attrs, first.rank())?;
    let mut shape = first.shape.clone();
    for i in 1..args.inputs.len() {
        let next = args.input(i)?;
        let fits = next.rank() == first.rank()
            && (0..first.rank()).all(|a| a == axis || next.shape[a] == first.shape[a]);
        let joined = next.shape.get(axis).and_then(|&d| shape[axis].checked_add(d));
        let (true, Some(joined)) = (fits, joined) else {
            return Err(OpError::invalid(format!(
                "input {i} is {next} and input 0 is {first}; they may differ only at axis {axis}"
            )));
        };
        shape[axis] = joined;
    }
    Ok(vec![first.with_shape(shape)])
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let axis = axis(args.attrs, desc.rank())?;
    Ok(vec![Tensor::from_fn(desc, |index| {
        let mut source = index.to_vec();
        for part in args.inputs.iter().flatten() {
            if source[axis] < part.shape()[axis] {
                return part.data()[util::offset(part.shape(), &source)];
            }
            source[axis] -= part.shape()[axis];
        }
        f64::NAN
    })])
}
