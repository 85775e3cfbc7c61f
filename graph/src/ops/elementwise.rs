//! What the element-by-element ops share: the common columns of their rows, and the walks of their
//! references and bounds. A row takes the rest of its columns from [`UNARY`], [`BINARY`],
//! [`COMPARISON`] or [`LOGICAL`] by struct update.

use super::util::{self, broadcast_offset, broadcast_shape, output_of};
use crate::{Args, Bound, DType, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types};

/// The columns that ops on one float tensor share.
pub(super) const UNARY: OpDef = OpDef {
    name: "",
    doc: "",
    inputs: &[InputSpec::required("X", Types::Float)],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[],
    infer: util::infer_like_first,
    reference: |_| Err(OpError::invalid("the row has no reference")),
    bound: Bound::Exact,
    flops: util::flops_per_element,
};

/// The columns that arithmetic on two tensors shares.
pub(super) const BINARY: OpDef = OpDef {
    inputs: &[InputSpec::required("A", Types::Number), InputSpec::required("B", Types::Number)],
    outputs: &["C"],
    infer: infer_broadcast,
    ..UNARY
};

/// The columns that comparisons share.
pub(super) const COMPARISON: OpDef = OpDef { infer: infer_truth, ..BINARY };

/// The columns that operations on two truth values share.
pub(super) const LOGICAL: OpDef = OpDef {
    inputs: &[InputSpec::required("A", Types::Bool), InputSpec::required("B", Types::Bool)],
    flops: util::flops_none,
    ..BINARY
};

fn infer_broadcast(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let dtype = util::same_type(args)?;
    let shape = broadcast_shape(&[&args.input(0)?.shape, &args.input(1)?.shape])?;
    Ok(vec![TensorDesc::new(dtype, shape)])
}

fn infer_truth(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    Ok(infer_broadcast(args)?.iter().map(|desc| desc.with_dtype(DType::Bool)).collect())
}

/// Reference of an op on one tensor.
pub(super) fn map(args: &Args<'_, Tensor>, f: impl Fn(f64) -> f64) -> Result<Vec<Tensor>, OpError> {
    Ok(vec![args.input(0)?.map(f)])
}

/// Reference of an op on two tensors.
pub(super) fn zip(args: &Args<'_, Tensor>, f: impl Fn(f64, f64) -> f64) -> Result<Vec<Tensor>, OpError> {
    let (a, b) = (args.input(0)?, args.input(1)?);
    Ok(vec![Tensor::from_fn(output_of(args)?, |index| {
        let x = a.data()[broadcast_offset(a.shape(), index)];
        let y = b.data()[broadcast_offset(b.shape(), index)];
        f(x, y)
    })])
}

/// Reference of a comparison or of logic.
pub(super) fn truth(args: &Args<'_, Tensor>, f: impl Fn(f64, f64) -> bool) -> Result<Vec<Tensor>, OpError> {
    zip(args, |a, b| f64::from(u8::from(f(a, b))))
}

/// Reference of arithmetic on two tensors: one function for floats, one for integers, whose result
/// wraps around to the range of the type.
pub(super) fn arithmetic(
    args: &Args<'_, Tensor>,
    float: impl Fn(f64, f64) -> f64,
    int: impl Fn(i128, i128) -> i128,
) -> Result<Vec<Tensor>, OpError> {
    let dtype = args.input(0)?.dtype();
    if dtype.is_float() {
        return zip(args, float);
    }
    zip(args, |a, b| wrap(dtype, int(a as i128, b as i128)))
}

/// An integer modulo the range of an integer type, as two's complement has it.
pub(super) fn wrap(dtype: DType, v: i128) -> f64 {
    match dtype {
        DType::I8 => f64::from(v as i8),
        DType::U8 => f64::from(v as u8),
        DType::I32 => f64::from(v as i32),
        _ => v as i64 as f64,
    }
}

/// Bound of an op on one tensor from `units(x, y)`, y being the exact f(x), plus the subnormal
/// floor. At an infinity the limit itself is due, whatever the formula says.
pub(super) fn bound(
    args: &Args<'_, Tensor>,
    outputs: &[Tensor],
    units: impl Fn(f64, f64) -> f64,
) -> Result<Vec<Vec<f64>>, OpError> {
    let x = args.input(0)?;
    let pairs = x.data().iter().zip(outputs[0].data());
    let units = pairs.map(|(&x, &y)| if x.is_finite() { units(x, y) } else { 0.0 });
    Ok(vec![util::with_floor(x.dtype(), units)])
}

/// The relative error of exp(x) in units of roundoff: what Vulkan and WGSL allow, 3 + 2|x| ULP, an
/// ULP being two units. The |x| is the rounding of the argument during its reduction.
pub(super) fn exp_units(x: f64) -> f64 {
    6.0 + 4.0 * x.abs()
}

/// The relative error of a division: 2.5 ULP in Vulkan and WGSL.
pub(super) const DIV_UNITS: f64 = 5.0;

/// The relative error of a square root: an inverse square root of 2 ULP and a division.
pub(super) const SQRT_UNITS: f64 = 9.0;

/// 1 / (1 + exp(-x)).
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The relative error of [`sigmoid`]: exp(-x) enters the denominator once, weighted by its share
/// of it; then an addition and a division.
pub(super) fn sigmoid_units(x: f64) -> f64 {
    sigmoid(-x) * exp_units(x) + 1.0 + DIV_UNITS
}

/// The absolute error of tanh(x), y being the exact value. The formula (1 - t) / (1 + t) with
/// t = exp(-2|x|) is allowed for: an error of t enters both parts, then a subtraction, an addition
/// and a division. It cancels near 0, where the error is absolute.
pub(super) fn tanh_units(x: f64, y: f64) -> f64 {
    let t = (-2.0 * x.abs()).exp();
    let t_error = t * exp_units(2.0 * x);
    t_error * (1.0 + y.abs()) / (1.0 + t) + (2.0 + DIV_UNITS) * y.abs()
}

/// The absolute error of erf(z) for a z that is itself rounded twice, y being the exact value:
/// polynomials good to two ULP of 1 are allowed for, as no shading language has erf.
pub(super) fn erf_units(z: f64, y: f64) -> f64 {
    4.0 + 4.0 * y.abs() + 2.0 * z.abs() * erf_slope(z)
}

fn erf_slope(z: f64) -> f64 {
    std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp()
}

/// The absolute error of sin or cos of an angle, y being the exact value and `slope` the other
/// function: a relative part, and the rounding of the angle in its reduction, in units of |angle|.
pub(super) fn angle_units(angle: f64, angle_error: f64, y: f64, slope: f64) -> f64 {
    4.0 * y.abs() + (2.0 + angle_error) * (angle * slope).abs()
}
