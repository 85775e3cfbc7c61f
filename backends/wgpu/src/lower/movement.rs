//! Rules of the ops that move data.

use kinograph_backend::HostData;
use kinograph_backend::attributes::{PadMode, Resampling, axis, axis_of, size, sizes};
use kinograph_graph::{Args, DType, Node, Source, Tensor};

use super::builder::{Builder, Lowered, input, refused};
use super::elementwise;
use crate::layout::{View, dense_strides};
use crate::shader::{self, operand, result, type_of};
use crate::words::{widen, words};

/// Identity, Reshape: the same elements.
pub(super) fn reshape(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let view = b.view(input(node, 0)?)?;
    let shape = &b.desc(node.outputs[0]).shape;
    let reshaped = b.reshaped(node, &view, shape)?;
    b.set(node.outputs[0], reshaped);
    Ok(())
}

pub(super) fn transpose(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let view = b.view(input(node, 0)?)?;
    let rank = view.shape.len();
    let perm: Vec<usize> = match node.attrs.opt_ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(perm) => perm.iter().map(|&a| axis(a, rank)).collect::<Result<_, _>>()?,
    };
    b.set(node.outputs[0], view.transposed(&perm));
    Ok(())
}

pub(super) fn expand(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let view = b.view(input(node, 0)?)?;
    b.set(node.outputs[0], view.broadcast(&b.desc(node.outputs[0]).shape));
    Ok(())
}

pub(super) fn slice(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let mut view = b.view(input(node, 0)?)?;
    let out = &b.desc(node.outputs[0]).shape;
    let (starts, steps) = (node.attrs.ints("starts")?, node.attrs.opt_ints("steps")?);
    let axes: Vec<usize> = match node.attrs.opt_ints("axes")? {
        None => (0..starts.len()).collect(),
        Some(axes) => axes.iter().map(|&a| axis(a, view.shape.len())).collect::<Result<_, _>>()?,
    };
    let empty = out.contains(&0);
    for (i, &axis) in axes.iter().enumerate() {
        let step = steps.map_or(1, |s| s[i]);
        let dim = view.shape[axis] as i64;
        let wrapped = if starts[i] < 0 { starts[i].saturating_add(dim) } else { starts[i] };
        let first = if step > 0 { wrapped.clamp(0, dim) } else { wrapped.clamp(-1, dim - 1) };
        if !empty {
            view.start = (view.start as isize + first.max(0) as isize * view.strides[axis]) as usize;
        }
        // A step beyond the axis leaves one element, which no stride is taken from.
        view.strides[axis] *= if out[axis] > 1 { step as isize } else { 1 };
    }
    b.set(node.outputs[0], View { shape: out.clone(), ..view });
    Ok(())
}

pub(super) fn split(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let view = b.view(input(node, 0)?)?;
    let axis = axis_of(&node.attrs, view.shape.len())?;
    let mut first = 0;
    for &output in &node.outputs {
        let len = b.desc(output).shape[axis];
        b.set(output, view.part(axis, first, len));
        first += len;
    }
    Ok(())
}

pub(super) fn concat(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let out = b.view(node.outputs[0])?;
    let axis = axis_of(&node.attrs, out.shape.len())?;
    let mut first = 0;
    for &id in node.inputs.iter().flatten() {
        let part = b.view(id)?;
        let len = part.shape[axis];
        elementwise::copy(b, &node.name, &part, &out.part(axis, first, len))?;
        first += len;
    }
    Ok(())
}

/// The result's axes as those of a repeat and of the input in turn.
pub(super) fn tile(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let view = b.view(input(node, 0)?)?;
    let repeats = sizes(&node.attrs, "repeats", view.shape.len(), 1)?;
    let shape: Vec<usize> = repeats.iter().zip(&view.shape).flat_map(|(&r, &d)| [r, d]).collect();
    let strides = view.strides.iter().flat_map(|&s| [0, s]).collect();
    let spread = View { shape: shape.clone(), strides, ..view };
    let out = b.view(node.outputs[0])?;
    let to = View { strides: dense_strides(&shape), shape, ..out };
    elementwise::copy(b, &node.name, &spread, &to)
}

