//! The ops of reproducible numerics: each is defined by [`crate::exact`] to the bit, and its bound is 0.
//!
//! Operands are clean `f32`, as every result is: finite, without subnormal numbers or a negative zero. Weights need not
//! be: the products and normalisations clean them as they read them. [`crate::passes::reproducible`] writes graphs in these ops.

pub(super) mod attention;
pub(super) mod conv;
pub(super) mod elementwise;
pub(super) mod norm;
pub(super) mod products;

use super::util;
use crate::exact::Slices;
use crate::{AttrDefault, AttrKind, AttrSpec, Attrs, DType, OpError, Tensor, TensorDesc};

/// How many slices the operands of a product are cut into.
const SLICES: AttrSpec = AttrSpec {
    name: "slices",
    kind: AttrKind::Int,
    default: AttrDefault::Int(2),
    doc: "Slices of eight bits that operands are cut into: 1 or 2.",
};

fn slices(attrs: &Attrs) -> Result<Slices, OpError> {
    let count = attrs.int("slices")?;
    Slices::from_count(count)
        .ok_or_else(|| OpError::attribute("slices", format!("{count} is given, but must be 1 or 2")))
}

/// Refuses what is not `f32`: the arithmetic knows no other.
fn only_f32<'a>(descs: impl IntoIterator<Item = &'a TensorDesc>) -> Result<(), OpError> {
    match descs.into_iter().find(|desc| desc.dtype != DType::F32 && desc.dtype != DType::Bool) {
        None => Ok(()),
        Some(desc) => Err(OpError::invalid(format!(
            "reproducible numerics are of f32, and an operand is {desc}; use Cast"
        ))),
    }
}

/// The elements of a tensor as what they are.
fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.data().iter().map(|&v| v as f32).collect()
}

/// A tensor from computed elements.
fn tensor(desc: TensorDesc, data: impl IntoIterator<Item = f32>) -> Result<Vec<Tensor>, OpError> {
    Ok(vec![Tensor::new(desc, data.into_iter().map(f64::from).collect())?])
}

/// An element of an optional parameter, cleaned.
fn parameter(parameter: Option<&Tensor>, i: usize) -> Option<f32> {
    parameter.map(|p| crate::exact::flush(p.data()[i] as f32))
}

/// The cost of a product: that of the op that it stands for.
fn flops_of(name: &str) -> fn(&crate::Args<'_, TensorDesc>, &[TensorDesc]) -> u64 {
    super::find(name).map_or(util::flops_per_element, |op| op.flops)
}
