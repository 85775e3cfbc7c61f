//! Tables, and embeddings of positions and times.

use kinograph_backend::{HostTensor, Refusal};
use kinograph_graph::{Node, ops};

use super::util::{defect, flag, float, int};
use crate::builder::{Builder, Lowered, Name};
use crate::model::Attr;

/// The most elements of a table that becomes a constant of the model: 256 MB of f32.
const MAX_TABLE: usize = 1 << 26;

/// An op without inputs: its reference, computed now.
pub(crate) fn table(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let desc = b.out_desc(node, 0);
    if desc.elements() > MAX_TABLE {
        return Err(Refusal::Other(format!("a table of more than {MAX_TABLE} elements")));
    }
    let made = ops::evaluate(node.op, &[], &node.attrs).map_err(defect)?;
    let tensor = HostTensor::from_reference(&made[0], desc.dtype);
    let name = b.constant(&desc.shape, tensor.data());
    let name = b.op("Identity", &[&name]);
    b.raw_output(node, 0, name);
    Ok(())
}

/// sin and cos of scale * t * exp(-ln(max_period) * i / (half - shift)).
pub(crate) fn sinusoidal(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let get = |name| node.attrs.float(name).map_err(defect);
    let (period, scale, shift) = (get("max_period")?, get("scale")?, get("shift")?);
    let dim = usize::try_from(int(node, "dim")?).unwrap_or(2);
    let half = dim / 2;
    let step = period.ln() / (half as f64 - shift);
    let frequencies = (0..half).map(|i| (scale * (-step * i as f64).exp()) as f32).collect();
    let t = b.input(node, 0)?;
    let batch = b.desc(node, 0)?.shape[0];
    let t = b.reshape(&t, &[batch, 1]);
    let frequencies = b.f32s(&[1, half], frequencies);
    let angles = b.op("Mul", &[&t, &frequencies]);
    let (sin, cos) = (b.op("Sin", &[&angles]), b.op("Cos", &[&angles]));
    let mut parts = if flag(node, "flip")? { vec![cos, sin] } else { vec![sin, cos] };
    if dim % 2 == 1 {
        parts.push(b.f32s(&[batch, 1], vec![0.0; batch]));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let y = b.op_with("Concat", &parts, vec![("axis", Attr::Int(1))]);
    b.output(node, 0, y);
    Ok(())
}

/// How the rotated part of X lies.
struct Rotary {
    /// [batch, heads, length, size], or [batch, length, heads, size].
    shape: [usize; 4],
    packed: bool,
    rotated: usize,
    interleaved: bool,
}

impl Rotary {
    fn of(b: &Builder<'_>, node: &Node) -> Lowered<Self> {
        let x = &b.desc(node, 0)?.shape;
        let packed = x.len() == 3;
        let shape = if packed {
            let heads = usize::try_from(int(node, "num_heads")?).unwrap_or(1).max(1);
            [x[0], x[1], heads, x[2] / heads]
        } else {
            [x[0], x[1], x[2], x[3]]
        };
        let rotated = node.attrs.opt_int("rotary_dim").map_err(defect)?;
        let rotated = rotated.map_or(shape[3], |r| usize::try_from(r).unwrap_or(0));
        Ok(Self { shape, packed, rotated, interleaved: flag(node, "interleaved")? })
    }

    /// The shape by which cos and sin broadcast over pairs.
    fn table_shape(&self, table: &[usize]) -> Vec<usize> {
        let (batch, length, pairs) = match *table {
            [batch, length, pairs] => (batch, length, pairs),
            _ => (1, table[0], table[1]),
        };
        if self.packed { vec![batch, length, 1, pairs] } else { vec![batch, 1, length, pairs] }
    }

    /// The two elements of each pair.
    fn pairs(&self, b: &mut Builder<'_>, x: &str) -> (Name, Name) {
        let half = self.rotated / 2;
        if self.interleaved {
            let even: Vec<usize> = (0..half).map(|i| 2 * i).collect();
            let odd: Vec<usize> = (0..half).map(|i| 2 * i + 1).collect();
            (b.pick(x, 3, &even), b.pick(x, 3, &odd))
        } else {
            (b.part(x, 3, 0, half), b.part(x, 3, half, self.rotated))
        }
    }

    /// Pairs back in their places.
    fn join(&self, b: &mut Builder<'_>, first: &str, second: &str) -> Name {
        if !self.interleaved {
            return b.op_with("Concat", &[first, second], vec![("axis", Attr::Int(3))]);
        }
        let [p, q, r, _] = self.shape;
        let half = self.rotated / 2;
        let (first, second) = (b.reshape(first, &[p, q, r, half, 1]), b.reshape(second, &[p, q, r, half, 1]));
        let pairs = b.op_with("Concat", &[&first, &second], vec![("axis", Attr::Int(4))]);
        b.reshape(&pairs, &[p, q, r, self.rotated])
    }
}

pub(crate) fn rotary(b: &mut Builder<'_>, node: &Node) -> Lowered {
    if b.target.opset_23_ops {
        return rotary_23(b, node);
    }
    let rotary = Rotary::of(b, node)?;
    let (x, cos, sin) = (b.input(node, 0)?, b.input(node, 1)?, b.input(node, 2)?);
    let [cos_shape, sin_shape] = [1, 2].map(|i| b.desc(node, i).map(|d| rotary.table_shape(&d.shape)));
    let (cos, sin) = (b.reshape(&cos, &cos_shape?), b.reshape(&sin, &sin_shape?));
    let x = if rotary.packed { b.reshape(&x, &rotary.shape) } else { x };
    let (first, second) = rotary.pairs(b, &x);
    let product = |b: &mut Builder<'_>, x: &str, y: &str| b.op("Mul", &[x, y]);
    let (fc, ss) = (product(b, &first, &cos), product(b, &second, &sin));
    let (sc, fs) = (product(b, &second, &cos), product(b, &first, &sin));
    let (first, second) = (b.op("Sub", &[&fc, &ss]), b.op("Add", &[&sc, &fs]));
    let mut y = rotary.join(b, &first, &second);
    if rotary.rotated < rotary.shape[3] {
        let rest = b.part(&x, 3, rotary.rotated, rotary.shape[3]);
        y = b.op_with("Concat", &[&y, &rest], vec![("axis", Attr::Int(3))]);
    }
    let y = b.reshape(&y, &b.out_desc(node, 0).shape);
    b.output(node, 0, y);
    Ok(())
}

/// ONNX's own op wants a table for each item of the batch.
fn rotary_23(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let rotary = Rotary::of(b, node)?;
    let (x, cos, sin) = (b.input(node, 0)?, b.input(node, 1)?, b.input(node, 2)?);
    let batch = rotary.shape[0];
    let mut tables = Vec::new();
    for (i, name) in [(1, cos), (2, sin)] {
        let shape = &b.desc(node, i)?.shape;
        let [length, pairs] = [shape[shape.len() - 2], shape[shape.len() - 1]];
        tables.push(b.broadcast(&name, &[batch, length, pairs]));
    }
    let mut attrs = vec![
        ("interleaved", Attr::Int(i64::from(rotary.interleaved))),
        ("rotary_embedding_dim", Attr::Int(rotary.rotated as i64)),
    ];
    if rotary.packed {
        attrs.push(("num_heads", Attr::Int(rotary.shape[2] as i64)));
    }
    let y = b.op_with("RotaryEmbedding", &[&x, &tables[0], &tables[1]], attrs);
    b.output(node, 0, y);
    Ok(())
}

/// The scale of a node whose attribute is absent: 1 / sqrt(size).
pub(crate) fn scale(node: &Node, size: usize) -> Lowered<f32> {
    match node.attrs.opt_float("scale").map_err(defect)? {
        Some(_) => float(node, "scale"),
        None => Ok((1.0 / (size as f64).sqrt()) as f32),
    }
}
