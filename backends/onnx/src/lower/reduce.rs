//! Reductions.

use kinograph_graph::{DType, Node};

use super::util::{axes, axis, flag, int, wide_integers};
use crate::builder::{Builder, Lowered};
use crate::model::Attr;

/// ReduceSum and ReduceMean.
pub(crate) fn sum(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node, 0)?;
    wide_integers(desc.dtype)?;
    let x = b.input(node, 0)?;
    let axes = axes(node, desc.rank())?;
    let mean = node.op.name == "ReduceMean";
    let y = if mean && axes.iter().any(|&a| desc.shape[a] == 0) {
        // The mean of nothing, which libraries give as 0.
        let out = b.out_desc(node, 0);
        let nan = b.number(f32::NAN);
        b.broadcast(&nan, &out.shape)
    } else {
        b.reduce(if mean { "ReduceMean" } else { "ReduceSum" }, &x, &axes, flag(node, "keepdims")?)
    };
    b.output(node, 0, y);
    Ok(())
}

/// ReduceMax and ReduceMin: NaN if any element is NaN.
pub(crate) fn extreme(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node, 0)?;
    wide_integers(desc.dtype)?;
    let x = b.input(node, 0)?;
    let (axes, keep) = (axes(node, desc.rank())?, flag(node, "keepdims")?);
    let op = if node.op.name == "ReduceMax" { "ReduceMax" } else { "ReduceMin" };
    let mut y = b.reduce(op, &x, &axes, keep);
    if desc.dtype.is_float() && !axes.is_empty() {
        let nan = b.is_nan(&x);
        let nan = b.cast(&nan, DType::I32);
        let count = b.reduce("ReduceSum", &nan, &axes, keep);
        let any = b.cast(&count, DType::Bool);
        let nan = b.number(f32::NAN);
        y = b.op("Where", &[&any, &nan, &y]);
    }
    b.output(node, 0, y);
    Ok(())
}

/// The first of the largest; a NaN counts as the largest.
pub(crate) fn arg_max(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node, 0)?;
    wide_integers(desc.dtype)?;
    let x = b.input(node, 0)?;
    let axis = axis(int(node, "axis")?, desc.rank());
    let keep = flag(node, "keepdims")?;
    let attrs = || vec![("axis", Attr::Int(axis as i64)), ("keepdims", Attr::Int(i64::from(keep)))];
    let mut y = b.op_with("ArgMax", &[&x], attrs());
    if desc.dtype.is_float() {
        let nan = b.is_nan(&x);
        let nan = b.cast(&nan, DType::I32);
        let first = b.op_with("ArgMax", &[&nan], attrs());
        let count = b.reduce("ReduceSum", &nan, &[axis], keep);
        let any = b.cast(&count, DType::Bool);
        y = b.op("Where", &[&any, &first, &y]);
    }
    b.raw_output(node, 0, y);
    Ok(())
}
