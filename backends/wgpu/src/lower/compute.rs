//! Rules of the ops that multiply: linear layers, convolutions, attention.

use kinograph_backend::Refusal;
use kinograph_backend::attributes::{PadMode, size, sizes};
use kinograph_graph::{DType, Node, OpError, TensorDesc, ValueId};

use super::builder::{Builder, LowerError, Lowered, Step, input, refused};
use super::elementwise;
use crate::layout::View;
use crate::shader::{self, Shader, constant, rounding};

fn word(value: isize) -> u32 {
    value as i32 as u32
}

fn step(
    node: &Node,
    shader: Shader,
    reads: Vec<usize>,
    out: &View,
    params: Vec<u32>,
    grid: [u32; 3],
    cost: u64,
) -> Step {
    Step { node: node.name.clone(), shader, reads, writes: vec![out.root], params, grid, cost }
}

/// One matrix product in a batch of them, by strides.
struct Product {
    a: View,
    /// Where the first element of each row and column lies, and the distances along the inner and the column axis.
    b: View,
    inner_stride: isize,
    column_stride: isize,
    rows: usize,
    inner: usize,
    columns: usize,
    /// Sizes of the leading axes, and the strides of both over them.
    lead: [usize; 3],
    a_lead: [isize; 3],
    b_lead: [isize; 3],
    /// In the result: the first column, and the elements of a row.
    first: usize,
    width: usize,
}

impl Product {
    /// Whether both operands lie along the axis of the sums in whole groups of eight elements, which are loaded together.
    fn along(&self) -> bool {
        let rank = self.a.shape.len();
        let strides = [self.a.strides[rank - 2], self.column_stride, self.inner as isize];
        let starts = [self.a.start as isize, self.b.start as isize];
        let mut all = strides.iter().chain(&starts).chain(&self.a_lead).chain(&self.b_lead);
        self.a.strides[rank - 1] == 1 && self.inner_stride == 1 && all.all(|n| n % 8 == 0)
    }
}

fn product(b: &mut Builder<'_>, node: &Node, p: &Product, bias: Option<&View>, out: &View) -> Lowered {
    let stored = p.b.packed.unwrap_or(DType::F32);
    let (kernel, elements) = match p.along() {
        true => (shader::GEMM_ALONG, shader::eight_elements(stored)),
        false => (shader::GEMM, shader::element(stored)),
    };
    let declarations = [rounding(out.dtype), elements, constant("BIAS", bias.is_some())];
    let rank = p.a.shape.len();
    let mut params = vec![
        0,
        p.rows as u32,
        p.inner as u32,
        p.columns as u32,
        p.a.start as u32,
        word(p.a.strides[rank - 2]),
        word(p.a.strides[rank - 1]),
        p.b.start as u32,
        word(p.inner_stride),
        word(p.column_stride),
        (out.start + p.first) as u32,
        p.width as u32,
        (p.rows * p.width) as u32,
        bias.map_or(0, |v| v.start + p.first) as u32,
        0,
        p.lead[1] as u32,
        p.lead[2] as u32,
        0,
        0,
        0,
        word(p.a_lead[0]),
        word(p.a_lead[1]),
        word(p.a_lead[2]),
        0,
        word(p.b_lead[0]),
        word(p.b_lead[1]),
        word(p.b_lead[2]),
        0,
    ];
    let lanes = 2 * b.traits.variant.lanes as usize;
    let batch: usize = p.lead.iter().product();
    let grid = [p.columns.div_ceil(lanes) as u32, p.rows.div_ceil(16) as u32, batch as u32];
    let mut reads = vec![p.a.root, p.b.root, bias.map_or(p.a.root, |v| v.root)];
    let shader = b.finished(kernel, &declarations, &mut params, &mut reads);
    let cost = 2 * (batch * p.rows * p.columns * p.inner.max(1)) as u64;
    b.step_cut(node, step(node, shader, reads, out, params, grid, cost), 1, 14)
}

