use std::collections::HashMap;

use super::emit::{Emit, Made, ints};
use crate::exact::Slices;
use crate::{Attr, DType, Graph, Node, OpError, ValueId};

/// The graph in ops whose results are defined to the bit: docs/reproducible.md says by which rules.
///
/// # Errors
/// A node that has no reproducible form, by name and with the reason.
pub fn reproducible(graph: &Graph, slices: Slices) -> Result<Graph, OpError> {
    let mut replace = Replace { emit: Emit::new(graph)?, clean: HashMap::new(), slices: slices.count() };
    for &id in graph.inputs() {
        let value = graph.value(id);
        if value.desc.dtype == DType::F32 {
            let input = replace.emit.new_of(id)?;
            let clean = replace.emit.op("exact.Flush", &[input], &[])?;
            replace.emit.set(id, clean);
        }
    }
    for node in graph.nodes() {
        replace.emit.begin(node);
        replace
            .node(node)
            .map_err(|why| OpError::invalid(format!("node `{}` ({}): {why}", node.name, node.op.name)))?;
    }
    replace.emit.finish()
}

struct Replace<'g> {
    emit: Emit<'g>,
    /// Weights that were made clean.
    clean: HashMap<ValueId, ValueId>,
    slices: i64,
}

/// Ops that become the op of the same name behind `exact.`, and whether they clean their weights themselves.
const RENAMED: &[(&str, bool)] = &[
    ("Add", false),
    ("Attention", false),
    ("Conv", true),
    ("Cos", false),
    ("Exp", false),
    ("Gelu", false),
    ("LayerNormalization", true),
    ("Linear", true),
    ("MatMul", true),
    ("Mul", false),
    ("RMSNormalization", true),
    ("Sigmoid", false),
    ("Sin", false),
    ("Softmax", false),
    ("Sub", false),
    ("Swish", false),
    ("Tanh", false),
];

/// Ops whose results on clean numbers are exact and clean: they move, choose or compare.
const KEPT: &[&str] = &[
    "Abs",
    "ArgMax",
    "Clip",
    "Concat",
    "Equal",
    "Expand",
    "Greater",
    "Identity",
    "Less",
    "Max",
    "Min",
    "Pad",
    "ReduceMax",
    "ReduceMin",
    "Relu",
    "Reshape",
    "Slice",
    "Split",
    "Tile",
    "Transpose",
    "Where",
    "Iota",
];

/// Ops whose results are exact, but for a negative zero or what they read uncleaned.
const KEPT_AND_CLEANED: &[&str] = &["Neg", "Floor", "Round", "Gather", "Constant"];

