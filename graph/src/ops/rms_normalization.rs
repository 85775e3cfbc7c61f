use super::elementwise::{DIV_UNITS, SQRT_UNITS};
use super::norm::{self, mean};
use super::util;
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "RMSNormalization",
    doc: "x / sqrt(mean(x^2) + epsilon) over some axes together, times an optional scale with the dimensions \
          of those axes in order. `axes = [1]` normalises over the channels of [N, C, ...].",
    inputs: &[InputSpec::required("X", Types::Float), InputSpec::optional("scale", Types::Float)],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[norm::AXES, norm::EPSILON],
    infer: norm::infer,
    reference,
    bound: Bound::Scaled(bound),
    flops: |_, outputs| util::cost(outputs, 5),
};

fn power(values: &[f64], epsilon: f64) -> f64 {
    mean(values.iter().map(|v| v * v)) + epsilon
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let (x, scale) = (args.input(0)?, args.optional(1));
    let (axes, epsilon) = (norm::axes(args, desc.rank())?, util::epsilon(args.attrs)?);
    let out = norm::by_group(x.data(), x.shape(), &axes, |values| {
        let root = power(values, epsilon).sqrt();
        values.iter().enumerate().map(|(i, v)| v / root * norm::parameter(scale, i, 1.0)).collect()
    });
    Ok(vec![Tensor::new(desc, out)?])
}

/// Half of the error of the mean square enters the root; then the root, a division, a product, the
/// scale.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let (x, y) = (args.input(0)?, &outputs[0]);
    let (axes, epsilon) = (norm::axes(args, x.shape().len())?, util::epsilon(args.attrs)?);
    let relative = norm::by_group(x.data(), x.shape(), &axes, |values| {
        let of_power = norm::power_units(values.len() as f64, power(values, epsilon), x.dtype());
        let of_root = norm::inverse_root_units(of_power, x.dtype());
        vec![of_root + SQRT_UNITS + DIV_UNITS + 2.0; values.len()]
    });
    let units = relative.iter().zip(y.data()).map(|(r, y)| if *y == 0.0 { 0.0 } else { r * y.abs() });
    Ok(vec![util::with_floor(x.dtype(), units)])
}
