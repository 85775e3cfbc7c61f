//! Chains of elementwise nodes, and strided copies: kernels that are written for each chain.

use std::fmt::Write;

use kinograph_graph::{DType, Node, ValueId};

use super::builder::{Builder, LowerError, Lowered, Step, input, refused};
use super::expression::{self, Kind, kind};
use super::operands::Operands;
use crate::layout::View;
use crate::shader::{ANGLE, EACH, EXACT, INTEGER, MATH, Pin, Shader, Tail, enabled, type_of};

/// Adds the one step of a chain of nodes.
pub(super) fn chain(b: &mut Builder<'_>, nodes: &[&Node]) -> Lowered {
    let Some(last) = nodes.last() else { return Ok(()) };
    if let [only] = nodes
        && only.op.name == "Cast"
        && b.desc(input(only, 0)?).dtype == b.desc(only.outputs[0]).dtype
    {
        let view = b.view(input(only, 0)?)?;
        b.set(only.outputs[0], view);
        return Ok(());
    }
    let body = Body::of(b, nodes, None)?;
    let out = b.view(last.outputs[0])?;
    let cost = nodes.iter().map(|n| b.graph.node_flops(n)).sum();
    emit(b, &last.name, body, &out, cost)
}

/// What a kernel does to the results of its own node, `head`, before it stores them: the other nodes of a chain.
pub(super) fn tail(b: &mut Builder<'_>, nodes: &[&Node], head: ValueId) -> Result<Tail, LowerError> {
    let Body { views, text, result } = Body::of(b, nodes, Some(head))?;
    let out = View::dense(0, b.desc(head).dtype, &b.desc(head).shape);
    let operands = Operands::new(views, &out, "params.extra");
    let mut source = String::from("struct Extra {\n");
    operands.fields(&mut source);
    source.push_str("}\n");
    operands.storages(&mut source, Tail::FIRST);
    source.push_str("fn finish(sum: f32, i: u32) -> f32 {\n  let value = pin(rounded(sum));\n");
    operands.loads(&mut source, false);
    let _ = writeln!(source, "{text}  return {result};\n}}");
    Ok(Tail { source, parts: parts(&text), params: operands.params(), reads: operands.roots })
}

/// The parts of the library that a chain's text needs.
fn parts(text: &str) -> &'static [&'static str] {
    let has = |names: &[&str]| names.iter().any(|name| text.contains(name));
    match (has(&["sin_f32", "cos_f32", "snake_f32"]), has(&["flush(", "exact_"])) {
        (false, false) => &[MATH, INTEGER],
        (true, false) => &[MATH, INTEGER, ANGLE],
        (false, true) => &[MATH, INTEGER, EXACT],
        (true, true) => &[MATH, INTEGER, ANGLE, EXACT],
    }
}

/// The values of a chain, as text that reads `x0`, `x1` and so on.
struct Body {
    views: Vec<View>,
    text: String,
    /// The name of the last value.
    result: String,
}

