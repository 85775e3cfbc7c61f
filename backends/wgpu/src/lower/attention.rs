//! Rules of attention and of rotary positions.

use kinograph_backend::Refusal;
use kinograph_backend::attributes::size;
use kinograph_graph::{Node, OpError, ValueId};

use super::builder::{Builder, LowerError, Lowered, input, refused};
use super::products::{nothing_to_sum, step, word};
use crate::layout::{Root, View};
use crate::shader::{self, Kernel, constant, operand, result};

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

/// The operands of attention: `[batch, heads, length, size]` each.
pub(super) struct Heads {
    pub(super) q: View,
    pub(super) k: View,
    pub(super) v: View,
    /// The result, and how its heads lie in it.
    whole: View,
    out: View,
    mask: Option<View>,
    bias: Option<View>,
}

impl Heads {
    /// Nothing where there is nothing to compute.
    pub(super) fn of(b: &mut Builder<'_>, node: &Node) -> Result<Option<Self>, LowerError> {
        let whole = b.view(node.outputs[0])?;
        let q = heads(b, node, input(node, 0)?, "q_num_heads")?;
        let k = heads(b, node, input(node, 1)?, "kv_num_heads")?;
        let v = heads(b, node, input(node, 2)?, "kv_num_heads")?;
        let &[batch, count, queries, head] = &q.shape[..] else {
            return Err(Refusal::Rank(q.shape.len()).into());
        };
        if whole.elements() == 0 {
            return Ok(None);
        }
        if head.max(v.shape[3]) > MOST_HEAD {
            return Err(refused(format!("a head of {} is larger than {MOST_HEAD}", head.max(v.shape[3]))));
        }
        let out = split_heads(node, whole.clone(), "q_num_heads")?;
        let scores = [batch, count, queries, k.shape[2]];
        let extra = |b: &mut Builder<'_>, i: usize| -> Result<Option<View>, LowerError> {
            Ok(node.input(i).map(|id| b.view(id)).transpose()?.map(|view| view.broadcast(&scores)))
        };
        let (mask, bias) = (extra(b, 3)?, extra(b, 4)?);
        Ok(Some(Self { q, k, v, whole, out, mask, bias }))
    }

    /// Adds the step of a kernel that reads Q, K and V from these storages.
    pub(super) fn step(
        &self,
        b: &mut Builder<'_>,
        node: &Node,
        (kernel, mut declarations): (Kernel, Vec<String>),
        roots: [Root; 3],
        operands: Operands,
    ) -> Lowered {
        let Self { q, k, v, whole, out, mask, bias } = self;
        let &[batch, count, queries, head] = &q.shape[..] else {
            return Err(Refusal::Rank(q.shape.len()).into());
        };
        let value = v.shape[3];
        declarations.extend(result(whole));
        declarations.extend([
            constant("HEAD", format!("{head}u")),
            constant("HEADS", format!("{}u", head.next_multiple_of(8))),
            constant("VALUE", format!("{value}u")),
            constant("VALUES", format!("{}u", value.next_multiple_of(8))),
            constant("MASK", mask.is_some()),
            constant("BIAS", bias.is_some()),
            operand("OfQ", q.half),
            operand("OfK", k.half),
            operand("OfV", v.half),
            operand("OfBias", bias.as_ref().is_some_and(|v| v.half)),
        ]);
        let sharing = count / k.shape[1].max(1);
        let causal = u32::from(node.attrs.bool("causal")?);
        let (keys, start) = (k.shape[2] as u32, out.start as u32);
        let mut params = vec![
            0,
            queries as u32,
            keys,
            count as u32,
            sharing as u32,
            causal,
            operands.scale.to_bits(),
            start,
        ];
        params.extend(operands.places);
        params.extend(three_strides(out));
        params.push(0);
        for view in [mask, bias] {
            let strides = view.as_ref().map_or([0; 4], |v| std::array::from_fn(|a| word(v.strides[a])));
            params.extend(strides);
        }
        let start = |view: &Option<View>| view.as_ref().map_or(0, |v| v.start as u32);
        let base = params.len() + 2;
        params.extend([start(mask), start(bias), 0, 0]);
        let lanes = b.traits.variant.lanes as usize;
        let grid = [queries.div_ceil(lanes) as u32, (batch * count) as u32, 1];
        let root = |view: &Option<View>| view.as_ref().map_or(roots[0], |v| v.root);
        let reads = vec![roots[0], roots[1], roots[2], root(mask), root(bias)];
        let shader = kernel.with(&declarations, b.traits.variant);
        let cost = b.graph.node_flops(node);
        b.step_cut(node, step(node, shader, reads, whole, params, grid, cost), 0, base)
    }
}

/// The parameters of an attention kernel that are its own.
pub(super) struct Operands {
    /// What scores are multiplied with.
    pub(super) scale: f32,
    /// Where the elements of Q, K and V lie.
    pub(super) places: Vec<u32>,
}

/// What scores are multiplied with.
pub(super) fn score_scale(node: &Node, head: usize) -> Result<f32, OpError> {
    Ok(node.attrs.opt_float("scale")?.unwrap_or((head as f64).sqrt().recip()) as f32)
}

pub(super) fn attention(b: &mut Builder<'_>, node: &Node) -> Lowered {
    let Some(heads) = Heads::of(b, node)? else { return Ok(()) };
    if heads.k.shape[2] == 0 {
        return nothing_to_sum(b, node, None, &heads.whole);
    }
    let mut places = Vec::new();
    for view in [&heads.q, &heads.k, &heads.v] {
        places.push(view.start as u32);
        places.extend(three_strides(view));
    }
    let roots = [heads.q.root, heads.k.root, heads.v.root];
    let scale = score_scale(node, heads.q.shape[3])?;
    heads.step(b, node, (shader::ATTENTION, Vec::new()), roots, Operands { scale, places })
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
    let mut declarations = result(&whole);
    declarations.extend([
        operand("OfX", x.half),
        operand("OfCosines", cosines.half),
        operand("OfSines", sines.half),
    ]);
    let shader = shader::ROTARY.with(&declarations, b.traits.variant);
    let grid = b.grid(count.div_ceil(64))?;
    b.step(node, shader, vec![x.root, cosines.root, sines.root], vec![whole.root], params, grid)
}
