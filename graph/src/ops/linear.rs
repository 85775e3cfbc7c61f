use super::util;
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Linear",
    doc: "x times the transpose of a weight, plus an optional bias, over the last axis. \
          The weight is [out, in], as PyTorch stores it.",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::required("weight", Types::Float),
        InputSpec::optional("bias", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[],
    infer,
    reference,
    bound: Bound::Scaled(bound),
    flops: |args, outputs| {
        let inner = args.optional(1).and_then(|w| w.shape.last()).copied().unwrap_or(0);
        util::cost(outputs, inner.saturating_mul(2))
    },
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    util::same_type(args)?;
    let (x, w) = (args.input(0)?, args.input(1)?);
    let (Some((&inner, lead)), [out, w_inner]) = (x.shape.split_last(), w.shape.as_slice()) else {
        return Err(OpError::invalid(format!(
            "x must have a last axis and the weight be [out, in]; they are {x} and {w}"
        )));
    };
    if inner != *w_inner {
        return Err(OpError::invalid(format!(
            "x ends in {inner} features, but the weight {w} takes {w_inner}"
        )));
    }
    if let Some(b) = args.optional(2)
        && b.shape != [*out]
    {
        return Err(OpError::invalid(format!("the bias is {b}, but must be [{out}]")));
    }
    let mut shape = lead.to_vec();
    shape.push(*out);
    Ok(vec![x.with_shape(shape)])
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    Ok(vec![product(args, |v| v)?])
}

/// The product with `f` applied to every number read: the identity for the reference, the absolute
/// value for the scale of the bound.
fn product(args: &Args<'_, Tensor>, f: impl Fn(f64) -> f64) -> Result<Tensor, OpError> {
    let desc = util::output_of(args)?;
    let (x, w, bias) = (args.input(0)?, args.input(1)?, args.optional(2));
    let inner = w.shape()[1];
    Ok(Tensor::from_fn(desc, |index| {
        let row = util::offset(x.shape(), &index[..index.len() - 1]) * inner;
        let col = index[index.len() - 1];
        let start = bias.map_or(0.0, |b| f(b.data()[col]));
        (0..inner).fold(start, |sum, k| sum + f(x.data()[row + k]) * f(w.data()[col * inner + k]))
    }))
}

/// K products and K additions of an accumulator, the bias, and the rounding to the type, on the sum
/// of absolute values.
fn bound(args: &Args<'_, Tensor>, _: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let scale = product(args, f64::abs)?;
    let inner = args.input(1)?.shape().last().copied().unwrap_or(0);
    let terms = util::accumulated(scale.dtype(), inner) + 2.0;
    Ok(vec![util::with_floor(scale.dtype(), scale.data().iter().map(|s| terms * s))])
}
