use super::util::{self, broadcast_offset, broadcast_shape};
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "MatMul",
    doc: "Matrix products [..., M, K] x [..., K, N], the leading axes broadcasting. Unlike ONNX, both have \
          two axes at least: reshape a vector to say whether it is a row or a column.",
    inputs: &[InputSpec::required("A", Types::Float), InputSpec::required("B", Types::Float)],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[],
    infer,
    reference: |args| Ok(vec![product(args, |v| v)?]),
    bound: Bound::Scaled(bound),
    flops: |args, outputs| {
        let inner = args.optional(0).and_then(|a| a.shape.last()).copied().unwrap_or(0);
        util::cost(outputs, inner.saturating_mul(2))
    },
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    util::same_type(args)?;
    let (a, b) = (args.input(0)?, args.input(1)?);
    let ([a_lead @ .., m, k], [b_lead @ .., k_b, n]) = (a.shape.as_slice(), b.shape.as_slice()) else {
        return Err(OpError::invalid(format!(
            "both must have two axes at least, and they are {a} and {b}; reshape a vector to a row or a column"
        )));
    };
    if k != k_b {
        return Err(OpError::invalid(format!("the rows of {a} have {k} elements, the columns of {b} {k_b}")));
    }
    let mut shape = broadcast_shape(&[a_lead, b_lead])?;
    shape.extend([*m, *n]);
    Ok(vec![a.with_shape(shape)])
}

/// The product with `f` applied to every number read: the identity for the reference, the absolute
/// value for the scale of the bound.
fn product(args: &Args<'_, Tensor>, f: impl Fn(f64) -> f64) -> Result<Tensor, OpError> {
    let desc = util::output_of(args)?;
    let (a, b) = (args.input(0)?, args.input(1)?);
    let (a_rank, b_rank) = (a.shape().len(), b.shape().len());
    let (inner, columns) = (a.shape()[a_rank - 1], b.shape()[b_rank - 1]);
    let rows = a.shape()[a_rank - 2];
    Ok(Tensor::from_fn(desc, |index| {
        let (lead, cell) = index.split_at(index.len() - 2);
        let a_row = (broadcast_offset(&a.shape()[..a_rank - 2], lead) * rows + cell[0]) * inner;
        let b_start = broadcast_offset(&b.shape()[..b_rank - 2], lead) * inner;
        let term = |k: usize| f(a.data()[a_row + k]) * f(b.data()[(b_start + k) * columns + cell[1]]);
        (0..inner).map(term).sum()
    }))
}

/// K products and K - 1 additions of an accumulator in any order, and the rounding to the type, on
/// the sum of absolute values.
fn bound(args: &Args<'_, Tensor>, _: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let scale = product(args, f64::abs)?;
    let inner = args.input(0)?.shape().last().copied().unwrap_or(0);
    let terms = util::accumulated(scale.dtype(), inner) + 1.0;
    Ok(vec![util::with_floor(scale.dtype(), scale.data().iter().map(|s| terms * s))])
}
