//! Rules of the ops that move data.

use kinograph_backend::attributes::{PadMode, Resampling, axis, axis_of, count, sizes};
use kinograph_graph::{DType, Node, OpError, Source};

use super::builder::{Builder, LowerError};
use crate::kernels::copy::{Concat, MappedCopy, StridedCopy};
use crate::kernels::gather::Gather;
use crate::kernels::resize;
use crate::layout::{broadcast_strides, dense_strides};

type Lowered = Result<(), LowerError>;

fn input(node: &Node, i: usize) -> Result<kinograph_graph::ValueId, OpError> {
    node.input(i).ok_or_else(|| OpError::invalid(format!("input {i} is missing")))
}

/// Identity, Reshape: the same bytes.
pub(super) fn alias(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let from = b.value(input(node, 0)?)?;
    b.alias(node.outputs[0], from, 0);
    Ok(())
}

/// A step that reads an input by strides, or an alias where it would copy it as it is.
fn strided(
    b: &mut Builder<'_>,
    node: &Node,
    output: usize,
    shape: &[usize],
    strides: Vec<isize>,
    start: usize,
) -> Lowered {
    let id = input(node, 0)?;
    let from = b.value(id)?;
    let element = b.desc(id).dtype.size();
    let contiguous = {
        let dense = dense_strides(shape);
        (0..shape.len()).all(|a| shape[a] == 1 || strides[a] == dense[a])
    };
    if contiguous {
        b.alias(node.outputs[output], from, start * element);
        return Ok(());
    }
    let out = b.made(node.outputs[output]);
    b.step_into(node, StridedCopy::new(element, shape, strides, start), vec![from], vec![out]);
    Ok(())
}

pub(super) fn transpose(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.desc(input(node, 0)?).clone();
    let perm: Vec<usize> = match node.attrs.opt_ints("perm")? {
        None => (0..x.rank()).rev().collect(),
        Some(perm) => perm.iter().map(|&a| axis(a, x.rank())).collect::<Result<_, _>>()?,
    };
    let dense = dense_strides(&x.shape);
    let shape: Vec<usize> = perm.iter().map(|&a| x.shape[a]).collect();
    strided(b, node, 0, &shape, perm.iter().map(|&a| dense[a]).collect(), 0)
}

pub(super) fn expand(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x, out) = (b.desc(input(node, 0)?).clone(), b.desc(node.outputs[0]).clone());
    strided(b, node, 0, &out.shape, broadcast_strides(&x.shape, &out.shape), 0)
}

pub(super) fn tile(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.desc(input(node, 0)?).clone();
    let repeats = sizes(&node.attrs, "repeats", x.rank(), 1)?;
    let dense = dense_strides(&x.shape);
    // Each axis becomes two: the repeats, which do not move, and the axis itself.
    let shape: Vec<usize> = repeats.iter().zip(&x.shape).flat_map(|(&r, &d)| [r, d]).collect();
    let strides = dense.iter().flat_map(|&s| [0, s]).collect();
    strided(b, node, 0, &shape, strides, 0)
}

pub(super) fn slice(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.desc(input(node, 0)?).clone();
    let out = b.desc(node.outputs[0]).clone();
    let (starts, steps) = (node.attrs.ints("starts")?, node.attrs.opt_ints("steps")?);
    let axes: Vec<usize> = match node.attrs.opt_ints("axes")? {
        None => (0..starts.len()).collect(),
        Some(axes) => axes.iter().map(|&a| axis(a, x.rank())).collect::<Result<_, _>>()?,
    };
    let mut strides = dense_strides(&x.shape);
    let mut start = 0;
    for (i, &axis) in axes.iter().enumerate() {
        let step = steps.map_or(1, |s| s[i]);
        let dim = x.shape[axis] as i64;
        let wrapped = if starts[i] < 0 { starts[i].saturating_add(dim) } else { starts[i] };
        let first = if step > 0 { wrapped.clamp(0, dim) } else { wrapped.clamp(-1, dim - 1) };
        start += first.max(0) as usize * strides[axis] as usize;
        // A step beyond the axis leaves one element, which no stride is taken from.
        strides[axis] *= if out.shape[axis] > 1 { step as isize } else { 1 };
    }
    let start = if out.elements() == 0 { 0 } else { start };
    strided(b, node, 0, &out.shape, strides, start)
}

pub(super) fn split(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = b.desc(input(node, 0)?).clone();
    let axis = axis_of(&node.attrs, x.rank())?;
    let strides = dense_strides(&x.shape);
    let mut position = 0;
    for output in 0..node.outputs.len() {
        let part = b.desc(node.outputs[output]).clone();
        let start = if part.elements() == 0 { 0 } else { position * strides[axis] as usize };
        strided(b, node, output, &part.shape, strides.clone(), start)?;
        position += part.shape[axis];
    }
    Ok(())
}

