//! Rules of the ops that multiply: linear layers, convolutions, attention.

use kinograph_backend::Refusal;
use kinograph_backend::attributes::{PadMode, Resampling, count, size, sizes};
use kinograph_graph::{DType, Node, OpError, TensorDesc, ValueId};

use super::builder::{Builder, LowerError, Val};
use super::folded::Reads;
use crate::kernels::attention::{Attention, Heads, row_starts};
use crate::kernels::conv::axis;
use crate::kernels::conv::direct::Direct;
use crate::kernels::conv::gathered::{Axis, Gathered};
use crate::kernels::linear::Linear;
use crate::kernels::matmul::MatMul;
use crate::kernels::rotary::Rotary;
use crate::layout::{Walk, broadcast_strides};

type Lowered = Result<(), LowerError>;

fn input(node: &Node, i: usize) -> Result<ValueId, OpError> {
    node.input(i).ok_or_else(|| OpError::invalid(format!("input {i} is missing")))
}

/// Two operands, the first of them the value that is given, the second in the type that it is stored in, and an optional bias.
fn operands(b: &mut Builder<'_>, node: &Node, first: ValueId) -> Result<(Vec<Val>, bool), LowerError> {
    let mut vals = vec![b.f32(first)?, b.stored(input(node, 1)?)?];
    if let Some(bias) = node.input(2) {
        vals.push(b.f32(bias)?);
    }
    let widen = b.values[vals[1]].dtype != DType::F32;
    Ok((vals, widen))
}

pub(super) fn linear(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let shape = &b.desc(input(node, 0)?).shape;
    let [out, inner] = b.desc(input(node, 1)?).shape[..] else { return Err(Refusal::Op.into()) };
    let rows = count(&shape[..shape.len() - 1]);
    let (vals, widen) = operands(b, node, input(node, 0)?)?;
    b.step_f32(node, Linear { rows, inner, out, bias: vals.len() > 2, widen }, vals);
    Ok(())
}

pub(super) fn mat_mul(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (a, w) = (b.desc(input(node, 0)?).shape.clone(), b.desc(input(node, 1)?).shape.clone());
    let out = &b.desc(node.outputs[0]).shape;
    let lead = &out[..out.len() - 2];
    let strides = |shape: &[usize]| broadcast_strides(&shape[..shape.len() - 2], lead);
    let lead = Walk::new(lead, &[strides(&a), strides(&w)]);
    let (vals, widen) = operands(b, node, input(node, 0)?)?;
    let (rows, inner, cols) = (a[a.len() - 2], a[a.len() - 1], w[w.len() - 1]);
    b.step_f32(node, MatMul { rows, inner, cols, lead, widen }, vals);
    Ok(())
}

/// The attributes of a sliding window along each axis.
struct Windows {
    strides: Vec<usize>,
    dilations: Vec<usize>,
    begins: Vec<usize>,
}

impl Windows {
    fn of(node: &Node, axes: usize) -> Result<Self, OpError> {
        Ok(Self {
            strides: sizes(&node.attrs, "strides", axes, 1)?,
            dilations: sizes(&node.attrs, "dilations", axes, 1)?,
            begins: sizes(&node.attrs, "pads", 2 * axes, 0)?,
        })
    }
}

/// An axis from the rule that says which element a tap meets at a position.
fn meeting(input: usize, output: usize, taps: usize, meets: impl Fn(usize, usize) -> Option<usize>) -> Axis {
    let all = (0..taps).flat_map(|k| (0..output).map(move |o| (o, k)));
    let meets = all.map(|(o, k)| meets(o, k).filter(|&i| i < input).map_or(-1, |i| i as i32)).collect();
    Axis { input, output, taps, meets }
}

/// The largest padding of a convolution.
fn padding(node: &Node, axes: usize) -> Result<usize, OpError> {
    Ok(sizes(&node.attrs, "pads", 2 * axes, 0)?.into_iter().max().unwrap_or(0))
}

