//! What the ops along axes share: the walk over groups of elements, and the common columns of the
//! reductions' rows.

use super::util;
use crate::tensor::for_each_index;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

/// The columns that reductions share.
pub(super) const REDUCTION: OpDef = OpDef {
    name: "",
    doc: "",
    inputs: &[InputSpec::required("data", Types::Number)],
    outputs: &["reduced"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "axes",
            kind: AttrKind::Ints,
            default: AttrDefault::Absent,
            doc: "The axes to reduce, from the end if negative; without it, all.",
        },
        KEEPDIMS,
    ],
    infer,
    reference: |_| Err(OpError::invalid("the row has no reference")),
    bound: Bound::Exact,
    flops: |args, _| util::cost(&args.inputs.iter().flatten().map(|d| (*d).clone()).collect::<Vec<_>>(), 1),
};

/// Whether reduced axes stay.
pub(super) const KEEPDIMS: AttrSpec = AttrSpec {
    name: "keepdims",
    kind: AttrKind::Bool,
    default: AttrDefault::Bool(true),
    doc: "Whether reduced axes stay, with size 1.",
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let x = args.input(0)?;
    let axes = axes(args, x.rank())?;
    Ok(vec![reduced(x, &axes, args.attrs.bool("keepdims")?)])
}

/// Inference of a reduction that has no value for no elements.
pub(super) fn infer_nonempty(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let x = args.input(0)?;
    check_nonempty(x, &axes(args, x.rank())?)?;
    infer(args)
}

/// Refuses to reduce an axis of size 0.
pub(super) fn check_nonempty(x: &TensorDesc, axes: &[usize]) -> Result<(), OpError> {
    match axes.iter().find(|&&a| x.shape[a] == 0) {
        Some(axis) => {
            Err(OpError::invalid(format!("axis {axis} of {x} is empty, and nothing has no extreme value")))
        }
        None => Ok(()),
    }
}

/// The description of a tensor after a reduction.
pub(super) fn reduced(x: &TensorDesc, axes: &[usize], keepdims: bool) -> TensorDesc {
    let mut shape = x.shape.clone();
    axes.iter().for_each(|&a| shape[a] = 1);
    if !keepdims {
        let mut axis = 0..;
        shape.retain(|_| axis.next().is_some_and(|a| !axes.contains(&a)));
    }
    x.with_shape(shape)
}

fn axes<T>(args: &Args<'_, T>, rank: usize) -> Result<Vec<usize>, OpError> {
    match args.attrs.opt_ints("axes")? {
        None => Ok((0..rank).collect()),
        Some(axes) => some_axes(axes, rank),
    }
}

/// The axes of a list that must not be empty, sorted.
pub(super) fn some_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    if axes.is_empty() {
        return Err(OpError::attribute("axes", "the list is empty; leave it out for the default"));
    }
    let mut axes = util::axes("axes", axes, rank)?;
    axes.sort_unstable();
    Ok(axes)
}

/// Calls `f` with the flat positions of the elements of each group: those elements that differ only
/// along `axes` (sorted), in row-major order. The groups come in row-major order too.
pub(super) fn each_group(shape: &[usize], axes: &[usize], mut f: impl FnMut(&[usize])) {
    let mut outer = shape.to_vec();
    axes.iter().for_each(|&a| outer[a] = 1);
    let inner: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    for_each_index(&outer, |start| {
        let mut positions = Vec::new();
        let mut index = start.to_vec();
        for_each_index(&inner, |along| {
            axes.iter().zip(along).for_each(|(&a, &i)| index[a] = i);
            positions.push(util::offset(shape, &index));
        });
        f(&positions);
    });
}

/// Reference of a reduction from the function on the values of a group.
pub(super) fn reduce(args: &Args<'_, Tensor>, f: impl Fn(&[f64]) -> f64) -> Result<Vec<Tensor>, OpError> {
    Ok(vec![Tensor::new(util::output_of(args)?, reduce_data(args, f)?)?])
}

/// `f` of the values of each group, in the order of the output.
pub(super) fn reduce_data(args: &Args<'_, Tensor>, f: impl Fn(&[f64]) -> f64) -> Result<Vec<f64>, OpError> {
    let x = args.input(0)?;
    let axes = axes(args, x.shape().len())?;
    let mut out = Vec::new();
    each_group(x.shape(), &axes, |positions| {
        let values: Vec<f64> = positions.iter().map(|&i| x.data()[i]).collect();
        out.push(f(&values));
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_row_major() {
        let mut seen = Vec::new();
        each_group(&[2, 3, 2], &[0, 2], |p| seen.push(p.to_vec()));
        assert_eq!(seen, [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]);
    }

    #[test]
    fn an_empty_axis_makes_empty_groups() {
        let mut seen = 0;
        each_group(&[2, 0], &[1], |p| {
            assert!(p.is_empty());
            seen += 1;
        });
        assert_eq!(seen, 2);
    }
}