/// A result of sums of nothing: the bias alone, or zeros.
fn nothing_to_sum(b: &mut Builder<'_>, node: &Node, bias: Option<View>, out: &View) -> Lowered {
    let zero = b.constant(out.dtype, &[1], vec![0; 4])?;
    let from = bias.unwrap_or(zero).broadcast(&out.shape);
    elementwise::copy(b, &node.name, &from, out)
}

pub(super) fn linear(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let out = b.view(node.outputs[0])?;
    let (x, weight) = (b.view(input(node, 0)?)?, input(node, 1)?);
    let bias = node.input(2).map(|id| b.dense(node, id)).transpose()?;
    let [columns, inner] = b.desc(weight).shape[..] else { return Err(Refusal::Op.into()) };
    if out.elements() == 0 {
        return Ok(());
    }
    if inner == 0 {
        return nothing_to_sum(b, node, bias, &out);
    }
    let rows: usize = x.shape[..x.shape.len() - 1].iter().product();
    let a = match x.reshaped(&[rows, inner]) {
        Some(view) => view,
        None => {
            let dense = b.densified(node, x)?;
            View::dense(dense.root, dense.dtype, &[rows, inner])
        }
    };
    for (part, first) in b.packed(weight)? {
        let (inner_stride, column_stride) = (part.strides[1], part.strides[0]);
        let columns_here = if part.shape[0] < columns { part.shape[0] } else { columns };
        let p = Product {
            a: a.clone(),
            b: part,
            inner_stride,
            column_stride,
            rows,
            inner,
            columns: columns_here,
            lead: [1; 3],
            a_lead: [0; 3],
            b_lead: [0; 3],
            first,
            width: columns,
        };
        product(b, node, &p, bias.as_ref(), &out)?;
    }
    Ok(())
}

pub(super) fn mat_mul(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let out = b.view(node.outputs[0])?;
    let (a, w) = (b.view(input(node, 0)?)?, b.view(input(node, 1)?)?);
    let rank = out.shape.len();
    let (rows, inner, columns) = (out.shape[rank - 2], a.shape[a.shape.len() - 1], out.shape[rank - 1]);
    if out.elements() == 0 {
        return Ok(());
    }
    if inner == 0 {
        return nothing_to_sum(b, node, None, &out);
    }
    let lead = &out.shape[..rank - 2];
    let over = |view: &View| {
        let own = view.shape.len() - 2;
        View { shape: view.shape[..own].to_vec(), strides: view.strides[..own].to_vec(), ..view.clone() }
            .broadcast(lead)
            .strides
    };
    let (sizes, strides) = crate::layout::merged(lead, &[over(&a), over(&w)]);
    if sizes.len() > 3 {
        return Err(Refusal::Rank(rank).into());
    }
    let missing = 3 - sizes.len();
    let three = |values: &[isize]| std::array::from_fn(|i| if i < missing { 0 } else { values[i - missing] });
    let wr = w.shape.len();
    let p = Product {
        lead: std::array::from_fn(|i| if i < missing { 1 } else { sizes[i - missing] }),
        a_lead: three(&strides[0]),
        b_lead: three(&strides[1]),
        inner_stride: w.strides[wr - 2],
        column_stride: w.strides[wr - 1],
        a,
        b: w,
        rows,
        inner,
        columns,
        first: 0,
        width: columns,
    };
    product(b, node, &p, None, &out)
}

/// Three numbers, one an axis, those of missing leading axes being `fill`.
fn three(values: &[usize], fill: u32) -> [u32; 3] {
    let missing = 3 - values.len();
    std::array::from_fn(|i| if i < missing { fill } else { values[i - missing] as u32 })
}

struct Window {
    taps: [u32; 3],
    input: [u32; 3],
    output: [u32; 3],
    strides: [u32; 3],
    dilations: [u32; 3],
    begins: [u32; 3],
    groups: usize,
}

