//! Convolutions.

use kinograph_graph::Node;

use super::util::{int, ints, list, word};
use crate::builder::{Builder, Lowered, Name};
use crate::model::Attr;

type Attrs = Vec<(&'static str, Attr)>;

/// The attributes that both convolutions share, as given.
fn common(node: &Node, axes: usize, kernel: &[usize]) -> Lowered<Attrs> {
    let or = |name, default: i64| Ok(ints(node, name)?.map_or(vec![default; axes], <[i64]>::to_vec));
    Ok(vec![
        ("kernel_shape", list(kernel.iter().copied())),
        ("strides", Attr::Ints(or("strides", 1)?)),
        ("dilations", Attr::Ints(or("dilations", 1)?)),
        ("group", Attr::Int(int(node, "group")?)),
    ])
}

fn run(b: &mut Builder<'_>, node: &Node, op: &'static str, x: &str, attrs: Attrs) -> Lowered {
    let weight = b.input(node, 1)?;
    let y = match node.input(2) {
        Some(id) => {
            let bias = b.read(id);
            b.op_with(op, &[x, &weight, &bias], attrs)
        }
        None => b.op_with(op, &[x, &weight], attrs),
    };
    b.output(node, 0, y);
    Ok(())
}

/// ONNX pads with zeros only; other padding is a node of its own.
pub(crate) fn conv(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let kernel = b.desc(node, 1)?.shape.get(2..).unwrap_or_default();
    let axes = kernel.len();
    let mut attrs = common(node, axes, kernel)?;
    let mut x = b.input(node, 0)?;
    let pads = ints(node, "pads")?.map_or(vec![0; 2 * axes], <[i64]>::to_vec);
    match word(node, "pad_mode")? {
        "constant" => attrs.push(("pads", Attr::Ints(pads))),
        mode if pads.iter().any(|&p| p != 0) => x = padded(b, &x, &pads, mode == "edge"),
        _ => {}
    }
    run(b, node, "Conv", &x, attrs)
}

fn padded(b: &mut Builder<'_>, x: &str, pads: &[i64], edge: bool) -> Name {
    let (begins, ends) = pads.split_at(pads.len() / 2);
    let all = [&[0, 0], begins, &[0, 0], ends].concat();
    let all = b.i64s(&all);
    let mode = if edge { "edge" } else { "reflect" };
    b.op_with("Pad", &[x, &all], vec![("mode", Attr::Str(mode))])
}

pub(crate) fn conv_transpose(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let kernel = b.desc(node, 1)?.shape.get(2..).unwrap_or_default();
    let axes = kernel.len();
    let mut attrs = common(node, axes, kernel)?;
    attrs.push(("pads", Attr::Ints(ints(node, "pads")?.map_or(vec![0; 2 * axes], <[i64]>::to_vec))));
    if let Some(more) = ints(node, "output_padding")? {
        attrs.push(("output_padding", Attr::Ints(more.to_vec())));
    }
    let x = b.input(node, 0)?;
    run(b, node, "ConvTranspose", &x, attrs)
}