impl Body {
    /// `value`, where it is given, is the name of what a kernel made before.
    fn of(b: &mut Builder<'_>, nodes: &[&Node], value: Option<ValueId>) -> Result<Self, LowerError> {
        let Some(last) = nodes.last() else { return Err(refused("a chain without nodes")) };
        let shape = b.desc(last.outputs[0]).shape.clone();
        let mut views: Vec<View> = Vec::new();
        let mut names: Vec<(ValueId, bool, String)> = Vec::new();
        names.extend(value.map(|id| (id, false, "value".to_owned())));
        let mut text = String::new();
        for (at, node) in nodes.iter().enumerate() {
            let mut args = Vec::new();
            for (operand, id) in node.inputs.iter().enumerate() {
                let Some(id) = *id else { return Err(refused("an operand is missing")) };
                let channel = node.op.name == "Snake" && operand == 1;
                let known =
                    |(known, c, _): &&(ValueId, bool, String)| *known == id && (*c == channel || !channel);
                if let Some((_, _, name)) = names.iter().find(known) {
                    args.push(name.clone());
                    continue;
                }
                let view = b.view(id)?;
                let name = format!("x{}", views.len());
                views.push(if channel { along_channels(&view, &shape) } else { view.broadcast(&shape) });
                names.push((id, channel, name.clone()));
                args.push(name);
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let value = expression::expression(b.graph, node, &args).ok_or(kinograph_backend::Refusal::Op)?;
            let _ = writeln!(text, "  let y{at} = {value};");
            names.push((node.outputs[0], false, format!("y{at}")));
        }
        Ok(Self { views, text, result: format!("y{}", nodes.len() - 1) })
    }
}

/// One number a channel, at axis 1.
fn along_channels(view: &View, shape: &[usize]) -> View {
    let stride = view.strides.last().copied().unwrap_or(0);
    let strides = (0..shape.len()).map(|a| if a == 1 { stride } else { 0 }).collect();
    View { shape: shape.to_vec(), strides, ..view.clone() }
}

/// Copies the elements of one view into another of the same shape; `name` is that of the node that asks for it.
pub(super) fn copy(b: &mut Builder<'_>, name: &str, from: &View, to: &View) -> Lowered {
    let body = Body { views: vec![from.clone()], text: String::new(), result: "x0".into() };
    emit(b, name, body, to, 0)
}

/// Adds a kernel that reads some views and writes one, element by element.
fn emit(b: &mut Builder<'_>, name: &str, body: Body, out: &View, cost: u64) -> Lowered {
    let count = out.elements();
    if count == 0 {
        return Ok(());
    }
    let Body { views, text, result } = body;
    let cost = cost + 4 * (count * (views.len() + 1)) as u64;
    let operands = Operands::new(views, out, "params");
    let mut params = vec![0, count as u32];
    params.extend(operands.params());
    let (reads, grid) = (operands.roots.clone(), b.grid(count.div_ceil(64))?);
    let pin = b.traits.variant.pin.of_parts(parts(&text).iter());
    let source = source(&operands, &text, &result, out, pin);
    let shader =
        Shader { name: "elementwise", source, reads: reads.len(), writes: 1, extra: 0, finishes: false, pin };
    b.steps.push(Step { node: name.to_owned(), shader, reads, writes: vec![out.root], params, grid, cost });
    Ok(())
}

/// The text of a kernel of its own.
fn source(operands: &Operands, text: &str, result: &str, out: &View, pin: Pin) -> String {
    let mut s = String::from("struct Params {\n  zero: u32, count: u32,\n");
    operands.fields(&mut s);
    s.push_str("}\n");
    operands.storages(&mut s, 0);
    let (t, binding) = (if out.half { "f16" } else { type_of(out.dtype) }, operands.roots.len());
    let _ = writeln!(s, "@group(0) @binding({binding}) var<storage, read_write> out: array<{t}>;");
    let _ = writeln!(s, "@group(0) @binding({}) var<uniform> params: Params;", binding + 1);
    s.push_str(pin.source());
    parts(text).iter().for_each(|part| s.push_str(part));
    s.push_str(EACH);
    s.push_str("fn each(i: u32) {\n");
    let moved = text.is_empty() && operands.of_halves() && out.half;
    operands.loads(&mut s, moved);
    s.push_str(text);
    let stored = match kind(out.dtype) {
        Kind::Bool => format!("select(0u, 1u, {result})"),
        // A conversion rounds as a driver likes: what is converted is a half already.
        Kind::Float if out.half && !moved && out.dtype == DType::F16 => format!("f16({result})"),
        Kind::Float if out.half && !moved => format!("f16(to_f16({result}))"),
        _ => result.to_owned(),
    };
    let _ = writeln!(s, "  out[{}] = {stored};\n}}", operands.result());
    enabled("", s)
}
