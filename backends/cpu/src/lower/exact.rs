//! Rules of the reproducible ops.

use kinograph_backend::Refusal;
use kinograph_backend::attributes::{count, sorted_axes};
use kinograph_graph::{DType, Graph, Node, OpError, Source, ValueId};

use super::builder::{Builder, LowerError, Val};
use super::{compute, reduce};
use crate::kernels::attention::Heads;
use crate::kernels::conv::exact::{Exact, kernel_pairs, pack_kernel};
use crate::kernels::exact::attention::Attention;
use crate::kernels::exact::functions::{clean, scale};
use crate::kernels::exact::linear::Linear;
use crate::kernels::exact::norm::Norm;
use crate::kernels::exact::whole::{Columns, Largest, Rows, largest, pack_weight_row};
use crate::kernels::exact::{CHUNK, Precision};
use crate::kernels::micro::GROUP;
use crate::layout::broadcast_strides;
use crate::simd::Level;

type Lowered = Result<(), LowerError>;

fn input(node: &Node, i: usize) -> Result<ValueId, OpError> {
    node.input(i).ok_or_else(|| OpError::invalid(format!("input {i} is missing")))
}

fn precision(node: &Node) -> Result<Precision, OpError> {
    Ok(Precision::of(node.attrs.int("slices")?))
}

/// Whether a reproducible op has a kernel. Products need a weight that can be packed when it is loaded, and heads that one
/// exact sum holds.
pub(super) fn has_kernel(graph: &Graph, node: &Node) -> bool {
    match node.op.name {
        "exact.MatMul" | "exact.Softmax" => false,
        "exact.Linear" | "exact.Conv" => {
            node.input(1).is_some_and(|w| graph.value(w).source == Source::Weight)
        }
        "exact.Attention" => {
            let Some(q) = node.input(0).map(|id| &graph.value(id).desc.shape) else { return false };
            let heads = node.attrs.opt_int("q_num_heads").ok().flatten().filter(|_| q.len() == 3);
            let heads = heads.and_then(|h| usize::try_from(h).ok()).unwrap_or(1).max(1);
            q.last().is_some_and(|width| width / heads <= CHUNK)
        }
        _ => true,
    }
}

/// The rows of a value in pairs, with their units: made once for all that read them.
fn rows(
    b: &mut Builder<'_>,
    node: &Node,
    x: Val,
    count: usize,
    inner: usize,
    precision: Precision,
) -> (Val, Val) {
    if let Some(&known) = b.whole.get(&(x, inner, precision)) {
        return known;
    }
    let pairs = b.temporary(DType::I32, count * inner.div_ceil(2));
    let units = b.temporary(DType::F32, count);
    b.step_into(node, Rows { inner, precision }, vec![x], vec![pairs, units]);
    b.whole.insert((x, inner, precision), (pairs, units));
    (pairs, units)
}

pub(super) fn linear(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let precision = precision(node)?;
    let shape = &b.desc(input(node, 0)?).shape;
    let (w, total) = (input(node, 1)?, count(&shape[..shape.len() - 1]));
    let [out, inner] = b.desc(w).shape[..] else { return Err(Refusal::Op.into()) };
    let x = b.value(input(node, 0)?)?;
    let (x, x_units) = rows(b, node, x, total, inner, precision);
    let half = inner.div_ceil(2);
    let panels = out.div_ceil(GROUP);
    let (w, w_units) = b.packed_weight(
        w,
        "linear",
        (out, inner),
        panels * half * GROUP,
        precision,
        &mut |r, row, pairs| {
            let mut own = vec![0; half];
            let unit = pack_weight_row(Level::best(), row, precision, &mut own);
            let start = r / GROUP * half * GROUP + r % GROUP;
            pairs.iter_mut().skip(start).step_by(GROUP).zip(own).for_each(|(slot, pair)| *slot = pair);
            unit
        },
    )?;
    let mut vals = vec![x, x_units, w, w_units];
    if let Some(bias) = node.input(2) {
        vals.push(b.f32(bias)?);
    }
    let kernel = Linear { rows: total, inner, out, precision, bias: vals.len() > 4 };
    b.step(node, kernel, vals);
    Ok(())
}

