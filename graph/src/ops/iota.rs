use super::util;
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Bound, OpDef, OpError, Tensor, TensorDesc};

pub(super) static DEF: OpDef = OpDef {
    name: "Iota",
    doc: "The index of each element along one axis: 0, 1, 2 and so on, the same for all other axes.",
    inputs: &[],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "shape",
            kind: AttrKind::Ints,
            default: AttrDefault::Required,
            doc: "The dimensions.",
        },
        AttrSpec {
            name: "axis",
            kind: AttrKind::Int,
            default: AttrDefault::Int(0),
            doc: "The axis that is counted, from the end if negative.",
        },
        AttrSpec {
            name: "dtype",
            kind: AttrKind::Choice(util::DTYPES),
            default: AttrDefault::Str("i64"),
            doc: "The element type, which must hold every index exactly.",
        },
    ],
    infer,
    reference: |args| {
        let desc = util::output_of(args)?;
        let axis = util::axis("axis", args.attrs.int("axis")?, desc.rank())?;
        Ok(vec![Tensor::from_fn(desc, |index| index[axis] as f64)])
    },
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let dtype = util::dtype(args.attrs, "dtype")?;
    let shape = util::dims("shape", args.attrs.ints("shape")?)?;
    let axis = util::axis("axis", args.attrs.int("axis")?, shape.len())?;
    // Floats hold every whole number up to 1 over their unit roundoff.
    let largest = match dtype.int_range() {
        Some((_, largest)) => largest as f64,
        None => 1.0 / dtype.unit_roundoff(),
    };
    if shape[axis] as f64 - 1.0 > largest {
        return Err(OpError::attribute(
            "dtype",
            format!("{dtype} does not hold every index below {} exactly", shape[axis]),
        ));
    }
    Ok(vec![TensorDesc::new(dtype, shape)])
}
