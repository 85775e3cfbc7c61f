use super::util;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Reshape",
    doc: "The same elements in row-major order under another shape.",
    inputs: &[InputSpec::required("data", Types::Any)],
    outputs: &["reshaped"],
    variadic_outputs: false,
    attrs: &[AttrSpec {
        name: "shape",
        kind: AttrKind::Ints,
        default: AttrDefault::Required,
        doc: "The new dimensions; one of them may be -1 and is inferred.",
    }],
    infer,
    reference: |args| {
        let outputs = infer_shape(args.input(0)?.desc(), args.attrs.ints("shape")?)?;
        Ok(vec![Tensor::new(outputs, args.input(0)?.data().to_vec())?])
    },
    bound: Bound::Exact,
    flops: util::flops_none,
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    Ok(vec![infer_shape(args.input(0)?, args.attrs.ints("shape")?)?])
}

fn infer_shape(input: &TensorDesc, shape: &[i64]) -> Result<TensorDesc, OpError> {
    let known =
        shape.iter().filter(|&&d| d != -1).map(|&d| util::dim("shape", d)).collect::<Result<Vec<_>, _>>()?;
    let product = util::count(&known);
    let holes = shape.len() - known.len();
    let total = input.elements();
    let inferred = match holes {
        0 => 0,
        1 if product != 0 && total.is_multiple_of(product) => total / product,
        1 => return Err(mismatch(input, shape)),
        _ => return Err(OpError::attribute("shape", "only one dimension may be -1")),
    };
    let out: Vec<usize> = shape.iter().map(|&d| usize::try_from(d).unwrap_or(inferred)).collect();
    if util::count(&out) != total {
        return Err(mismatch(input, shape));
    }
    Ok(input.with_shape(out))
}

fn mismatch(input: &TensorDesc, shape: &[i64]) -> OpError {
    OpError::attribute(
        "shape",
        format!("{shape:?} does not hold the {} elements of {input}", input.elements()),
    )
}
