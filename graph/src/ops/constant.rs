use super::util;
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, OpDef, OpError, Tensor, TensorDesc};

pub(super) static DEF: OpDef = OpDef {
    name: "Constant",
    doc: "A tensor written out in the graph. The values are rounded to the type; for integers and bool \
          they must fit it exactly.",
    inputs: &[],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "value",
            kind: AttrKind::Floats,
            default: AttrDefault::Required,
            doc: "The elements in row-major order, or one number for all of them.",
        },
        AttrSpec {
            name: "dtype",
            kind: AttrKind::Choice(util::DTYPES),
            default: AttrDefault::Str("f32"),
            doc: "The element type.",
        },
        AttrSpec {
            name: "shape",
            kind: AttrKind::Ints,
            default: AttrDefault::Absent,
            doc: "The dimensions; without it, one axis that holds the values.",
        },
    ],
    infer,
    reference,
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let values = values(args.attrs)?;
    let dtype = util::dtype(args.attrs, "dtype")?;
    let shape = match args.attrs.opt_ints("shape")? {
        Some(shape) => util::dims("shape", shape)?,
        None => vec![values.len()],
    };
    let desc = TensorDesc::new(dtype, shape);
    if values.len() != 1 && values.len() != desc.elements() {
        return Err(OpError::attribute(
            "value",
            format!("{} numbers are given; {desc} takes {} or 1", values.len(), desc.elements()),
        ));
    }
    match values.iter().find(|&&v| !dtype.is_float() && dtype.quantize(v) != v) {
        Some(v) => Err(OpError::attribute("value", format!("{v} is no {dtype}"))),
        None => Ok(vec![desc]),
    }
}

fn values(attrs: &Attrs) -> Result<&[f64], OpError> {
    attrs.opt_floats("value")?.ok_or_else(|| OpError::attribute("value", "missing"))
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let values = values(args.attrs)?;
    let (n, dtype) = (desc.elements(), desc.dtype);
    let data = values.iter().cycle().take(n).map(|&v| dtype.quantize(v)).collect();
    Ok(vec![Tensor::new(desc, data)?])
}
