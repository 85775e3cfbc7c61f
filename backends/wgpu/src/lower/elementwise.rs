//! Chains of elementwise nodes, and strided copies: kernels that are written for each chain.

use std::fmt::Write;

use kinograph_graph::{DType, Node, ValueId};

use super::builder::{Builder, Lowered, Step, input, refused};
use super::expression::{self, Kind, kind};
use crate::layout::{Root, View, dense_strides, merged};
use crate::shader::{ANGLE, EACH, INTEGER, MATH, Shader, type_of};

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
    let shape = b.desc(last.outputs[0]).shape.clone();
    let mut reads: Vec<(ValueId, bool)> = Vec::new();
    let mut views: Vec<View> = Vec::new();
    let mut names: Vec<(ValueId, bool, String)> = Vec::new();
    let mut body = String::new();
    for (at, node) in nodes.iter().enumerate() {
        let mut args = Vec::new();
        for (operand, id) in node.inputs.iter().enumerate() {
            let Some(id) = *id else { return Err(refused("an operand is missing")) };
            let channel = node.op.name == "Snake" && operand == 1;
            if let Some((_, _, name)) =
                names.iter().find(|(known, c, _)| *known == id && (*c == channel || !channel))
            {
                args.push(name.clone());
                continue;
            }
            let view = b.view(id)?;
            views.push(if channel { along_channels(&view, &shape) } else { view.broadcast(&shape) });
            reads.push((id, channel));
            let name = format!("x{}", reads.len() - 1);
            names.push((id, channel, name.clone()));
            args.push(name);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let value = expression::expression(b.graph, node, &args).ok_or(kinograph_backend::Refusal::Op)?;
        let _ = writeln!(body, "  let y{at} = {value};");
        names.push((node.outputs[0], false, format!("y{at}")));
    }
    let out = b.view(last.outputs[0])?;
    let result = format!("y{}", nodes.len() - 1);
    let cost = nodes.iter().map(|n| b.graph.node_flops(n)).sum();
    emit(b, &last.name, Walk { views: &views, out: &out, body: &body, result: &result, cost })
}

/// One number a channel, at axis 1.
fn along_channels(view: &View, shape: &[usize]) -> View {
    let stride = view.strides.last().copied().unwrap_or(0);
    let strides = (0..shape.len()).map(|a| if a == 1 { stride } else { 0 }).collect();
    View { shape: shape.to_vec(), strides, ..view.clone() }
}

/// Copies the elements of one view into another of the same shape; `name` is that of the node that asks for it.
pub(super) fn copy(b: &mut Builder<'_>, name: &str, from: &View, to: &View) -> Lowered {
    let views = [from.clone()];
    emit(b, name, Walk { views: &views, out: to, body: "", result: "x0", cost: 0 })
}

/// A kernel that reads some views and writes one, element by element.
struct Walk<'a> {
    views: &'a [View],
    out: &'a View,
    body: &'a str,
    result: &'a str,
    cost: u64,
}

fn emit(b: &mut Builder<'_>, name: &str, walk: Walk<'_>) -> Lowered {
    let count = walk.out.elements();
    if count == 0 {
        return Ok(());
    }
    let mut operands: Vec<Vec<isize>> = walk.views.iter().map(|v| v.strides.clone()).collect();
    operands.push(walk.out.strides.clone());
    let (sizes, strides) = merged(&walk.out.shape, &operands);
    let source = Source { sizes: &sizes, strides: &strides, walk: &walk };
    // One storage may be read through several views.
    let mut roots: Vec<Root> = Vec::new();
    let slots: Vec<usize> = walk
        .views
        .iter()
        .map(|v| {
            roots.iter().position(|&r| r == v.root).unwrap_or_else(|| {
                roots.push(v.root);
                roots.len() - 1
            })
        })
        .collect();
    let shader = Shader {
        name: "elementwise",
        source: source.write(&slots, roots.len()),
        reads: roots.len(),
        writes: 1,
    };
    let params = source.params(count);
    let grid = b.grid(count.div_ceil(64))?;
    let cost = walk.cost + 4 * (count * (walk.views.len() + 1)) as u64;
    b.steps.push(Step {
        node: name.to_owned(),
        shader,
        reads: roots,
        writes: vec![walk.out.root],
        params,
        grid,
        cost,
    });
    Ok(())
}

