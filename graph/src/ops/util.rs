//! What nearly every op needs: axes, broadcasting, rules of type, units of error and of cost.

use crate::tensor::elements;
use crate::{Args, Attrs, DType, OpError, Tensor, TensorDesc};

/// The names of the element types, for attributes that choose one.
pub(super) const DTYPES: &[&str] = &["f32", "f16", "bf16", "i8", "u8", "i32", "i64", "bool"];

/// The element type that an attribute names.
pub(super) fn dtype(attrs: &Attrs, name: &str) -> Result<DType, OpError> {
    let word = attrs.str(name)?;
    DType::from_name(word).ok_or_else(|| OpError::attribute(name, format!("{word:?} is no element type")))
}

/// An axis of a tensor of that rank from an attribute that may count from the end.
pub(super) fn axis(name: &str, value: i64, rank: usize) -> Result<usize, OpError> {
    let signed_rank = rank as i64;
    let wrapped = if value < 0 { value.saturating_add(signed_rank) } else { value };
    if (0..signed_rank).contains(&wrapped) {
        return Ok(wrapped as usize);
    }
    Err(OpError::attribute(name, format!("axis {value} is outside a tensor of rank {rank}")))
}

/// Several axes, in the order given, without repeats.
pub(super) fn axes(name: &str, values: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    let mut out = Vec::new();
    for &value in values {
        let axis = axis(name, value, rank)?;
        if out.contains(&axis) {
            return Err(OpError::attribute(name, format!("axis {value} is listed twice in {values:?}")));
        }
        out.push(axis);
    }
    Ok(out)
}

/// A dimension from an attribute.
pub(super) fn dim(name: &str, value: i64) -> Result<usize, OpError> {
    usize::try_from(value)
        .map_err(|_| OpError::attribute(name, format!("{value} is not a size; sizes are 0 or more")))
}

/// A list of dimensions from an attribute.
pub(super) fn dims(name: &str, values: &[i64]) -> Result<Vec<usize>, OpError> {
    values.iter().map(|&v| dim(name, v)).collect()
}

/// A number of things, at least one, from an attribute.
pub(super) fn positive(name: &str, value: i64) -> Result<usize, OpError> {
    match usize::try_from(value) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(OpError::attribute(name, format!("{value} is given, but must be 1 or more"))),
    }
}

/// A number from an attribute that must not be infinite or NaN.
pub(super) fn finite(name: &str, value: f64) -> Result<f64, OpError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(OpError::attribute(name, format!("{value} is given, but must be finite")))
}

/// The `epsilon` of a normalisation: finite, and not negative.
pub(super) fn epsilon(attrs: &Attrs) -> Result<f64, OpError> {
    let epsilon = finite("epsilon", attrs.float("epsilon")?)?;
    if epsilon >= 0.0 {
        return Ok(epsilon);
    }
    Err(OpError::attribute("epsilon", format!("{epsilon} is given, but must be 0 or more")))
}

/// Checks that a list attribute has one entry for each of so many things.
pub(super) fn one_each(name: &str, given: usize, wanted: usize, what: &str) -> Result<(), OpError> {
    if given == wanted {
        return Ok(());
    }
    Err(OpError::attribute(name, format!("{given} entries are given, but there are {wanted} {what}")))
}

/// The shape of several operands broadcast together, by the rules of NumPy and ONNX: shapes are
/// aligned at the last axis, and a dimension of 1 stretches.
pub(super) fn broadcast_shape(shapes: &[&[usize]]) -> Result<Vec<usize>, OpError> {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out = vec![1; rank];
    for shape in shapes {
        let offset = rank - shape.len();
        for (axis, &d) in shape.iter().enumerate() {
            let o = &mut out[offset + axis];
            match (*o, d) {
                (_, 1) => {}
                (1, _) => *o = d,
                (a, b) if a == b => {}
                (a, b) => {
                    return Err(OpError::invalid(format!(
                        "shapes {shapes:?} do not broadcast together: {a} against {b} at axis {} of the result",
                        offset + axis
                    )));
                }
            }
        }
    }
    Ok(out)
}

/// Checks that an operand broadcasts to a shape without widening it.
pub(super) fn check_broadcasts_to(what: &str, desc: &TensorDesc, shape: &[usize]) -> Result<(), OpError> {
    match broadcast_shape(&[&desc.shape, shape]) {
        Ok(out) if out == shape => Ok(()),
        _ => Err(OpError::invalid(format!("{what} is {desc}, which does not broadcast to {shape:?}"))),
    }
}

/// The flat offset in an operand of that shape of the element that broadcasts to an index of the result.
pub(super) fn broadcast_offset(shape: &[usize], index: &[usize]) -> usize {
    let skip = index.len() - shape.len();
    shape.iter().zip(&index[skip..]).fold(0, |flat, (&d, &i)| flat * d + if d == 1 { 0 } else { i })
}

/// The flat offset of an index in a tensor of that shape, row-major.
pub(super) fn offset(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |flat, (&d, &i)| flat * d + i)
}

/// Checks that all given inputs have the type of the first, and returns it.
pub(super) fn same_type(args: &Args<'_, TensorDesc>) -> Result<DType, OpError> {
    same_type_among(args, 0..args.inputs.len())
}

