//! Rules of the ops along axes: softmax, normalisations, reductions.

use kinograph_backend::attributes::{axis_of, size, sorted_axes};
use kinograph_graph::exact::{self, Slices};
use kinograph_graph::{DType, Node, OpError};

use super::builder::{Builder, LowerError, Lowered, input};
use super::elementwise;
use super::expression::{Kind, kind};
use crate::layout::{Root, View};
use crate::shader::{self, Kernel, constant, operand, result, type_of};

/// Groups of elements `inner` apart, in a dense view.
struct Groups {
    view: View,
    count: usize,
    length: usize,
    inner: usize,
    /// Whether the device works in teams.
    teams: bool,
}

impl Groups {
    /// How many invocations work on a group: all of a workgroup where its elements are neighbours and many, or too many for one.
    fn team(&self) -> usize {
        let long = if self.teams { 64 } else { 1 << 12 };
        if self.inner == 1 && self.length >= long { 64 } else { 1 }
    }

    fn declaration(&self) -> String {
        constant("TEAM", format!("{}u", self.team()))
    }

    fn grid(&self, b: &Builder<'_>) -> Result<[u32; 3], LowerError> {
        b.grid(self.count.div_ceil(64 / self.team()))
    }
}

/// The groups along sorted axes: as they lie where the axes are adjacent, else in a copy that has them last. With it the order of the axes
/// in the copy, if there is one.
fn groups(
    b: &mut Builder<'_>,
    node: &Node,
    view: View,
    axes: &[usize],
) -> Result<(Groups, Option<Vec<usize>>), LowerError> {
    let rank = view.shape.len();
    if adjacent(axes) {
        let (start, end) = (axes.first().copied().unwrap_or(rank), axes.last().map_or(rank, |a| a + 1));
        let view = b.densified(node, view)?;
        let outer: usize = view.shape[..start].iter().product();
        let inner: usize = view.shape[end..].iter().product();
        let length = view.shape[start..end].iter().product();
        let inner = inner.max(1);
        return Ok((Groups { view, count: outer * inner, length, inner, teams: b.traits.teams }, None));
    }
    let others = (0..rank).filter(|a| !axes.contains(a));
    let perm: Vec<usize> = others.chain(axes.iter().copied()).collect();
    let view = b.densified(node, view.transposed(&perm))?;
    let (others, own) = view.shape.split_at(rank - axes.len());
    let (count, length) = (others.iter().product(), own.iter().product());
    Ok((Groups { view, count, length, inner: 1, teams: b.traits.teams }, Some(perm)))
}

/// Whether a normalisation over these axes needs no copy that has them last.
pub(super) fn in_place(node: &Node, rank: usize) -> bool {
    sorted_axes(&node.attrs, rank).is_ok_and(|axes| adjacent(&axes))
}

