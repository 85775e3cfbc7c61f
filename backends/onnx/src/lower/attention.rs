//! Attention: ONNX's own op where the target has it, else products and a softmax.

use kinograph_graph::{DType, Node, TensorDesc};

use super::position::scale;
use super::util::{flag, int};
use crate::builder::{Builder, Lowered, Name};
use crate::model::Attr;

/// The sizes of one operand.
#[derive(Clone, Copy)]
struct Heads {
    batch: usize,
    heads: usize,
    length: usize,
    size: usize,
    /// [B, L, H * D] instead of [B, H, L, D].
    packed: bool,
}

impl Heads {
    fn of(desc: &TensorDesc, node: &Node, attribute: &str) -> Lowered<Self> {
        let s = &desc.shape;
        if s.len() == 3 {
            let heads = usize::try_from(int(node, attribute)?).unwrap_or(1).max(1);
            return Ok(Self { batch: s[0], heads, length: s[1], size: s[2] / heads, packed: true });
        }
        Ok(Self { batch: s[0], heads: s[1], length: s[2], size: s[3], packed: false })
    }

    /// From [B, L, H * D] to this layout.
    fn unpacked_as(&self, b: &mut Builder<'_>, x: Name) -> Name {
        if self.packed { x } else { Heads { packed: true, ..*self }.unpacked(b, x) }
    }

    /// As [B, L, H * D].
    fn packed(&self, b: &mut Builder<'_>, x: Name) -> Name {
        if self.packed {
            return x;
        }
        let x = b.transpose(&x, &[0, 2, 1, 3]);
        b.reshape(&x, &[self.batch, self.length, self.heads * self.size])
    }

    /// As [B, H, L, D].
    fn unpacked(&self, b: &mut Builder<'_>, x: Name) -> Name {
        if !self.packed {
            return x;
        }
        let x = b.reshape(&x, &[self.batch, self.length, self.heads, self.size]);
        b.transpose(&x, &[0, 2, 1, 3])
    }
}

pub(crate) fn attention(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let q = Heads::of(b.desc(node, 0)?, node, "q_num_heads")?;
    let k = Heads::of(b.desc(node, 1)?, node, "kv_num_heads")?;
    let v = Heads::of(b.desc(node, 2)?, node, "kv_num_heads")?;
    let out = b.out_desc(node, 0);
    if out.elements() == 0 || k.length == 0 {
        // Nothing to attend to gives zeros.
        let zeros = b.f32s(&out.shape, vec![0.0; out.elements()]);
        let zeros = b.op("Identity", &[&zeros]);
        b.output(node, 0, zeros);
        return Ok(());
    }
    let scale = scale(node, q.size)?;
    let plain = node.input(3).is_none() && node.input(4).is_none() && !flag(node, "causal")?;
    let y = if plain && q.heads == k.heads && b.target.multi_head_attention {
        multi_head(b, node, [q, k, v], scale)?
    } else if b.target.opset_23_ops {
        native(b, node, [q, k, v], scale)?
    } else {
        composed(b, node, [q, k, v], scale)?
    };
    let y = match node.input(3) {
        Some(mask) => {
            let mask = b.raw(mask);
            let seen = visible(b, &mask, node, q, k)?;
            zero_unseeing(b, &y, &seen, Heads { size: v.size, ..q })
        }
        None => y,
    };
    b.output(node, 0, y);
    Ok(())
}

/// ONNX Runtime's own op, which goes over the keys in blocks: memory linear in tokens.
fn multi_head(b: &mut Builder<'_>, node: &Node, [q, k, v]: [Heads; 3], scale: f32) -> Lowered<Name> {
    let [x, y, z] = [b.input(node, 0)?, b.input(node, 1)?, b.input(node, 2)?];
    let (x, y, z) = (q.packed(b, x), k.packed(b, y), v.packed(b, z));
    let attrs = vec![("num_heads", Attr::Int(q.heads as i64)), ("scale", Attr::Float(scale))];
    let made = b.microsoft("MultiHeadAttention", &[&x, &y, &z], attrs);
    Ok(Heads { size: v.size, ..q }.unpacked_as(b, made))
}

fn native(b: &mut Builder<'_>, node: &Node, [q, k, _]: [Heads; 3], scale: f32) -> Lowered<Name> {
    let inputs = [b.input(node, 0)?, b.input(node, 1)?, b.input(node, 2)?];
    let [x, y, z] = inputs.each_ref().map(String::as_str);
    let mut attrs =
        vec![("scale", Attr::Float(scale)), ("is_causal", Attr::Int(i64::from(flag(node, "causal")?)))];
    if q.packed {
        attrs.push(("q_num_heads", Attr::Int(q.heads as i64)));
        attrs.push(("kv_num_heads", Attr::Int(k.heads as i64)));
    }
    Ok(match added(b, node)? {
        Some(bias) => {
            let bias = b.broadcast_last(&bias, node, q, k)?;
            b.op_with("Attention", &[x, y, z, &bias], attrs)
        }
        None => b.op_with("Attention", &[x, y, z], attrs),
    })
}

