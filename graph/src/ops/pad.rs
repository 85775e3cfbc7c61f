use super::geometry::{self, PadMode};
use super::util;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Pad",
    doc: "More elements before and after each axis.",
    inputs: &[InputSpec::required("data", Types::Any)],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "pads",
            kind: AttrKind::Ints,
            default: AttrDefault::Required,
            doc: "How many, 0 or more: the begins of all axes, then the ends of all axes.",
        },
        AttrSpec {
            name: "mode",
            kind: PadMode::KIND,
            default: AttrDefault::Str("constant"),
            doc: "`constant`: the value; `edge`: the nearest element; `reflect`: mirrored at the first and \
                  last element, which are not repeated.",
        },
        AttrSpec {
            name: "value",
            kind: AttrKind::Float,
            default: AttrDefault::Float(0.0),
            doc: "The constant, rounded to the type; integers and bool must hold it exactly.",
        },
    ],
    infer,
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let x = args.input(0)?;
    let mode = PadMode::of(args.attrs, "mode")?;
    let value = args.attrs.float("value")?;
    if !x.dtype.is_float() && x.dtype.quantize(value) != value {
        return Err(OpError::attribute("value", format!("{value} is no {}", x.dtype)));
    }
    let mut shape = Vec::new();
    for (axis, (&(begin, end), &d)) in geometry::pads(args.attrs, x.rank())?.iter().zip(&x.shape).enumerate()
    {
        mode.check(axis, d, begin, end)?;
        let padded = d.checked_add(begin).and_then(|n| n.checked_add(end));
        shape.push(padded.ok_or_else(|| OpError::attribute("pads", "the result is larger than any memory"))?);
    }
    Ok(vec![x.with_shape(shape)])
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let x = args.input(0)?;
    let mode = PadMode::of(args.attrs, "mode")?;
    let value = x.dtype().quantize(args.attrs.float("value")?);
    let pads = geometry::pads(args.attrs, x.shape().len())?;
    Ok(vec![Tensor::from_fn(desc, |index| {
        let source = |a: usize| mode.source(index[a] as i128 - pads[a].0 as i128, x.shape()[a]);
        let source: Option<Vec<usize>> = (0..index.len()).map(source).collect();
        source.map_or(value, |source| x.data()[util::offset(x.shape(), &source)])
    })])
}