fn window(node: &Node, x: &TensorDesc, w: &TensorDesc, out: &TensorDesc) -> Result<Window, LowerError> {
    let axes = x.rank() - 2;
    if !(1..=3).contains(&axes) {
        return Err(Refusal::Rank(x.rank()).into());
    }
    let begins = sizes(&node.attrs, "pads", 2 * axes, 0)?;
    Ok(Window {
        taps: three(&w.shape[2..], 1),
        input: three(&x.shape[2..], 1),
        output: three(&out.shape[2..], 1),
        strides: three(&sizes(&node.attrs, "strides", axes, 1)?, 1),
        dilations: three(&sizes(&node.attrs, "dilations", axes, 1)?, 1),
        begins: three(&begins[..axes], 0),
        groups: size(node.attrs.int("group")?)?.max(1),
    })
}

pub(super) fn conv(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x_id, w_id) = (input(node, 0)?, input(node, 1)?);
    let (x_desc, w_desc, out_desc) = (b.desc(x_id), b.desc(w_id), b.desc(node.outputs[0]));
    let win = window(node, x_desc, w_desc, out_desc)?;
    let out = b.view(node.outputs[0])?;
    let bias = node.input(2).map(|id| b.dense(node, id)).transpose()?;
    if out.elements() == 0 {
        return Ok(());
    }
    let channels_in = w_desc.shape[1];
    if channels_in == 0 || w_desc.shape[2..].contains(&0) {
        return nothing_to_sum(b, node, bias.map(|v| by_channel(&v, out.shape.len())), &out);
    }
    let x = b.dense(node, x_id)?;
    let by_tap = channels_in % 8 == 0 && b.is_packed(w_id)?;
    let taps = win.taps.iter().map(|&t| t as usize).product();
    let parts = b.packed_by_tap(w_id, if by_tap { taps } else { 1 })?;
    if parts.len() > 1 && win.groups > 1 {
        return Err(refused("a grouped weight larger than a binding"));
    }
    let mode = match PadMode::of(&node.attrs, "pad_mode")? {
        PadMode::Constant => 0,
        PadMode::Edge => 1,
        PadMode::Reflect => 2,
    };
    let positions: usize = out.shape[2..].iter().product();
    for (weight, first) in parts {
        let weight = b.densified(node, weight)?;
        let channels = if win.groups > 1 { w_desc.shape[0] / win.groups } else { weight.shape[0] };
        let stored = weight.packed.unwrap_or(DType::F32);
        let (kernel, elements) = match by_tap {
            true => (shader::CONV_BY_TAP, shader::eight_elements(stored)),
            false => (shader::CONV, shader::element(stored)),
        };
        let declarations = [
            rounding(out.dtype),
            elements,
            constant("BIAS", bias.is_some()),
            constant("PAD_MODE", format!("{mode}u")),
        ];
        let mut params = vec![0, channels_in as u32, channels as u32, win.groups as u32];
        let rows = [
            (win.taps, x.start),
            (win.input, bias.as_ref().map_or(0, |v| v.start)),
            (win.output, 0),
            (win.strides, first),
            (win.dilations, out_desc.shape[1]),
            (win.begins, out.start),
        ];
        rows.iter().for_each(|(three, last)| {
            params.extend(three);
            params.push(*last as u32);
        });
        let lanes = 2 * b.traits.variant.lanes as usize;
        let grid = [
            positions.div_ceil(lanes) as u32,
            channels.div_ceil(16) as u32,
            (x_desc.shape[0] * win.groups) as u32,
        ];
        let mut reads = vec![x.root, weight.root, bias.as_ref().map_or(x.root, |v| v.root)];
        let shader = b.finished(kernel, &declarations, &mut params, &mut reads);
        let cost = b.graph.node_flops(node) / (w_desc.shape[0] / weight.shape[0].max(1)).max(1) as u64;
        b.step_cut(node, step(node, shader, reads, &out, params, grid, cost), 1, 15)?;
    }
    Ok(())
}