/// The three axes of a convolution, unused leading ones of size 1: each made from its number and
/// its sizes (input, output, taps).
fn convolution<A>(
    b: &Builder<'_>,
    node: &Node,
    make: impl Fn(usize, [usize; 3]) -> A,
    unused: impl Fn() -> A,
) -> Result<[A; 3], LowerError> {
    let (x, w) = (b.desc(input(node, 0)?), b.desc(input(node, 1)?));
    let out = b.desc(node.outputs[0]);
    let spatial = x.rank() - 2;
    if !(1..=3).contains(&spatial) {
        return Err(Refusal::Rank(x.rank()).into());
    }
    // Each axis gets a table of its padded positions or of its taps.
    let largest = x.shape[2..].iter().chain(&out.shape[2..]).copied().max().unwrap_or(0);
    let taps = w.shape[2..].iter().copied().max().unwrap_or(0);
    b.check_table(largest.saturating_add(padding(node, spatial)?).saturating_mul(taps.max(1)))?;
    let mut axes = (0..spatial).map(|a| make(a, [x.shape[a + 2], out.shape[a + 2], w.shape[a + 2]]));
    let mut next = |present: bool| if present { axes.next().unwrap_or_else(&unused) } else { unused() };
    Ok([next(spatial > 2), next(spatial > 1), next(true)])
}

pub(super) fn conv(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let reads = b.folded.reads(b.graph, node)?;
    let (mut vals, widen) = operands(b, node, reads.first())?;
    let resized = if let Reads::Nearest(_, axes) = &reads { &axes[..] } else { &[] };
    let mut kernel = Direct { widen, ..direct(b, node, vals.len() > 2, resized)? };
    if let Reads::Two(first, behind) = reads {
        kernel.first = Some(b.desc(first).shape[2]);
        vals.push(b.f32(behind)?);
    }
    b.step_f32(node, kernel, vals);
    Ok(())
}

/// A convolution without gathering, of something that is read where it is not yet resized.
pub(super) fn direct(
    b: &Builder<'_>,
    node: &Node,
    bias: bool,
    resized: &[Resampling],
) -> Result<Direct, LowerError> {
    let mode = PadMode::of(&node.attrs, "pad_mode")?;
    let (x, w) = (b.desc(input(node, 0)?).clone(), b.desc(input(node, 1)?).clone());
    let windows = Windows::of(node, x.rank() - 2)?;
    let make = |a: usize, [input, output, taps]: [usize; 3]| {
        let (stride, dilation) = (windows.strides[a], windows.dilations[a]);
        let padded = output.saturating_sub(1) * stride + taps.saturating_sub(1) * dilation + 1;
        let begin = windows.begins[a];
        let source = |p: usize| mode.source(p as i64 - begin as i64, input).map_or(-1, |i| i as i32);
        let sources =
            if begin == 0 && padded <= input { Vec::new() } else { (0..padded).map(source).collect() };
        let whole = begin..begin + input;
        let axis = axis::Axis { input, output, taps, stride, dilation, whole, sources };
        match resized.get(a) {
            Some(resized) => axis.resampled(resized.input, |position| resized.nearest(position)),
            None => axis,
        }
    };
    let axes = merged(convolution(b, node, make, || axis::Axis::plain(1))?);
    let groups = size(node.attrs.int("group")?)?.max(1);
    let (channels_in, channels_out) = (w.shape[1], w.shape[0] / groups);
    Ok(Direct { groups, channels_in, channels_out, axes, bias, widen: false, first: None })
}

/// The axes with the last ones made one where they are plain, so that lines are long.
fn merged([a, b, c]: [axis::Axis; 3]) -> [axis::Axis; 3] {
    let plain = axis::Axis::plain;
    match (a.is_plain(), b.is_plain(), c.is_plain()) {
        (true, true, true) => [plain(1), plain(1), plain(a.output * b.output * c.output)],
        (_, true, true) => [a, plain(1), plain(b.output * c.output)],
        _ => [a, b, c],
    }
}

/// A transposed convolution is one whose taps meet the element that would have been spread to them.
pub(super) fn conv_transpose(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x, w) = (b.desc(input(node, 0)?).clone(), b.desc(input(node, 1)?).clone());
    let windows = Windows::of(node, x.rank() - 2)?;
    let make = |a: usize, [input, output, taps]: [usize; 3]| {
        meeting(input, output, taps, |o, k| {
            let position = (o + windows.begins[a]).checked_sub(k * windows.dilations[a])?;
            (position % windows.strides[a] == 0).then(|| position / windows.strides[a])
        })
    };
    let axes = convolution(b, node, make, || meeting(1, 1, 1, |o, _| Some(o)))?;
    let groups = size(node.attrs.int("group")?)?.max(1);
    let mut vals = vec![b.f32(input(node, 0)?)?, exchanged(b, node, groups, &w)?];
    if let Some(bias) = node.input(2) {
        vals.push(b.f32(bias)?);
    }
    let (channels_in, channels_out) = (x.shape[1] / groups, w.shape[1]);
    b.step_f32(node, Gathered { groups, channels_in, channels_out, axes, bias: vals.len() > 2 }, vals);
    Ok(())
}