impl Replace<'_> {
    fn node(&mut self, node: &Node) -> Result<(), OpError> {
        let graph = self.emit.graph;
        let types =
            || node.inputs.iter().flatten().chain(&node.outputs).map(|&id| graph.value(id).desc.dtype);
        let name = node.op.name;
        if !types().any(DType::is_float) {
            return self.emit.copy(node);
        }
        if name == "Cast" {
            return self.cast(node);
        }
        if let Some(other) = types().find(|&t| t.is_float() && t != DType::F32) {
            return Err(OpError::invalid(format!("reproducible numerics are of f32, and this is {other}")));
        }
        if let Some(exact) = name.strip_prefix("exact.") {
            // It is in this form already.
            let cleans = exact == "Flush" || RENAMED.contains(&(exact, true));
            return self.kept(node, !cleans);
        }
        if let Some(&(_, cleans)) = RENAMED.iter().find(|(renamed, _)| *renamed == name) {
            return self.renamed(node, cleans);
        }
        if KEPT.contains(&name) {
            return self.kept(node, true);
        }
        if KEPT_AND_CLEANED.contains(&name) {
            self.kept(node, name != "Gather")?;
            return self.cleaned(node);
        }
        let made = match name {
            "Resize" if node.attrs.str("mode")? == "nearest" => return self.kept(node, true),
            "GroupNormalization" => self.group_norm(node)?,
            "LeakyRelu" => self.leaky_relu(node)?,
            "RotaryEmbedding" => self.rotary(node)?,
            "video.SinusoidalEmbedding" => self.sinusoidal(node)?,
            _ => {
                let reason = "it has no reproducible form; docs/reproducible.md lists the ops that have one";
                return Err(OpError::invalid(reason));
            }
        };
        self.emit.set(node.outputs[0], made);
        Ok(())
    }

    /// An operand, made clean if it is a weight.
    fn operand(&mut self, node: &Node, i: usize) -> Result<Option<ValueId>, OpError> {
        let Some(old) = node.input(i) else { return Ok(None) };
        let new = self.emit.new_of(old)?;
        if !self.emit.is_weight(old) || self.emit.desc(new).dtype != DType::F32 {
            return Ok(Some(new));
        }
        if let Some(&known) = self.clean.get(&old) {
            return Ok(Some(known));
        }
        let clean = self.emit.op("exact.Flush", &[new], &[])?;
        self.clean.insert(old, clean);
        Ok(Some(clean))
    }

    fn required(&mut self, node: &Node, i: usize) -> Made {
        self.operand(node, i)?.ok_or_else(|| OpError::invalid(format!("input {i} is missing")))
    }

    fn operands(&mut self, node: &Node, clean: bool) -> Result<Vec<Option<ValueId>>, OpError> {
        if !clean {
            return self.emit.inputs(node);
        }
        (0..node.inputs.len()).map(|i| self.operand(node, i)).collect()
    }

    /// The attributes of a node; numbers that get into results as they stand, a limit or a filling, are made clean.
    fn attrs(node: &Node) -> Vec<(&'static str, Attr)> {
        let lands = matches!(node.op.name, "Clip" | "Pad");
        let clean = |value: &Attr| match value {
            Attr::Float(v) if lands => Attr::Float(f64::from(crate::exact::flush(*v as f32))),
            _ => value.clone(),
        };
        node.attrs.iter().map(|(name, value)| (name, clean(value))).collect()
    }

    /// The op of the same name behind `exact.`.
    fn renamed(&mut self, node: &Node, cleans: bool) -> Result<(), OpError> {
        // Only the first operand of those that clean their weights may be one that they do not clean.
        let mut inputs = self.operands(node, !cleans)?;
        if cleans {
            inputs[0] = self.operand(node, 0)?;
        }
        let mut attrs = Self::attrs(node);
        let name = format!("exact.{}", node.op.name);
        if crate::ops::find(&name).is_some_and(|op| op.attrs.iter().any(|a| a.name == "slices")) {
            attrs.push(("slices", Attr::Int(self.slices)));
        }
        let made = self.emit.ops(&name, &inputs, &attrs)?;
        self.emit.set(node.outputs[0], made[0]);
        Ok(())
    }

    fn kept(&mut self, node: &Node, clean: bool) -> Result<(), OpError> {
        let inputs = self.operands(node, clean)?;
        let made = self.emit.ops(node.op.name, &inputs, &Self::attrs(node))?;
        node.outputs.iter().zip(made).for_each(|(&old, new)| self.emit.set(old, new));
        Ok(())
    }

    /// Makes the result of a node clean.
    fn cleaned(&mut self, node: &Node) -> Result<(), OpError> {
        let made = self.emit.new_of(node.outputs[0])?;
        if self.emit.desc(made).dtype == DType::F32 {
            let clean = self.emit.op("exact.Flush", &[made], &[])?;
            self.emit.set(node.outputs[0], clean);
        }
        Ok(())
    }

    fn cast(&mut self, node: &Node) -> Result<(), OpError> {
        let to = self.emit.graph.value(node.outputs[0]).desc.dtype;
        if to.is_float() && to != DType::F32 {
            return Err(OpError::invalid(format!("reproducible numerics are of f32, and this makes {to}")));
        }
        self.kept(node, true)?;
        self.cleaned(node)
    }

    fn group_norm(&mut self, node: &Node) -> Made {
        let x = self.required(node, 0)?;
        let shape = self.emit.shape(x);
        if self.emit.desc(x).elements() == 0 {
            return Ok(x);
        }
        let groups = node.attrs.int("num_groups")? as usize;
        let part = shape[1..].iter().product::<usize>() / groups;
        let rows = self.emit.reshape(x, &[shape[0], groups, part])?;
        let attrs =
            [("epsilon", Attr::Float(node.attrs.float("epsilon")?)), ("slices", Attr::Int(self.slices))];
        let y = self.emit.op("exact.LayerNormalization", &[rows], &attrs)?;
        let mut y = self.emit.reshape(y, &shape)?;
        let channel: Vec<usize> = [shape[1]].into_iter().chain(shape[2..].iter().map(|_| 1)).collect();
        for (i, op) in [(1, "exact.Mul"), (2, "exact.Add")] {
            if let Some(parameter) = self.operand(node, i)? {
                let parameter = self.emit.reshape(parameter, &channel)?;
                y = self.emit.op(op, &[y, parameter], &[])?;
            }
        }
        Ok(y)
    }

    fn leaky_relu(&mut self, node: &Node) -> Made {
        let x = self.required(node, 0)?;
        let alpha = self.emit.number(crate::exact::flush(node.attrs.float("alpha")? as f32))?;
        let below = self.emit.op("exact.Mul", &[x, alpha], &[])?;
        let negative = self.emit.below(x, 0.0)?;
        self.emit.select(negative, below, x)
    }

    fn rotary(&mut self, node: &Node) -> Made {
        let x = self.required(node, 0)?;
        let shape = self.emit.shape(x);
        let packed = shape.len() == 3;
        let heads = if packed { node.attrs.int("num_heads")? as usize } else { shape[1] };
        let x = if packed {
            let x = self.emit.reshape(x, &[shape[0], shape[1], heads, shape[2] / heads])?;
            self.emit.transpose(x, &[0, 2, 1, 3])?
        } else {
            x
        };
        let [batch, _, length, size] = self.emit.shape(x)[..] else {
            return Err(OpError::invalid("X has no heads"));
        };
        let rotated = node.attrs.opt_int("rotary_dim")?.map_or(size, |r| r as usize);
        let half = rotated / 2;
        let interleaved = node.attrs.bool("interleaved")?;
        let part = self.emit.slice(x, 3, 0..rotated)?;
        // Pairs along an axis of their own: the last, or the one before it.
        let (pairs, axis) = if interleaved { ([half, 2], 4) } else { ([2, half], 3) };
        let part = self.emit.reshape(part, &[batch, heads, length, pairs[0], pairs[1]])?;
        let mut side = |i: usize| {
            let side = self.emit.slice(part, axis, i..i + 1)?;
            self.emit.reshape(side, &[batch, heads, length, half])
        };
        let (a, b) = (side(0)?, side(1)?);
        let mut table = |i: usize| {
            let table = self.required(node, i)?;
            let shape = self.emit.shape(table);
            let lead = if shape.len() == 3 { shape[0] } else { 1 };
            self.emit.reshape(table, &[lead, 1, length, half])
        };
        let (cos, sin) = (table(1)?, table(2)?);
        let mut pair = |x: ValueId, y: ValueId, op: &str| {
            let (x, y) =
                (self.emit.op("exact.Mul", &[x, cos], &[])?, self.emit.op("exact.Mul", &[y, sin], &[])?);
            let made = self.emit.op(op, &[x, y], &[])?;
            let shape: [usize; 5] =
                if interleaved { [batch, heads, length, half, 1] } else { [batch, heads, length, 1, half] };
            self.emit.reshape(made, &shape)
        };
        let (first, second) = (pair(a, b, "exact.Sub")?, pair(b, a, "exact.Add")?);
        let y = self.emit.op("Concat", &[first, second], &[("axis", Attr::Int(axis as i64))])?;
        let mut y = self.emit.reshape(y, &[batch, heads, length, rotated])?;
        if rotated < size {
            let rest = self.emit.slice(x, 3, rotated..size)?;
            y = self.emit.op("Concat", &[y, rest], &[("axis", Attr::Int(3))])?;
        }
        if !packed {
            return Ok(y);
        }
        let y = self.emit.transpose(y, &[0, 2, 1, 3])?;
        self.emit.reshape(y, &shape)
    }

    fn sinusoidal(&mut self, node: &Node) -> Made {
        let t = self.required(node, 0)?;
        let batch = self.emit.shape(t)[0];
        let attrs = &node.attrs;
        let dim = attrs.int("dim")? as usize;
        let half = dim / 2;
        let steps = half as f64 - attrs.float("shift")?;
        let log = ln(attrs.float("max_period")?);
        let frequencies: Vec<f32> =
            (0..half).map(|i| crate::exact::flush(exp(-log * i as f64 / steps) as f32)).collect();
        let scale = self.emit.number(crate::exact::flush(attrs.float("scale")? as f32))?;
        let t = self.emit.op("exact.Mul", &[t, scale], &[])?;
        let t = self.emit.reshape(t, &[batch, 1])?;
        let frequencies = self.emit.tensor(&frequencies, &[1, half])?;
        let angle = self.emit.op("exact.Mul", &[t, frequencies], &[])?;
        let mut waves =
            vec![self.emit.op("exact.Sin", &[angle], &[])?, self.emit.op("exact.Cos", &[angle], &[])?];
        if attrs.bool("flip")? {
            waves.reverse();
        }
        if dim % 2 == 1 {
            waves.push(self.emit.op(
                "Constant",
                &[],
                &[("value", Attr::Floats(vec![0.0])), ("shape", ints(&[batch, 1]))],
            )?);
        }
        self.emit.op("Concat", &waves, &[("axis", Attr::Int(1))])
    }
}