fn adjacent(axes: &[usize]) -> bool {
    axes.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// A kernel that makes an element, or as many as it reads, of each group along some axes, with an invocation or a team for each.
fn along(
    b: &mut Builder<'_>,
    node: &Node,
    kernel: Kernel,
    axes: &[usize],
    teams: bool,
    declare: impl Fn(&Groups, &View) -> Result<Vec<String>, OpError>,
) -> Lowered {
    let x = b.view(input(node, 0)?)?;
    let out = b.view(node.outputs[0])?;
    if out.elements() == 0 {
        return Ok(());
    }
    let (groups, _) = groups(b, node, x, axes)?;
    let mut declarations = declare(&groups, &out)?;
    let grid = if teams {
        declarations.push(groups.declaration());
        groups.grid(b)?
    } else {
        b.grid(groups.count.div_ceil(64))?
    };
    let shader = kernel.with(&declarations, b.traits.variant);
    let params = [0, groups.count, groups.length, groups.inner, groups.view.start, out.start];
    b.step(node, shader, vec![groups.view.root], vec![out.root], words(&params), grid)
}

fn rank(b: &Builder<'_>, node: &Node) -> Result<usize, OpError> {
    Ok(b.desc(input(node, 0)?).rank())
}

pub(super) fn softmax(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let axis = axis_of(&node.attrs, rank(b, node)?)?;
    along(b, node, shader::SOFTMAX, &[axis], true, |groups, out| {
        Ok([vec![operand("OfX", groups.view.half)], result(out)].concat())
    })
}

fn words(values: &[usize]) -> Vec<u32> {
    values.iter().map(|&v| v as u32).collect()
}

/// How scale and bias lie over a group: an element of them serves `run` elements, and after `repeat` groups they begin anew.
struct Affine {
    centred: bool,
    run: usize,
    repeat: usize,
    /// For reproducible numerics.
    slices: Option<Slices>,
}

fn normalise(b: &mut Builder<'_>, node: &Node, groups: &Groups, out: &View, affine: Affine) -> Lowered {
    let own = |b: &mut Builder<'_>, i: usize| node.input(i).map(|id| b.dense(node, id)).transpose();
    let (scale, bias) = (own(b, 1)?, own(b, 2)?);
    let half = |view: &Option<View>| view.as_ref().is_some_and(|v| v.half);
    let mut declarations = result(out);
    declarations.extend([
        groups.declaration(),
        operand("OfX", groups.view.half),
        operand("OfScale", half(&scale)),
        operand("OfBias", half(&bias)),
        constant("CENTRED", affine.centred),
        constant("SCALE", scale.is_some()),
        constant("BIAS", bias.is_some()),
    ]);
    let start = |view: &Option<View>| view.as_ref().map_or(0, |v| v.start);
    let mut params = words(&[
        0,
        groups.count,
        groups.length,
        groups.inner,
        groups.view.start,
        start(&scale),
        start(&bias),
        out.start,
        affine.run,
        affine.repeat,
    ]);
    let epsilon = node.attrs.float("epsilon")? as f32;
    let kernel = match affine.slices {
        None => {
            params.push(epsilon.to_bits());
            shader::NORM
        }
        Some(slices) => {
            declarations.extend(shader::whole(slices));
            let inverse = (1.0 / groups.length as f64) as f32;
            params.extend([exact::flush(epsilon).to_bits(), inverse.to_bits()]);
            shader::NORM_EXACT
        }
    };
    let root = |view: &Option<View>| -> Root { view.as_ref().map_or(groups.view.root, |v| v.root) };
    let mut reads = vec![groups.view.root, root(&scale), root(&bias)];
    let shader = b.finished(kernel, &declarations, &mut params, &mut reads);
    let grid = groups.grid(b)?;
    b.step(node, shader, reads, vec![out.root], params, grid)
}

pub(super) fn norm(b: &mut Builder<'_>, node: &Node, centred: bool, slices: Option<Slices>) -> Lowered {
    let x = b.view(input(node, 0)?)?;
    let out = b.view(node.outputs[0])?;
    if out.elements() == 0 {
        return Ok(());
    }
    let axes = sorted_axes(&node.attrs, x.shape.len())?;
    let (groups, perm) = groups(b, node, x, &axes)?;
    let affine = Affine { centred, run: 1, repeat: 1, slices };
    let Some(perm) = perm else { return normalise(b, node, &groups, &out, affine) };
    // Normalised in the order of the copy, and brought back.
    let turned = b.temporary(out.dtype, out.half, &groups.view.shape)?;
    normalise(b, node, &groups, &turned, affine)?;
    let mut back = vec![0; perm.len()];
    perm.iter().enumerate().for_each(|(i, &a)| back[a] = i);
    elementwise::copy(b, &node.name, &turned.transposed(&back), &out)
}

pub(super) fn rms_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    norm(b, node, false, None)
}

pub(super) fn layer_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    norm(b, node, true, None)
}

