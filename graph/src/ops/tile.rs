use super::util;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Tile",
    doc: "The whole tensor repeated along each axis.",
    inputs: &[InputSpec::required("input", Types::Any)],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[AttrSpec {
        name: "repeats",
        kind: AttrKind::Ints,
        default: AttrDefault::Required,
        doc: "How many times, for each axis.",
    }],
    infer,
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let x = args.input(0)?;
    let repeats = util::dims("repeats", args.attrs.ints("repeats")?)?;
    util::one_each("repeats", repeats.len(), x.rank(), "axes")?;
    let shape = x.shape.iter().zip(&repeats).map(|(&d, &r)| d.checked_mul(r)).collect::<Option<Vec<_>>>();
    let shape =
        shape.ok_or_else(|| OpError::attribute("repeats", format!("{repeats:?} times {x} is too large")))?;
    Ok(vec![x.with_shape(shape)])
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let x = args.input(0)?;
    Ok(vec![Tensor::from_fn(util::output_of(args)?, |index| {
        let source: Vec<usize> = index.iter().zip(x.shape()).map(|(&i, &d)| i % d).collect();
        x.data()[util::offset(x.shape(), &source)]
    })])
}