/// The weight `[groups, in, out, taps]` of a transposed convolution as `[groups, out, in, taps]`: a
/// step of its own, as the weight may be computed.
fn exchanged(b: &mut Builder<'_>, node: &Node, groups: usize, w: &TensorDesc) -> Result<Val, LowerError> {
    let (channels, out, taps) = (w.shape[0] / groups, w.shape[1], count(&w.shape[2..]));
    let weight = b.f32(input(node, 1)?)?;
    let turned = b.temporary(DType::F32, w.elements());
    let strides = [channels * out * taps, taps, out * taps, 1].map(|s| s as isize).to_vec();
    let copy = crate::kernels::copy::StridedCopy::new(4, &[groups, out, channels, taps], strides, 0);
    b.step_into(node, copy, vec![weight], vec![turned]);
    Ok(turned)
}

fn heads(node: &Node, desc: &TensorDesc, attribute: &str) -> Result<Heads, OpError> {
    match (&desc.shape[..], node.attrs.opt_int(attribute)?) {
        (&[_, heads, length, size], _) => Ok(Heads { heads, length, size, packed: false }),
        (&[_, length, width], Some(heads)) => {
            let heads = size(heads)?.max(1);
            Ok(Heads { heads, length, size: width / heads, packed: true })
        }
        _ => Err(OpError::invalid(format!("{desc} has no heads"))),
    }
}

/// The heads of Q, K and V.
pub(super) fn all_heads(b: &Builder<'_>, node: &Node) -> Result<(Heads, Heads, Heads), OpError> {
    let [q, k, v] = [(0, "q_num_heads"), (1, "kv_num_heads"), (2, "kv_num_heads")]
        .map(|(i, attribute)| heads(node, b.desc(input(node, i)?), attribute));
    Ok((q?, k?, v?))
}

pub(super) fn attention(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (q, k, v) = all_heads(b, node)?;
    let batch = b.desc(input(node, 0)?).shape[0];
    let mut vals = Vec::new();
    for i in 0..3 {
        vals.push(b.f32(input(node, i)?)?);
    }
    let scores = [batch, q.heads, q.length, k.length];
    let mut extra = |b: &mut Builder<'_>, i: usize| -> Result<Option<(usize, [usize; 4])>, LowerError> {
        let Some(id) = node.input(i) else { return Ok(None) };
        let strides = broadcast_strides(&b.desc(id).shape, &scores);
        vals.push(if b.desc(id).dtype == DType::Bool { b.value(id)? } else { b.f32(id)? });
        Ok(Some((vals.len() - 1, std::array::from_fn(|a| strides[a] as usize))))
    };
    let (mask, bias) = (extra(b, 3)?, extra(b, 4)?);
    let scale = node.attrs.opt_float("scale")?.unwrap_or((q.size as f64).sqrt().recip()) as f32;
    let causal = node.attrs.bool("causal")?;
    b.check_table(q.size)?;
    let row_starts = row_starts(q.size);
    b.step_f32(node, Attention { q, k, v, scale, causal, mask, bias, row_starts }, vals);
    Ok(())
}

pub(super) fn rotary(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let x = heads(node, b.desc(input(node, 0)?), "num_heads")?;
    let rotated = node.attrs.opt_int("rotary_dim")?.map_or(Ok(x.size), size)?;
    let pairs = rotated / 2;
    let step = |b: &Builder<'_>, i: usize| -> Result<usize, OpError> {
        let shape = &b.desc(input(node, i)?).shape;
        Ok(if shape.len() == 3 && shape[0] > 1 { x.length * pairs } else { 0 })
    };
    let table = [step(b, 1)?, step(b, 2)?];
    let mut vals = Vec::new();
    for i in 0..3 {
        vals.push(b.f32(input(node, i)?)?);
    }
    let kernel = Rotary {
        heads: x.heads,
        length: x.length,
        size: x.size,
        packed: x.packed,
        pairs,
        interleaved: node.attrs.bool("interleaved")?,
        table,
    };
    b.step_f32(node, kernel, vals);
    Ok(())
}