/// Checks that those of the listed inputs that are given have the type of the first listed one.
pub(super) fn same_type_among(
    args: &Args<'_, TensorDesc>,
    indices: impl IntoIterator<Item = usize>,
) -> Result<DType, OpError> {
    let mut indices = indices.into_iter();
    let first = indices.next().unwrap_or(0);
    let dtype = args.input(first)?.dtype;
    for i in indices {
        if let Some(desc) = args.optional(i)
            && desc.dtype != dtype
        {
            return Err(OpError::invalid(format!(
                "input {first} is {dtype} and input {i} is {}; they must have one type (use Cast)",
                desc.dtype
            )));
        }
    }
    Ok(dtype)
}

/// Inference of an op whose output is like its first input.
pub(super) fn infer_like_first(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    Ok(vec![args.input(0)?.clone()])
}

/// What the op's own inference says of the outputs for these data. A reference starts with it, so
/// that it checks what inference checks and never indexes outside a tensor.
pub(super) fn outputs_of(args: &Args<'_, Tensor>) -> Result<Vec<TensorDesc>, OpError> {
    let inputs: Vec<Option<&TensorDesc>> = args.inputs.iter().map(|t| t.map(Tensor::desc)).collect();
    (args.op.infer)(&Args { op: args.op, inputs: &inputs, attrs: args.attrs })
}

/// [`outputs_of`] for an op with one output.
pub(super) fn output_of(args: &Args<'_, Tensor>) -> Result<TensorDesc, OpError> {
    outputs_of(args)?.pop().ok_or_else(|| OpError::invalid("the op has no output"))
}

/// A bound of so many units of roundoff relative to the result, plus the [`floor`].
pub(super) fn relative(outputs: &[Tensor], units: f64) -> Vec<Vec<f64>> {
    outputs.iter().map(|t| t.data().iter().map(|v| units * v.abs() + floor(t.dtype())).collect()).collect()
}

/// Completes a bound that was derived without regard to the [`floor`].
pub(super) fn with_floor(dtype: DType, units: impl IntoIterator<Item = f64>) -> Vec<f64> {
    units.into_iter().map(|units| units + floor(dtype)).collect()
}

/// The part of every bound that covers subnormals: a device may flush them to zero, which is an
/// error of at most the least normal number, here in units of roundoff of the type.
pub(super) fn floor(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 2f64.powi(-126 + 24),
        DType::F16 => 2f64.powi(-14 + 11),
        DType::BF16 => 2f64.powi(-126 + 8),
        _ => 0.0,
    }
}

/// The error of so many roundings of an accumulator, in units of the type. Sums, statistics and
/// coordinates are kept in f32 at least, whatever the type; all else may be rounded to the type.
pub(super) fn accumulated(dtype: DType, roundings: usize) -> f64 {
    roundings as f64 * accumulator_unit(dtype)
}

/// One rounding of an accumulator, in units of the type: see [`accumulated`].
pub(super) fn accumulator_unit(dtype: DType) -> f64 {
    if dtype.is_float() { DType::F32.unit_roundoff() / dtype.unit_roundoff() } else { 0.0 }
}

/// The cost of so many operations an output element.
pub(super) fn cost(outputs: &[TensorDesc], per_element: usize) -> u64 {
    let elements = outputs.iter().fold(0, |n: u64, d| n.saturating_add(d.elements() as u64));
    elements.saturating_mul(per_element as u64)
}

/// The cost of one operation an output element.
pub(super) fn flops_per_element(_: &Args<'_, TensorDesc>, outputs: &[TensorDesc]) -> u64 {
    cost(outputs, 1)
}

/// The cost of an op that only moves data.
pub(super) fn flops_none(_: &Args<'_, TensorDesc>, _: &[TensorDesc]) -> u64 {
    0
}

/// The number of elements of a shape, saturating.
pub(super) fn count(shape: &[usize]) -> usize {
    elements(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_aligns_at_the_end() {
        assert_eq!(broadcast_shape(&[&[2, 1, 3], &[4, 1]]).unwrap(), [2, 4, 3]);
        assert_eq!(broadcast_shape(&[&[], &[0, 1]]).unwrap(), [0, 1]);
        assert!(broadcast_shape(&[&[2], &[3]]).is_err());
        assert_eq!(broadcast_offset(&[4, 1], &[1, 3, 2]), 3);
    }

    #[test]
    fn broadcasting_to_a_shape_never_widens_it() {
        let desc = |shape: &[usize]| TensorDesc::new(DType::F32, shape);
        assert!(check_broadcasts_to("mask", &desc(&[1, 3]), &[2, 3]).is_ok());
        assert!(check_broadcasts_to("mask", &desc(&[2, 3]), &[1, 3]).is_err());
        assert!(check_broadcasts_to("mask", &desc(&[1, 2, 3]), &[2, 3]).is_err());
    }

    #[test]
    fn axes_wrap_once_and_do_not_repeat() {
        assert_eq!(axis("axis", -1, 3).unwrap(), 2);
        assert!(axis("axis", 3, 3).is_err());
        assert!(axis("axis", i64::MIN, 3).is_err());
        assert!(axis("axis", 0, 0).is_err());
        assert_eq!(axes("axes", &[-1, 0], 3).unwrap(), [2, 0]);
        assert!(axes("axes", &[2, -1], 3).is_err());
    }

    #[test]
    fn every_type_can_be_named_in_an_attribute() {
        assert_eq!(DTYPES, DType::ALL.map(DType::name));
    }
}