/// exp by + - * / alone, which every platform rounds alike; the standard library's may differ between them.
fn exp(x: f64) -> f64 {
    let n = (x * std::f64::consts::LOG2_E).round_ties_even();
    let r = x - n * std::f64::consts::LN_2;
    let mut p = 1.0;
    for k in (1..=20).rev() {
        p = p * r / f64::from(k) + 1.0;
    }
    let step = if n < 0.0 { 0.5 } else { 2.0 };
    (0..n.abs().min(1100.0) as usize).fold(p, |p, _| p * step)
}

/// The natural logarithm by + - * / alone, of a positive number.
fn ln(x: f64) -> f64 {
    let (mut m, mut e) = (x, 0.0);
    while m > 1.5 {
        (m, e) = (m * 0.5, e + 1.0);
    }
    while m < 0.75 && m > 0.0 {
        (m, e) = (m * 2.0, e - 1.0);
    }
    let z = (m - 1.0) / (m + 1.0);
    let sum = (0..30).rev().fold(0.0, |sum, k| sum * z * z + 1.0 / f64::from(2 * k + 1));
    2.0 * z * sum + e * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphBuilder, TensorDesc, ops};

    #[test]
    fn limits_and_fillings_are_made_clean() {
        let own = |attrs: [(&str, Attr); 2]| attrs.map(|(name, value)| (name.to_owned(), value));
        let limits = own([("min", Attr::Float(-1e-40)), ("max", Attr::Float(f64::INFINITY))]);
        let filling = own([("pads", Attr::Ints(vec![1, 0])), ("value", Attr::Float(f64::NAN))]);
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", TensorDesc::new(DType::F32, [2])).unwrap();
        let y = b.node(ops::find("Clip").unwrap(), &[Some(x)], limits, "clip").unwrap()[0];
        let y = b.node(ops::find("Pad").unwrap(), &[Some(y)], filling, "pad").unwrap()[0];
        let written = reproducible(&b.finish([("y", y)]).unwrap(), Slices::Two).unwrap();
        let number = |op: &str, name: &str| {
            written.nodes().iter().find(|n| n.op.name == op).unwrap().attrs.float(name).unwrap()
        };
        assert_eq!(number("Clip", "min"), 0.0);
        assert_eq!(number("Clip", "max"), f64::from(f32::MAX));
        assert_eq!(number("Pad", "value"), 0.0);
    }

    #[test]
    fn platform_free_functions_are_right() {
        for i in 1..2000 {
            let x = f64::from(i) * 0.37;
            assert!((ln(x) - x.ln()).abs() < 1e-14 * x.ln().abs().max(1.0), "{x}");
            let x = f64::from(i) * 0.01 - 10.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-14, "{x}");
        }
    }
}