pub(super) fn concat(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let first = b.desc(input(node, 0)?).clone();
    let axis = axis_of(&node.attrs, first.rank())?;
    let ids: Vec<_> = node.inputs.iter().flatten().copied().collect();
    let parts = ids.iter().map(|&id| count(&b.desc(id).shape[axis..]) * first.dtype.size()).collect();
    let vals = ids.iter().map(|&id| b.value(id)).collect::<Result<Vec<_>, _>>()?;
    if let [only] = vals[..] {
        b.alias(node.outputs[0], only, 0);
        return Ok(());
    }
    b.step(node, Concat { parts }, vals);
    Ok(())
}

/// A map of positions to offsets, from the index found at each position.
fn map(dim: usize, stride: isize, found: impl Fn(usize) -> Option<usize>, len: usize) -> Vec<Option<usize>> {
    (0..len).map(|i| found(i).filter(|&p| p < dim).map(|p| p * stride as usize)).collect()
}

pub(super) fn pad(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let id = input(node, 0)?;
    let (x, out) = (b.desc(id).clone(), b.desc(node.outputs[0]).clone());
    let mode = PadMode::of(&node.attrs, "mode")?;
    let begins = sizes(&node.attrs, "pads", 2 * x.rank(), 0)?;
    b.check_table(out.shape.iter().copied().max().unwrap_or(0))?;
    let strides = dense_strides(&x.shape);
    let maps = (0..x.rank())
        .map(|a| {
            let found = |i: usize| mode.source(i as i64 - begins[a] as i64, x.shape[a]);
            map(x.shape[a], strides[a], found, out.shape[a])
        })
        .collect();
    let filler = kinograph_backend::HostData::from_f64(x.dtype, &[node.attrs.float("value")?]);
    let from = b.value(id)?;
    let filler = filler.as_bytes().to_vec();
    b.step(node, MappedCopy { element: x.dtype.size(), maps, filler }, vec![from]);
    Ok(())
}

pub(super) fn gather(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (data, indices) = (input(node, 0)?, input(node, 1)?);
    let desc = b.desc(data).clone();
    let axis = axis_of(&node.attrs, desc.rank())?;
    // A table of another float type is widened row by row as it is read.
    let weight = b.graph.value(data).source == Source::Weight;
    let table = if weight && desc.dtype == DType::F32 { b.stored(data)? } else { b.value(data)? };
    let indices = b.value(indices)?;
    let kernel = Gather { axis: desc.shape[axis], inner: count(&desc.shape[axis + 1..]), output: desc.dtype };
    b.step(node, kernel, vec![table, indices]);
    Ok(())
}

pub(super) fn resize(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let id = input(node, 0)?;
    let (x, out) = (b.desc(id).clone(), b.desc(node.outputs[0]).clone());
    b.check_table(out.shape.iter().copied().max().unwrap_or(0))?;
    let axes = Resampling::of(&node.attrs, &x, &out)?;
    if node.attrs.str("mode")? == "linear" {
        return resize_linear(b, node, &axes);
    }
    let strides = dense_strides(&x.shape);
    let mut maps: Vec<_> = (0..2).map(|a| map(x.shape[a], strides[a], Some, x.shape[a])).collect();
    for (i, axis) in axes.iter().enumerate() {
        maps.push(map(axis.input, strides[i + 2], |o| Some(axis.nearest(o)), axis.output));
    }
    let from = b.value(id)?;
    let filler = vec![0; x.dtype.size()];
    b.step(node, MappedCopy { element: x.dtype.size(), maps, filler }, vec![from]);
    Ok(())
}

fn resize_linear(b: &mut Builder<'_>, node: &Node, axes: &[Resampling]) -> Lowered {
    let taps = |axis: &Resampling| resize::Taps {
        input: axis.input,
        taps: (0..axis.output).map(|o| axis.between(o)).collect(),
    };
    let whole = || resize::Taps { input: 1, taps: vec![(0, 0, 0.0)] };
    let axes = match axes {
        [a] => [whole(), whole(), taps(a)],
        [a, b] => [whole(), taps(a), taps(b)],
        [a, b, c] => [taps(a), taps(b), taps(c)],
        _ => return Err(kinograph_backend::Refusal::Rank(axes.len() + 2).into()),
    };
    let from = b.f32(input(node, 0)?)?;
    b.step_f32(node, resize::Linear { axes }, vec![from]);
    Ok(())
}