/// A copy by a table an axis: the element that each position shows, `None` for the filler.
fn mapped(b: &mut Builder<'_>, node: &Node, maps: Vec<Vec<Option<usize>>>, filler: f64) -> Lowered {
    let out = b.view(node.outputs[0])?;
    let count = out.elements();
    if count == 0 {
        return Ok(());
    }
    let x = b.dense(node, input(node, 0)?)?;
    let strides = dense_strides(&x.shape);
    let (mut table, mut starts): (Vec<i32>, Vec<u32>) = (Vec::new(), Vec::new());
    for (map, &stride) in maps.iter().zip(&strides) {
        starts.push(table.len() as u32);
        table.extend(map.iter().map(|found| found.map_or(-1, |p| (p as isize * stride) as i32)));
    }
    let bytes = table.iter().flat_map(|v| v.to_le_bytes()).collect();
    let table = b.constant(DType::I32, &[table.len()], bytes)?;
    let filler = widen(x.dtype, HostData::from_f64(x.dtype, &[filler]).as_bytes());
    let mut filler = filler.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect::<Vec<u32>>();
    filler.resize(2, 0);
    let mut params =
        vec![0, count as u32, maps.len() as u32, x.start as u32, out.start as u32, filler[0], filler[1], 0];
    let mut eight = |values: Vec<u32>, fill: u32| {
        params.extend((0..8).map(|i| values.get(i).copied().unwrap_or(fill)));
    };
    eight(maps.iter().map(|m| m.len() as u32).collect(), 1);
    eight(starts, 0);
    let declarations = if x.half || out.half {
        let filler = "fn filler() -> OfOut { return kept(bitcast<f32>(params.filler_low)); }".to_owned();
        [vec![operand("OfX", x.half), moved(&x, &out), filler], result(&out)].concat()
    } else {
        let (t, filler) = match words(x.dtype) {
            2 => ("vec2<u32>", "vec2(params.filler_low, params.filler_high)"),
            _ => ("u32", "params.filler_low"),
        };
        vec![
            format!("alias OfX = {t};\nalias OfOut = {t};"),
            "fn moved(x: OfX) -> OfOut { return x; }".into(),
            format!("fn filler() -> OfOut {{ return {filler}; }}"),
        ]
    };
    let shader = shader::MAPPED_COPY.with(&declarations, b.traits.variant);
    let grid = b.grid(count.div_ceil(64))?;
    b.step(node, shader, vec![x.root, table.root], vec![out.root], params, grid)
}

/// How a float is moved that is kept as a half on one side, or both.
fn moved(x: &View, out: &View) -> String {
    let body = if x.half == out.half { "x" } else { "kept(f32(x))" };
    format!("fn moved(x: OfX) -> OfOut {{ return {body}; }}")
}

/// The most entries of tables made at compile time.
const MOST_ENTRIES: usize = 1 << 24;

fn check_table(entries: usize) -> Lowered {
    if entries > MOST_ENTRIES {
        Err(refused(format!("an axis of {entries} is too long for a table")))
    } else {
        Ok(())
    }
}

pub(super) fn pad(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x, out) = (&b.desc(input(node, 0)?).shape, &b.desc(node.outputs[0]).shape);
    check_table(out.iter().sum())?;
    let mode = PadMode::of(&node.attrs, "mode")?;
    let begins = sizes(&node.attrs, "pads", 2 * x.len(), 0)?;
    let map = |a: usize| (0..out[a]).map(|i| mode.source(i as i64 - begins[a] as i64, x[a])).collect();
    let maps = (0..x.len()).map(map).collect();
    mapped(b, node, maps, node.attrs.float("value")?)
}

pub(super) fn gather(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (data, indices) = (input(node, 0)?, input(node, 1)?);
    let desc = b.desc(data);
    let axis = axis_of(&node.attrs, desc.rank())?;
    let out = b.view(node.outputs[0])?;
    let count = out.elements();
    if count == 0 {
        return Ok(());
    }
    let weight = axis == 0 && b.graph.value(data).source == Source::Weight;
    let parts = if weight { b.packed(data)? } else { vec![(b.dense(node, data)?, 0)] };
    let picks = b.dense(node, indices)?;
    let status = b.status()?;
    let outer: usize = desc.shape[..axis].iter().product();
    let inner: usize = desc.shape[axis + 1..].iter().product();
    let index_of = match picks.dtype {
        DType::I64 => "fn index_of(x: OfIndices) -> i32 { return i32_of_long(x); }",
        _ => "fn index_of(x: OfIndices) -> i32 { return x; }",
    };
    let step = b.steps.len() as u32 + 1;
    let grid = b.grid(count.div_ceil(64))?;
    for (part, first) in parts {
        let mut declarations = vec![
            format!("alias OfIndices = {};", type_of(picks.dtype)),
            index_of.to_owned(),
            shader::element(part.stored()),
        ];
        if part.dtype.is_float() {
            declarations.extend(result(&out));
        }
        let (data_type, fetch) = match (part.packed, part.dtype) {
            (Some(_), _) => ("u32", "kept(element(data[word(at)], at))"),
            (None, DType::I64) => ("vec2<u32>", "data[at]"),
            (None, dtype) if !dtype.is_float() => ("u32", "data[at]"),
            _ if part.half == out.half => (if part.half { "f16" } else { "f32" }, "data[at]"),
            _ if part.half => ("f16", "kept(f32(data[at]))"),
            _ => ("f32", "kept(data[at])"),
        };
        declarations.push(format!("alias OfData = {data_type};"));
        if !part.dtype.is_float() {
            declarations.push(format!("alias OfOut = {data_type};"));
        }
        declarations.push(format!("fn fetch(at: u32) -> OfOut {{ return {fetch}; }}"));
        let shader = shader::GATHER.with(&declarations, b.traits.variant);
        let params = [
            0,
            count,
            outer,
            desc.shape[axis],
            picks.elements(),
            inner,
            first,
            part.shape[axis],
            part.start,
            picks.start,
            out.start,
            step as usize,
        ];
        let params = params.iter().map(|&v| v as u32).collect();
        b.step(node, shader, vec![part.root, picks.root], vec![out.root, status], params, grid)?;
    }
    Ok(())
}

