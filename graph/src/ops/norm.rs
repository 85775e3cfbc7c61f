//! What the normalisations share: the attributes, and the errors of their statistics.

use super::elementwise::{DIV_UNITS, SQRT_UNITS};
use super::{reduce, util};
use crate::{Args, AttrDefault, AttrKind, AttrSpec, DType, OpError, Tensor, TensorDesc};

/// The axes that are normalised together.
pub(super) const AXES: AttrSpec = AttrSpec {
    name: "axes",
    kind: AttrKind::Ints,
    default: AttrDefault::Ints(&[-1]),
    doc: "The axes that are normalised together, from the end if negative, in any order.",
};

/// What keeps the divisor from zero.
pub(super) const EPSILON: AttrSpec = AttrSpec {
    name: "epsilon",
    kind: AttrKind::Float,
    default: AttrDefault::Float(1e-5),
    doc: "What is added under the square root.",
};

/// The normalised axes of a tensor of that rank, sorted.
pub(super) fn axes<T>(args: &Args<'_, T>, rank: usize) -> Result<Vec<usize>, OpError> {
    reduce::some_axes(args.attrs.ints("axes")?, rank)
}

/// Inference with parameters (input 1 on) that have the dimensions of the normalised axes.
pub(super) fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let axes = axes(args, args.input(0)?.rank())?;
    infer_parameters(args, &axes)
}

/// Inference with parameters (input 1 on) that have the dimensions of those axes.
pub(super) fn infer_parameters(
    args: &Args<'_, TensorDesc>,
    axes: &[usize],
) -> Result<Vec<TensorDesc>, OpError> {
    util::same_type(args)?;
    util::epsilon(args.attrs)?;
    let x = args.input(0)?;
    let shape: Vec<usize> = axes.iter().map(|&a| x.shape[a]).collect();
    for (i, parameter) in args.inputs.iter().enumerate().skip(1) {
        if let Some(parameter) = parameter
            && parameter.shape != shape
        {
            let name = args.op.inputs.get(i).map_or("?", |spec| spec.name);
            return Err(OpError::invalid(format!(
                "{name} is {parameter}, but must be {shape:?}: axes {axes:?} of {x}"
            )));
        }
    }
    Ok(vec![x.clone()])
}

/// Builds an output, or a bound, of the shape of `x` from a function of each group's positions.
pub(super) fn by_group(
    x: &[f64],
    shape: &[usize],
    axes: &[usize],
    f: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    // An empty tensor has nothing to say, however many empty groups it may have.
    if !x.is_empty() {
        reduce::each_group(shape, axes, |positions| {
            let values: Vec<f64> = positions.iter().map(|&i| x[i]).collect();
            positions.iter().zip(f(&values)).for_each(|(&i, y)| out[i] = y);
        });
    }
    out
}

/// An element of an optional parameter.
pub(super) fn parameter(parameter: Option<&Tensor>, i: usize, absent: f64) -> f64 {
    parameter.map_or(absent, |p| p.data()[i])
}

pub(super) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// (x - mean) / sqrt(variance + epsilon); the variance is that of the population.
pub(super) fn standardize(x: &[f64], epsilon: f64) -> Vec<f64> {
    let mu = mean(x.iter().copied());
    let variance = mean(x.iter().map(|v| (v - mu).powi(2)));
    x.iter().map(|v| (v - mu) / (variance + epsilon).sqrt()).collect()
}

/// The absolute error of each element of [`standardize`], in units of roundoff u, for a device that
/// computes the mean first and the variance from the differences, both in an accumulator of unit a:
/// - the mean sums n values: (n + 5) a mean|x|, with a division; a difference d rounds once more;
/// - an error e of all d moves the variance by 2 e mean|d| + e^2; its own sum by (n + 9) a of it, and
///   flushed squares by the subnormal floor;
/// - half of that, relative, enters the inverse square root; then the square root, a division, a product.
///
/// Whatever the errors, no difference exceeds sqrt(n) standard deviations of n differences, so twice
/// that is the most that they can amount to.
pub(super) fn standardize_units(x: &[f64], epsilon: f64, dtype: DType) -> Vec<f64> {
    let n = x.len() as f64;
    let (unit, accumulator) = (dtype.unit_roundoff(), util::accumulator_unit(dtype));
    let mu = mean(x.iter().copied());
    let d: Vec<f64> = x.iter().map(|v| v - mu).collect();
    let power = mean(d.iter().map(|d| d * d)) + epsilon;
    let deviation = mean(d.iter().map(|d| d.abs()));
    let of_mean = (n + 5.0) * accumulator * mean(x.iter().map(|v| v.abs()));
    let of_variance = 2.0 * of_mean * deviation + unit * of_mean.powi(2);
    let of_power = of_variance / power + power_units(n, power, dtype);
    let of_root = inverse_root_units(of_power, dtype) + SQRT_UNITS + DIV_UNITS + 1.0;
    let scale = power.sqrt().recip();
    let most = 2.0 * (n.sqrt() + 1.0) / unit;
    d.iter().map(|d| ((of_mean + d.abs()) * scale + d.abs() * scale * of_root).min(most)).collect()
}

/// The relative error of a mean of n squares plus epsilon, computed in an accumulator: the squares,
/// their sum, the division, the addition, and squares that are flushed to zero.
pub(super) fn power_units(n: f64, power: f64, dtype: DType) -> f64 {
    (n + 9.0 + util::floor(DType::F32) / power) * util::accumulator_unit(dtype)
}

/// The relative error of 1 / sqrt(q) when q has a relative error of so many units: half of it while
/// it is small; no device can promise anything when the error reaches q itself.
pub(super) fn inverse_root_units(units: f64, dtype: DType) -> f64 {
    let share = units * dtype.unit_roundoff();
    if share < 1.0 { units / (2.0 * (1.0 - share)) } else { f64::INFINITY }
}