pub(super) fn group_norm(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let view = b.dense(node, input(node, 0)?)?;
    let out = b.view(node.outputs[0])?;
    if out.elements() == 0 {
        return Ok(());
    }
    let repeat = size(node.attrs.int("num_groups")?)?.max(1);
    let run: usize = view.shape[2..].iter().product();
    let length = view.shape[1] / repeat * run;
    let groups = Groups { count: view.shape[0] * repeat, length, inner: 1, view, teams: b.traits.teams };
    normalise(b, node, &groups, &out, Affine { centred: true, run: run.max(1), repeat, slices: None })
}

/// The declarations of a reduction: its start, how two values join, and what becomes of the last.
fn reduction(op: &str, x: &View, out: &View, length: usize) -> Result<Vec<String>, OpError> {
    let dtype = x.dtype;
    let (start, join) = match (kind(dtype), op) {
        (Kind::Float, "ReduceMax") => ("-infinity()", "max_f32(a, b)"),
        (Kind::Float, "ReduceMin") => ("infinity()", "min_f32(a, b)"),
        (Kind::Float, _) => ("0.0", "a + b"),
        (Kind::Int, "ReduceMax") => ("-2147483647 - 1", "max(a, b)"),
        (Kind::Int, "ReduceMin") => ("2147483647", "min(a, b)"),
        (Kind::Int, _) => ("0", "a + b"),
        (Kind::Long, "ReduceMax") => ("vec2(0u, 0x80000000u)", "max_long(a, b)"),
        (Kind::Long, "ReduceMin") => ("vec2(0xffffffffu, 0x7fffffffu)", "min_long(a, b)"),
        (Kind::Long, _) => ("vec2(0u, 0u)", "add_long(a, b)"),
        (Kind::Bool, _) => return Err(OpError::invalid("a truth value cannot be reduced")),
    };
    let finish = match (dtype, op) {
        (_, "ReduceMean") if length == 0 => "nan()".to_owned(),
        (_, "ReduceMean") => format!("rounded(x / f32({length}u))"),
        (DType::I8, _) => "wrap_i8(x)".to_owned(),
        (DType::U8, _) => "wrap_u8(x)".to_owned(),
        (dtype, _) if dtype.is_float() => "rounded(x)".to_owned(),
        _ => "x".to_owned(),
    };
    let mut declarations = kinds(x);
    match kind(dtype) {
        Kind::Float => declarations.extend(result(out)),
        _ => declarations.push("alias OfOut = T;\nfn kept(x: T) -> OfOut { return x; }".into()),
    }
    declarations.extend([
        format!("fn start_value() -> T {{ return {start}; }}"),
        format!("fn join(a: T, b: T) -> T {{ return {join}; }}"),
        format!("fn finish(x: T) -> T {{ return {finish}; }}"),
    ]);
    Ok(declarations)
}

/// The type that a kernel computes with, and the one in which its operand is kept.
fn kinds(x: &View) -> Vec<String> {
    let kept = if x.half { "f16" } else { "T" };
    vec![format!("alias T = {};", type_of(x.dtype)), format!("alias OfX = {kept};")]
}

pub(super) fn reduce(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let axes = sorted_axes(&node.attrs, rank(b, node)?)?;
    along(b, node, shader::REDUCE, &axes, true, |groups, out| {
        reduction(node.op.name, &groups.view, out, groups.length)
    })
}

pub(super) fn arg_max(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let axis = axis_of(&node.attrs, rank(b, node)?)?;
    along(b, node, shader::ARG_MAX, &[axis], false, |groups, _| {
        let above = match kind(groups.view.dtype) {
            Kind::Float => "(is_nan(a) && !is_nan(b)) || (!is_nan(b) && a > b)",
            Kind::Long => "less_long(b, a)",
            _ => "a > b",
        };
        let mut declarations = kinds(&groups.view);
        declarations.push(format!("fn above(a: T, b: T) -> bool {{ return {above}; }}"));
        Ok(declarations)
    })
}