/// The text and the parameters of one walk.
struct Source<'a> {
    sizes: &'a [usize],
    /// Of each view, and of the output last.
    strides: &'a [Vec<isize>],
    walk: &'a Walk<'a>,
}

impl Source<'_> {
    /// Whether the result's elements lie in the order in which they are counted.
    fn counted(&self, strides: &[isize]) -> bool {
        strides == dense_strides(self.sizes)
    }

    fn params(&self, count: usize) -> Vec<u32> {
        let mut params = vec![0, count as u32];
        params.extend(self.sizes.iter().map(|&s| s as u32));
        let starts = self.walk.views.iter().map(|v| v.start).chain([self.walk.out.start]);
        for (start, strides) in starts.zip(self.strides) {
            params.push(start as u32);
            // A negative distance wraps around, and so does the sum that it is part of.
            params.extend(strides.iter().map(|&s| s as i32 as u32));
        }
        params
    }

    /// The position of an operand's element.
    fn place(&self, operand: usize) -> String {
        let strides = &self.strides[operand];
        let mut place = format!("params.start{operand}");
        if self.counted(strides) {
            place.push_str(" + i");
            return place;
        }
        for (axis, &stride) in strides.iter().enumerate() {
            match stride {
                0 => {}
                1 => place.push_str(&format!(" + c{axis}")),
                _ => place.push_str(&format!(" + c{axis} * params.stride{operand}_{axis}")),
            }
        }
        place
    }

    fn write(&self, slots: &[usize], storages: usize) -> String {
        let mut s = String::new();
        self.declare(&mut s, slots, storages);
        s.push_str(MATH);
        s.push_str(INTEGER);
        if ["sin_f32", "cos_f32", "snake_f32"].iter().any(|name| self.walk.body.contains(name)) {
            s.push_str(ANGLE);
        }
        s.push_str(EACH);
        s.push_str("fn each(i: u32) {\n");
        if !self.strides.iter().all(|own| self.counted(own)) {
            s.push_str("  var rest = i;\n");
            for axis in (0..self.sizes.len()).rev() {
                let _ =
                    writeln!(s, "  let c{axis} = rest % params.size{axis};\n  rest /= params.size{axis};");
            }
        }
        for (n, view) in self.walk.views.iter().enumerate() {
            let load = format!("in{}[{}]", slots[n], self.place(n));
            let load = match kind(view.dtype) {
                Kind::Float => format!("bitcast<f32>({load})"),
                Kind::Int => format!("bitcast<i32>({load})"),
                Kind::Bool => format!("{load} != 0u"),
                Kind::Long => load,
            };
            let _ = writeln!(s, "  let x{n} = {load};");
        }
        s.push_str(self.walk.body);
        let result = self.walk.result;
        let stored = match kind(self.walk.out.dtype) {
            Kind::Bool => format!("select(0u, 1u, {result})"),
            _ => result.to_owned(),
        };
        let _ = writeln!(s, "  out[{}] = {stored};\n}}", self.place(self.walk.views.len()));
        s
    }

    fn declare(&self, s: &mut String, slots: &[usize], storages: usize) {
        s.push_str("struct Params {\n  zero: u32, count: u32,\n");
        (0..self.sizes.len()).for_each(|axis| {
            let _ = writeln!(s, "  size{axis}: u32,");
        });
        for operand in 0..self.strides.len() {
            let _ = writeln!(s, "  start{operand}: u32,");
            (0..self.sizes.len()).for_each(|axis| {
                let _ = writeln!(s, "  stride{operand}_{axis}: u32,");
            });
        }
        s.push_str("}\n");
        for slot in 0..storages {
            let long = (slots.iter().zip(self.walk.views)).any(|(&n, v)| n == slot && v.dtype == DType::I64);
            let t = if long { "vec2<u32>" } else { "u32" };
            let _ = writeln!(s, "@group(0) @binding({slot}) var<storage, read> in{slot}: array<{t}>;");
        }
        let t = type_of(self.walk.out.dtype);
        let _ = writeln!(s, "@group(0) @binding({storages}) var<storage, read_write> out: array<{t}>;");
        let _ = writeln!(s, "@group(0) @binding({}) var<uniform> params: Params;", storages + 1);
    }
}
