use super::{norm, util};
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "LayerNormalization",
    doc: "(x - mean) / sqrt(variance + epsilon) over some axes together, times an optional scale, plus an \
          optional bias, both with the dimensions of those axes in order. The variance is the population's.",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::optional("scale", Types::Float),
        InputSpec::optional("bias", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[norm::AXES, norm::EPSILON],
    infer: norm::infer,
    reference,
    bound: Bound::Scaled(bound),
    flops: |_, outputs| util::cost(outputs, 8),
};

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let (x, scale, bias) = (args.input(0)?, args.optional(1), args.optional(2));
    let (axes, epsilon) = (norm::axes(args, desc.rank())?, util::epsilon(args.attrs)?);
    let out = norm::by_group(x.data(), x.shape(), &axes, |values| {
        let affine = |(i, y)| y * norm::parameter(scale, i, 1.0) + norm::parameter(bias, i, 0.0);
        norm::standardize(values, epsilon).into_iter().enumerate().map(affine).collect()
    });
    Ok(vec![Tensor::new(desc, out)?])
}

/// The standardised value's error times the scale, the product, and the sum with the bias.
fn bound(args: &Args<'_, Tensor>, _: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let (x, scale, bias) = (args.input(0)?, args.optional(1), args.optional(2));
    let (axes, epsilon) = (norm::axes(args, x.shape().len())?, util::epsilon(args.attrs)?);
    let units = norm::by_group(x.data(), x.shape(), &axes, |values| {
        let exact = norm::standardize(values, epsilon);
        let errors = norm::standardize_units(values, epsilon, x.dtype());
        let affine = |(i, (y, e)): (usize, (f64, f64))| {
            let scale = norm::parameter(scale, i, 1.0).abs();
            (e + 2.0 * y.abs()) * scale + norm::parameter(bias, i, 0.0).abs()
        };
        exact.into_iter().zip(errors).enumerate().map(affine).collect()
    });
    Ok(vec![util::with_floor(x.dtype(), units)])
}
