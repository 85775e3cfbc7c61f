//! Rules of convolutions.

use kinograph_backend::Refusal;
use kinograph_backend::attributes::{PadMode, size, sizes};
use kinograph_graph::{Node, TensorDesc};

use super::builder::{Builder, LowerError, Lowered, input, refused};
use super::products::{nothing_to_sum, step};
use crate::layout::{View, dense_strides};
use crate::shader::{self, Kernel, constant, operand, result};

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
    let (w_desc, out) = (b.desc(w_id), b.view(node.outputs[0])?);
    if out.elements() == 0 {
        return Ok(());
    }
    let channels_in = w_desc.shape[1];
    if channels_in == 0 || w_desc.shape[2..].contains(&0) {
        let bias = node.input(2).map(|id| b.dense(node, id)).transpose()?;
        return nothing_to_sum(b, node, bias.map(|v| by_channel(&v, out.shape.len())), &out);
    }
    let x = b.dense(node, x_id)?;
    let by_tap = channels_in % 8 == 0 && b.is_packed(w_id)?;
    let taps = w_desc.shape[2..].iter().product();
    for (weight, first) in b.packed_by_tap(w_id, if by_tap { taps } else { 1 })? {
        let weight = b.at_start(node, weight)?;
        let stored = weight.stored();
        let (kernel, elements) = match by_tap {
            true => (shader::CONV_BY_TAP, shader::eight_elements(stored)),
            false => (shader::CONV, shader::element(stored)),
        };
        let declarations = vec![elements, shader::PLAIN_BIAS.into()];
        convolution(
            b,
            node,
            Operands { kernel, declarations, x: &x, weight: &weight, first, whole: [0; 4] },
        )?;
    }
    Ok(())
}

/// What a convolution's kernel reads, and which it is.
pub(super) struct Operands<'a> {
    pub(super) kernel: Kernel,
    pub(super) declarations: Vec<String>,
    pub(super) x: &'a View,
    /// Some of the weight's output channels, from `first` on.
    pub(super) weight: &'a View,
    pub(super) first: usize,
    /// Of whole numbers: the elements of a row of the input, where its units stand, and both of the weight.
    pub(super) whole: [usize; 4],
}

/// Adds the steps of a convolution with some of its output channels.
pub(super) fn convolution(b: &mut Builder<'_>, node: &Node, operands: Operands<'_>) -> Lowered {
    let Operands { kernel, mut declarations, x, weight, first, whole } = operands;
    let (x_desc, w_desc) = (b.desc(input(node, 0)?), b.desc(input(node, 1)?));
    let out_desc = b.desc(node.outputs[0]);
    let win = window(node, x_desc, w_desc, out_desc)?;
    let out = b.view(node.outputs[0])?;
    let bias = node.input(2).map(|id| b.dense(node, id)).transpose()?;
    if weight.shape[0] < w_desc.shape[0] && win.groups > 1 {
        return Err(refused("a grouped weight larger than a binding"));
    }
    let channels = weight.shape[0] / win.groups;
    let mode = match PadMode::of(&node.attrs, "pad_mode")? {
        PadMode::Constant => 0,
        PadMode::Edge => 1,
        PadMode::Reflect => 2,
    };
    declarations.extend(result(&out));
    declarations.extend([
        constant("BIAS", bias.is_some()),
        constant("PAD_MODE", format!("{mode}u")),
        operand("OfX", x.half),
        operand("OfBias", bias.as_ref().is_some_and(|v| v.half)),
    ]);
    let mut params = vec![0, w_desc.shape[1] as u32, channels as u32, win.groups as u32];
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
    params.extend(whole.map(|n| n as u32));
    let lanes = 2 * b.traits.variant.lanes as usize;
    let positions: usize = out.shape[2..].iter().product();
    let grid = [
        positions.div_ceil(lanes) as u32,
        channels.div_ceil(16) as u32,
        (x_desc.shape[0] * win.groups) as u32,
    ];
    let mut reads = vec![x.root, weight.root, bias.as_ref().map_or(x.root, |v| v.root)];
    let shader = b.finished(kernel, &declarations, &mut params, &mut reads);
    let cost = b.graph.node_flops(node) / (w_desc.shape[0] / weight.shape[0].max(1)).max(1) as u64;
    b.step_cut(node, step(node, shader, reads, &out, params, grid, cost), 1, 15)
}

fn by_channel(bias: &View, rank: usize) -> View {
    let mut shape = vec![1; rank - 1];
    shape[0] = bias.elements();
    View { strides: dense_strides(&shape), shape, ..bias.clone() }
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
    let weight = b.at_start(node, weight)?;
    let mut declarations = result(&out);
    declarations.extend([
        shader::element(weight.stored()),
        constant("BIAS", bias.is_some()),
        operand("OfX", x.half),
        operand("OfBias", bias.as_ref().is_some_and(|v| v.half)),
    ]);
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