fn by_channel(bias: &View, rank: usize) -> View {
    let mut shape = vec![1; rank - 1];
    shape[0] = bias.elements();
    View::dense(bias.root, bias.dtype, &shape)
}

pub(super) fn conv_transpose(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let (x_id, w_id) = (input(node, 0)?, input(node, 1)?);
    let (x_desc, w_desc, out_desc) = (b.desc(x_id), b.desc(w_id), b.desc(node.outputs[0]));
    let win = window(node, x_desc, w_desc, out_desc)?;
    let out = b.view(node.outputs[0])?;
    let bias = node.input(2).map(|id| b.dense(node, id)).transpose()?;
    let count = out.elements();
    if count == 0 {
        return Ok(());
    }
    let x = b.dense(node, x_id)?;
    let mut parts = b.packed(w_id)?;
    let Some((weight, _)) = parts.pop().filter(|_| parts.is_empty()) else {
        return Err(refused("the weight is larger than a binding"));
    };
    let weight = b.densified(node, weight)?;
    let declarations = [
        rounding(out.dtype),
        shader::element(weight.packed.unwrap_or(DType::F32)),
        constant("BIAS", bias.is_some()),
    ];
    let shader = shader::CONV_TRANSPOSE.with(&declarations, b.traits.variant);
    let channels_in = x_desc.shape[1] / win.groups;
    let mut params = vec![0, channels_in as u32, w_desc.shape[1] as u32, win.groups as u32];
    let rows = [
        (win.taps, x.start),
        (win.input, bias.as_ref().map_or(0, |v| v.start)),
        (win.output, count),
        (win.strides, 0),
        (win.dilations, 0),
        (win.begins, out.start),
    ];
    rows.iter().for_each(|(three, last)| {
        params.extend(three);
        params.push(*last as u32);
    });
    let grid = b.grid(count.div_ceil(64))?;
    let reads = vec![x.root, weight.root, bias.as_ref().map_or(x.root, |v| v.root)];
    b.step(node, shader, reads, vec![out.root], params, grid)
}

/// Heads as `[batch, heads, length, size]`, the size's elements lying one after the other.
fn heads(b: &mut Builder<'_>, node: &Node, id: ValueId, attribute: &str) -> Result<View, LowerError> {
    let view = b.view(id)?;
    let view =
        if view.strides.last() == Some(&1) || view.elements() == 0 { view } else { b.densified(node, view)? };
    split_heads(node, view, attribute)
}

fn split_heads(node: &Node, view: View, attribute: &str) -> Result<View, LowerError> {
    match (&view.shape[..], node.attrs.opt_int(attribute)?) {
        (&[_, _, _, _], _) => Ok(view),
        (&[batch, length, width], Some(count)) => {
            let count = size(count)?.max(1);
            let split = view.reshaped(&[batch, length, count, width / count]);
            let split = split.ok_or_else(|| OpError::invalid("heads cannot be split"))?;
            Ok(split.transposed(&[0, 2, 1, 3]))
        }
        _ => Err(OpError::invalid("there are no heads").into()),
    }
}

fn three_strides(view: &View) -> [u32; 3] {
    [word(view.strides[0]), word(view.strides[1]), word(view.strides[2])]
}

/// The largest head whose sums an invocation keeps.
const MOST_HEAD: usize = 512;