fn composed(b: &mut Builder<'_>, node: &Node, [q, k, v]: [Heads; 3], scale: f32) -> Lowered<Name> {
    let [x, y, z] = [b.input(node, 0)?, b.input(node, 1)?, b.input(node, 2)?];
    let (x, y, z) = (q.unpacked(b, x), k.unpacked(b, y), v.unpacked(b, z));
    let (y, z) = (repeated(b, &y, k, q.heads), repeated(b, &z, v, q.heads));
    let factor = b.number(scale);
    let x = b.op("Mul", &[&x, &factor]);
    let y = b.transpose(&y, &[0, 1, 3, 2]);
    let mut scores = b.op("MatMul", &[&x, &y]);
    if let Some(bias) = added(b, node)? {
        scores = b.op("Add", &[&scores, &bias]);
    }
    if flag(node, "causal")? {
        let bias = causal_bias(b, q.length, k.length);
        scores = b.op("Add", &[&scores, &bias]);
    }
    let weights = b.op_with("Softmax", &[&scores], vec![("axis", Attr::Int(3))]);
    let y = b.op("MatMul", &[&weights, &z]);
    if !q.packed {
        return Ok(y);
    }
    let y = b.transpose(&y, &[0, 2, 1, 3]);
    Ok(b.reshape(&y, &[q.batch, q.length, q.heads * v.size]))
}

/// K or V with one head for each of Q, the heads that share one beside each other.
fn repeated(b: &mut Builder<'_>, x: &str, of: Heads, heads: usize) -> Name {
    if of.heads == heads {
        return x.to_owned();
    }
    let each: Vec<usize> = (0..heads).map(|h| h / (heads / of.heads)).collect();
    b.pick(x, 1, &each)
}

/// What is added to the scores: the bias, and -inf where the mask says no.
fn added(b: &mut Builder<'_>, node: &Node) -> Lowered<Option<Name>> {
    let bias = node.input(4).map(|id| b.read(id));
    let Some(mask) = node.input(3) else { return Ok(bias) };
    let mask = b.raw(mask);
    let never = b.number(f32::NEG_INFINITY);
    let base = bias.unwrap_or_else(|| b.number(0.0));
    Ok(Some(b.op("Where", &[&mask, &base, &never])))
}

fn causal_bias(b: &mut Builder<'_>, queries: usize, keys: usize) -> Name {
    let at = |i: usize| if i % keys > i / keys { f32::NEG_INFINITY } else { 0.0 };
    b.f32s(&[queries, keys], (0..queries * keys).map(at).collect())
}

/// Which queries see any key, [.., L, 1], by the mask and causality.
fn visible(b: &mut Builder<'_>, mask: &str, node: &Node, q: Heads, k: Heads) -> Lowered<Name> {
    let mut mask = mask.to_owned();
    if flag(node, "causal")? {
        let at = |i: usize| u8::from(i % k.length <= i / k.length);
        let before = kinograph_backend::HostData::Bool((0..q.length * k.length).map(at).collect());
        let before = b.constant(&[q.length, k.length], &before);
        mask = b.op("And", &[&mask, &before]);
    }
    let rank = if flag(node, "causal")? { b.desc(node, 3)?.rank().max(2) } else { b.desc(node, 3)?.rank() };
    let count = b.cast(&mask, DType::I32);
    let count = if rank == 0 { count } else { b.reduce("ReduceSum", &count, &[rank - 1], true) };
    Ok(b.cast(&count, DType::Bool))
}

/// Zeros where a query sees nothing.
fn zero_unseeing(b: &mut Builder<'_>, y: &str, seen: &str, out: Heads) -> Name {
    let zero = b.number(0.0);
    if !out.packed {
        return b.op("Where", &[seen, y, &zero]);
    }
    let seen = b.broadcast(seen, &[out.batch, out.heads, out.length, 1]);
    let seen = b.transpose(&seen, &[0, 2, 1, 3]);
    let y = b.reshape(y, &[out.batch, out.length, out.heads, out.size]);
    let y = b.op("Where", &[&seen, &y, &zero]);
    b.reshape(&y, &[out.batch, out.length, out.heads * out.size])
}

impl Builder<'_> {
    /// What is added, with the last two axes whole, as libraries expect a mask to be.
    fn broadcast_last(&mut self, bias: &str, node: &Node, q: Heads, k: Heads) -> Lowered<Name> {
        let mut shape = vec![1, 1, q.length, k.length];
        for i in [3, 4] {
            let given = node.input(i).map_or(&[][..], |id| &self.graph.value(id).desc.shape);
            for (d, &g) in shape.iter_mut().rev().zip(given.iter().rev()) {
                *d = (*d).max(g);
            }
        }
        Ok(self.broadcast(bias, &shape))
    }
}