pub(super) fn conv(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let precision = precision(node)?;
    let (x, w) = (input(node, 0)?, input(node, 1)?);
    let direct = compute::direct(b, node, node.input(2).is_some(), &[])?;
    let (channels, taps) = (direct.channels_in, count(&b.desc(w).shape[2..]));
    let (out, inner) = (direct.channels_out * direct.groups, channels * taps);
    let pairs = kernel_pairs(channels, taps);
    let layout = format!("conv {channels}x{taps}");
    let (w, w_units) =
        b.packed_weight(w, &layout, (out, inner), out * pairs, precision, &mut |r, row, all| {
            row.iter_mut().for_each(|v| *v = clean(*v));
            let (up, unit) = scale(largest(Level::best(), row), precision);
            pack_kernel(row, channels, taps, up, &mut all[r * pairs..(r + 1) * pairs]);
            unit
        })?;
    let (desc, x) = (b.desc(x).clone(), b.value(x)?);
    let parts = desc.shape[0] * direct.groups;
    let most = b.temporary(DType::F32, parts);
    b.step_into(node, Largest { part: desc.elements() / parts.max(1) }, vec![x], vec![most]);
    let mut vals = vec![x, most, w, w_units];
    if let Some(bias) = node.input(2) {
        vals.push(b.f32(bias)?);
    }
    b.step(node, Exact { direct, precision }, vals);
    Ok(())
}

pub(super) fn attention(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let precision = precision(node)?;
    let (q, k, v) = compute::all_heads(b, node)?;
    let batch = b.desc(input(node, 0)?).shape[0];
    let mut vals = Vec::new();
    for (i, heads) in [(0, q), (1, k)] {
        let x = b.value(input(node, i)?)?;
        let (pairs, units) = rows(b, node, x, batch * heads.heads * heads.length, heads.size, precision);
        vals.extend([pairs, units]);
    }
    vals.extend(columns(b, node, input(node, 2)?, v, precision)?);
    let scores = [batch, q.heads, q.length, k.length];
    let mut extra = |b: &mut Builder<'_>, i: usize| -> Result<Option<(usize, [usize; 4])>, LowerError> {
        let Some(id) = node.input(i) else { return Ok(None) };
        let strides = broadcast_strides(&b.desc(id).shape, &scores);
        vals.push(b.value(id)?);
        Ok(Some((vals.len() - 1, std::array::from_fn(|a| strides[a] as usize))))
    };
    let (mask, bias) = (extra(b, 3)?, extra(b, 4)?);
    let scale = clean(node.attrs.opt_float("scale")?.unwrap_or((q.size as f64).sqrt().recip()) as f32);
    let causal = node.attrs.bool("causal")?;
    b.step(node, Attention { q, k, v, scale, causal, precision, mask, bias }, vals);
    Ok(())
}

/// The columns of the values in pairs, with their units.
fn columns(
    b: &mut Builder<'_>,
    node: &Node,
    v: ValueId,
    heads: Heads,
    precision: Precision,
) -> Result<[Val; 2], LowerError> {
    let batch = b.desc(v).shape[0];
    let columns = batch * heads.heads * heads.size;
    let pairs = b.temporary(DType::I32, columns * heads.length.div_ceil(2));
    let units = b.temporary(DType::F32, columns);
    let x = b.value(v)?;
    b.step_into(node, Columns { heads, precision }, vec![x], vec![pairs, units]);
    Ok([pairs, units])
}

fn norm(b: &mut Builder<'_>, node: &Node, centred: bool) -> Lowered {
    let id = input(node, 0)?;
    let shape = b.desc(id).shape.clone();
    let axes = sorted_axes(&node.attrs, shape.len())?;
    let mut vals = vec![b.value(id)?];
    let mut places = [None; 2];
    for (place, i) in places.iter_mut().zip([1, 2]) {
        if let Some(id) = node.input(i) {
            *place = Some(vals.len());
            vals.push(b.f32(id)?);
        }
    }
    let kernel = Norm {
        centred,
        epsilon: clean(node.attrs.float("epsilon")? as f32),
        length: axes.iter().map(|&a| shape[a]).product(),
        precision: precision(node)?,
        scale: places[0],
        bias: places[1],
        form: reduce::form(&shape, &axes),
    };
    b.step(node, kernel, vals);
    Ok(())
}

pub(super) fn rms_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    norm(b, node, false)
}

pub(super) fn layer_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    norm(b, node, true)
}