pub(super) fn resize(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x, out) = (b.desc(input(node, 0)?), b.desc(node.outputs[0]));
    if out.shape.contains(&0) {
        return b.view(node.outputs[0]).map(|_| ());
    }
    check_table(out.shape.iter().sum())?;
    let axes = Resampling::of(&node.attrs, x, out)?;
    if node.attrs.str("mode")? == "linear" {
        return resize_linear(b, node, &axes);
    }
    let mut maps: Vec<Vec<Option<usize>>> =
        x.shape[..2].iter().map(|&d| (0..d).map(Some).collect()).collect();
    maps.extend(axes.iter().map(|axis| (0..axis.output).map(|o| Some(axis.nearest(o))).collect()));
    mapped(b, node, maps, 0.0)
}

fn resize_linear(b: &mut Builder<'_>, node: &Node, axes: &[Resampling]) -> Lowered {
    if axes.len() > 3 {
        return Err(kinograph_backend::Refusal::Rank(axes.len() + 2).into());
    }
    let missing = 3 - axes.len();
    let mut table: Vec<u32> = Vec::new();
    let (mut inputs, mut outputs, mut starts) = ([1; 3], [1; 3], [0; 3]);
    for a in 0..3 {
        starts[a] = table.len() as u32;
        let Some(axis) = a.checked_sub(missing).map(|own| &axes[own]) else {
            table.extend([0, 0, 0]);
            continue;
        };
        (inputs[a], outputs[a]) = (axis.input as u32, axis.output as u32);
        for o in 0..axis.output {
            let (low, high, part) = axis.between(o);
            table.extend([low as u32, high as u32, part.to_bits()]);
        }
    }
    let bytes = table.iter().flat_map(|v| v.to_le_bytes()).collect();
    let table = b.constant(DType::I32, &[table.len()], bytes)?;
    let x = b.dense(node, input(node, 0)?)?;
    let out = b.view(node.outputs[0])?;
    let count = out.elements();
    let mut params = vec![0, count as u32, x.start as u32, out.start as u32];
    [inputs, outputs, starts].iter().for_each(|three| {
        params.extend(three);
        params.push(0);
    });
    let declarations = [vec![operand("OfX", x.half)], result(&out)].concat();
    let shader = shader::RESIZE_LINEAR.with(&declarations, b.traits.variant);
    let grid = b.grid(count.div_ceil(64))?;
    b.step(node, shader, vec![x.root, table.root], vec![out.root], params, grid)
}

/// Tensors that depend on attributes only: their reference is evaluated once.
pub(super) fn made(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.desc(node.outputs[0]);
    check_table(desc.elements())?;
    let values = (node.op.reference)(&Args::<Tensor> { op: node.op, inputs: &[], attrs: &node.attrs })?;
    let data = values.first().map(Tensor::data).unwrap_or_default();
    let bytes = widen(desc.dtype, HostData::from_f64(desc.dtype, data).as_bytes());
    let view = b.constant(desc.dtype, &desc.shape, bytes)?;
    b.set(node.outputs[0], view);
    Ok(())
}

pub(super) fn sinusoidal(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let dim = size(node.attrs.int("dim")?)?;
    check_table(dim)?;
    let half = dim / 2;
    let slope = node.attrs.float("max_period")?.ln() / (half as f64 - node.attrs.float("shift")?);
    let scale = node.attrs.float("scale")?;
    let frequency = |i: usize| ((scale * (-slope * i as f64).exp()) as f32).to_le_bytes();
    let table = b.constant(DType::F32, &[half], (0..half).flat_map(frequency).collect())?;
    let t = b.dense(node, input(node, 0)?)?;
    let out = b.view(node.outputs[0])?;
    let count = out.elements();
    if count == 0 {
        return Ok(());
    }
    let flip = usize::from(node.attrs.bool("flip")?);
    let params = [0, count, dim, half, flip, t.start, out.start].iter().map(|&v| v as u32).collect();
    let declarations = [vec![operand("OfT", t.half)], result(&out)].concat();
    let shader = shader::SINUSOIDAL.with(&declarations, b.traits.variant);
    let grid = b.grid(count.div_ceil(64))?;
    b.step(node, shader, vec![t.root, table.root], vec![out.root], params, grid)
}