pub(super) fn attention(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let whole = b.view(node.outputs[0])?;
    let q = heads(b, node, input(node, 0)?, "q_num_heads")?;
    let k = heads(b, node, input(node, 1)?, "kv_num_heads")?;
    let v = heads(b, node, input(node, 2)?, "kv_num_heads")?;
    let &[batch, count, queries, head] = &q.shape[..] else {
        return Err(Refusal::Rank(q.shape.len()).into());
    };
    let (keys, value) = (k.shape[2], v.shape[3]);
    if whole.elements() == 0 {
        return Ok(());
    }
    if keys == 0 {
        return nothing_to_sum(b, node, None, &whole);
    }
    if head > MOST_HEAD || value > MOST_HEAD {
        return Err(refused(format!("a head of {} is larger than {MOST_HEAD}", head.max(value))));
    }
    let out = split_heads(node, whole.clone(), "q_num_heads")?;
    let scores = [batch, count, queries, keys];
    let extra = |b: &mut Builder<'_>, i: usize| -> Result<Option<View>, LowerError> {
        Ok(node.input(i).map(|id| b.view(id)).transpose()?.map(|view| view.broadcast(&scores)))
    };
    let (mask, bias) = (extra(b, 3)?, extra(b, 4)?);
    let declarations = [
        rounding(whole.dtype),
        constant("HEAD", format!("{head}u")),
        constant("VALUE", format!("{value}u")),
        constant("VALUES", format!("{}u", value.next_multiple_of(8))),
        constant("MASK", mask.is_some()),
        constant("BIAS", bias.is_some()),
    ];
    let shader = shader::ATTENTION.with(&declarations, b.traits.variant);
    let scale = node.attrs.opt_float("scale")?.unwrap_or((head as f64).sqrt().recip()) as f32;
    let sharing = count / k.shape[1].max(1);
    let causal = u32::from(node.attrs.bool("causal")?);
    let mut params = vec![
        0,
        queries as u32,
        keys as u32,
        count as u32,
        sharing as u32,
        causal,
        scale.to_bits(),
        out.start as u32,
    ];
    for view in [&q, &k, &v] {
        params.push(view.start as u32);
        params.extend(three_strides(view));
    }
    params.extend(three_strides(&out));
    params.push(0);
    for view in [&mask, &bias] {
        let strides = view.as_ref().map_or([0; 4], |v| std::array::from_fn(|a| word(v.strides[a])));
        params.extend(strides);
    }
    let start = |view: &Option<View>| view.as_ref().map_or(0, |v| v.start as u32);
    params.extend([start(&mask), start(&bias), 0, 0]);
    let lanes = b.traits.variant.lanes as usize;
    let grid = [queries.div_ceil(lanes) as u32, (batch * count) as u32, 1];
    let root = |view: &Option<View>| view.as_ref().map_or(q.root, |v| v.root);
    let reads = vec![q.root, k.root, v.root, root(&mask), root(&bias)];
    let cost = b.graph.node_flops(node);
    b.step_cut(node, step(node, shader, reads, &whole, params, grid, cost), 0, 34)
}

pub(super) fn rotary(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let whole = b.view(node.outputs[0])?;
    let count = whole.elements();
    if count == 0 {
        return Ok(());
    }
    let x = heads(b, node, input(node, 0)?, "num_heads")?;
    let out = split_heads(node, whole.clone(), "num_heads")?;
    let rotated = node.attrs.opt_int("rotary_dim")?.map_or(Ok(x.shape[3]), size)?;
    let pairs = rotated / 2;
    let (cosines, sines) = (b.dense(node, input(node, 1)?)?, b.dense(node, input(node, 2)?)?);
    let batch = |view: &View| if view.shape.len() == 3 && view.shape[0] > 1 { x.shape[2] * pairs } else { 0 };
    let mut params = vec![0, count as u32, x.shape[1] as u32, x.shape[2] as u32];
    for view in [&x, &out] {
        params.push(view.start as u32);
        params.extend(three_strides(view));
    }
    let interleaved = u32::from(node.attrs.bool("interleaved")?);
    params.extend([x.shape[3] as u32, pairs as u32, interleaved, cosines.start as u32, sines.start as u32]);
    params.extend([batch(&cosines) as u32, batch(&sines) as u32]);
    let shader = shader::ROTARY.with(&[rounding(whole.dtype)], b.traits.variant);
    let grid = b.grid(count.div_ceil(64))?;
    b.step(node, shader, vec![x.root, cosines.root, sines.root], vec![whole.root], params, grid)
}
