//! Attention and softmax in ordinary ops.

use super::emit::{Emit, Made};
use super::products::Whole;
use crate::exact::{self, CHUNK, Slices};
use crate::{Node, OpError, ValueId};

impl Emit<'_> {
    /// An operand as [B, H, L, D].
    fn heads(&mut self, x: ValueId, heads: Option<i64>) -> Made {
        let shape = self.shape(x);
        let (&[batch, length, width], Some(heads)) = (shape.as_slice(), heads) else { return Ok(x) };
        let heads = heads as usize;
        let x = self.reshape(x, &[batch, length, heads, width / heads])?;
        self.transpose(x, &[0, 2, 1, 3])
    }

    /// Heads of K or V, each as often as it serves heads of Q.
    fn repeated(&mut self, x: ValueId, heads: usize) -> Made {
        let shape = self.shape(x);
        let [batch, own, length, size] = shape[..] else { return Ok(x) };
        if own == heads {
            return Ok(x);
        }
        let x = self.reshape(x, &[batch, own, 1, length, size])?;
        let x = self.expand(x, &[batch, own, heads / own, length, size])?;
        self.reshape(x, &[batch, heads, length, size])
    }

    pub(super) fn attention(&mut self, node: &Node, slices: Slices) -> Made {
        let q = self.required(node, 0)?;
        let packed = self.desc(q).rank() == 3;
        let (q_heads, kv_heads) = (node.attrs.opt_int("q_num_heads")?, node.attrs.opt_int("kv_num_heads")?);
        let q = self.heads(q, q_heads)?;
        let [batch, heads, length, size] = self.shape(q)[..] else {
            return Err(OpError::invalid("Q has no heads"));
        };
        let operand = |emit: &mut Self, i| {
            let x = emit.required(node, i)?;
            let x = emit.heads(x, kv_heads)?;
            emit.repeated(x, heads)
        };
        let (k, v) = (operand(self, 1)?, operand(self, 2)?);
        let (keys, out) = (self.shape(k)[2], self.shape(v)[3]);
        let (q, k) = (self.whole(q, &[3], slices)?, self.whole(k, &[3], slices)?);
        let flip = |emit: &mut Self, whole: &Whole| -> Result<Whole, OpError> {
            let slices = whole.slices.iter().map(|&s| emit.flip(s)).collect::<Result<_, _>>()?;
            let unit = if emit.desc(whole.unit).rank() == 4 { emit.flip(whole.unit)? } else { whole.unit };
            Ok(Whole { slices, unit })
        };
        let k = flip(self, &k)?;
        let scores = self.product(&q, &k)?;
        let scale = node.attrs.opt_float("scale")?.unwrap_or_else(|| (size as f64).sqrt().recip());
        let scale = self.number(exact::flush(scale as f32))?;
        let mut scores = self.clean_mul(scores, scale)?;
        if let Some(bias) = self.input(node, 4)? {
            scores = self.clean_add(scores, bias)?;
        }
        let seen = self.seen(node, length, keys)?;
        let y = if self.desc(scores).elements() == 0 {
            let zero = self.number(0.0)?;
            self.expand(zero, &[batch, heads, length, out])?
        } else {
            let weights = self.weights(scores, 3, seen, slices)?;
            let inverse = self.inverse(weights, 3)?;
            let v = self.whole(v, &[2], slices)?;
            let weights = self.slices(weights, slices)?;
            let sums = self.sums(&weights, &v.slices)?;
            self.scaled(sums, v.unit, inverse)?
        };
        if !packed {
            return Ok(y);
        }
        let y = self.transpose(y, &[0, 2, 1, 3])?;
        self.reshape(y, &[batch, length, heads * out])
    }

    /// Which keys each query may see, if not all.
    fn seen(&mut self, node: &Node, length: usize, keys: usize) -> Result<Option<ValueId>, OpError> {
        let mask = self.input(node, 3)?;
        if !node.attrs.bool("causal")? {
            return Ok(mask);
        }
        let queries: Vec<f32> = (0..length).map(|l| l as f32 + 0.5).collect();
        let positions: Vec<f32> = (0..keys).map(|s| s as f32).collect();
        let (queries, positions) =
            (self.tensor(&queries, &[length, 1])?, self.tensor(&positions, &[1, keys])?);
        let before = self.op("Less", &[positions, queries], &[])?;
        Ok(Some(match mask {
            None => before,
            Some(mask) => self.op("And", &[mask, before], &[])?,
        }))
    }

    /// Weights of scores along an axis as whole numbers.
    fn weights(&mut self, scores: ValueId, axis: usize, seen: Option<ValueId>, slices: Slices) -> Made {
        let open = match seen {
            None => scores,
            Some(seen) => {
                let least = self.number(-f32::MAX)?;
                self.select(seen, scores, least)?
            }
        };
        let max = self.reduce("ReduceMax", open, &[axis])?;
        let mut below = self.clean_sub(scores, max)?;
        let zero = self.number(0.0)?;
        if let Some(seen) = seen {
            below = self.select(seen, below, zero)?;
        }
        let e = self.exp(below)?;
        let weights = self.times(e, slices.limit() as f32)?;
        let weights = self.one("Round", weights)?;
        seen.map_or(Ok(weights), |seen| self.select(seen, weights, zero))
    }

    /// The inverse of the sum of weights.
    fn inverse(&mut self, weights: ValueId, axis: usize) -> Made {
        let count = self.desc(weights).shape[axis];
        let sum = self.chunks(count, CHUNK, |emit, range| {
            let part = emit.slice(weights, axis, range)?;
            emit.reduce("ReduceSum", part, &[axis])
        })?;
        let sum = self.at_least(sum, 1.0)?;
        self.reciprocal(sum)
    }

    pub(super) fn softmax(&mut self, node: &Node, slices: Slices) -> Made {
        let x = self.required(node, 0)?;
        let rank = self.desc(x).rank();
        if self.desc(x).elements() == 0 {
            return Ok(x);
        }
        let axis = node.attrs.int("axis")?;
        let axis = if axis < 0 { axis + rank as i64 } else { axis } as usize;
        let weights = self.weights(x, axis, None, slices)?;
        let inverse = self.inverse(weights, axis)?;
        self.clean_mul(weights, inverse)
    }
}
