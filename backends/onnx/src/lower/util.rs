//! What several lowerings share.

use kinograph_backend::Refusal;
use kinograph_graph::{DType, Node, OpError};

use crate::builder::{Builder, Lowered, Name};
use crate::model::Attr;

/// A defect of the op's row or of inference, as a refusal: a checked node has its attributes.
pub(crate) fn defect(error: OpError) -> Refusal {
    Refusal::Other(error.to_string())
}

/// An integer attribute.
pub(crate) fn int(node: &Node, name: &str) -> Lowered<i64> {
    node.attrs.int(name).map_err(defect)
}

/// A number.
pub(crate) fn float(node: &Node, name: &str) -> Lowered<f32> {
    node.attrs.float(name).map(|v| v as f32).map_err(defect)
}

/// A truth value.
pub(crate) fn flag(node: &Node, name: &str) -> Lowered<bool> {
    node.attrs.bool(name).map_err(defect)
}

/// A word.
pub(crate) fn word<'n>(node: &'n Node, name: &str) -> Lowered<&'n str> {
    node.attrs.str(name).map_err(defect)
}

/// A list of integers, which may be absent.
pub(crate) fn ints<'n>(node: &'n Node, name: &str) -> Lowered<Option<&'n [i64]>> {
    node.attrs.opt_ints(name).map_err(defect)
}

/// An axis, from the end if negative.
pub(crate) fn axis(value: i64, rank: usize) -> usize {
    if value < 0 { (value + rank as i64).max(0) as usize } else { value as usize }
}

/// The attribute `axes` as positions, sorted; all axes when it is absent.
pub(crate) fn axes(node: &Node, rank: usize) -> Lowered<Vec<usize>> {
    let mut axes: Vec<usize> = match ints(node, "axes")? {
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect(),
        None => (0..rank).collect(),
    };
    axes.sort_unstable();
    Ok(axes)
}

pub(crate) fn list(values: impl IntoIterator<Item = usize>) -> Attr {
    Attr::Ints(values.into_iter().map(|v| v as i64).collect())
}

/// Integers that are computed in their own type; others are refused.
pub(crate) fn wide_integers(dtype: DType) -> Lowered {
    match dtype {
        DType::I8 | DType::U8 => Err(Refusal::DType(dtype)),
        _ => Ok(()),
    }
}

impl Builder<'_> {
    /// Where a float is NaN.
    pub(crate) fn is_nan(&mut self, value: &str) -> Name {
        self.op("IsNaN", &[value])
    }

    /// A reduction along axes, which ONNX takes as an input.
    pub(crate) fn reduce(&mut self, op: &'static str, value: &str, axes: &[usize], keep: bool) -> Name {
        if axes.is_empty() {
            return self.op("Identity", &[value]);
        }
        let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
        // Of the reductions only ReduceSum takes axes as an input in every opset that is written.
        if op == "ReduceSum" || self.target.opset >= 18 {
            let axes = self.i64s(&axes);
            return self.op_with(op, &[value, &axes], vec![("keepdims", Attr::Int(i64::from(keep)))]);
        }
        self.op_with(op, &[value], vec![("axes", Attr::Ints(axes)), ("keepdims", Attr::Int(i64::from(keep)))])
    }
}
