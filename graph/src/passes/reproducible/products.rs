//! Products of whole numbers in ordinary ops: of slices, whose sums are exact in `f32`.

use super::emit::{Emit, Made, ints};
use crate::exact::{CHUNK, Slices};
use crate::{Attr, Node, OpError, ValueId};

/// An operand in whole numbers.
#[derive(Clone)]
pub(super) struct Whole {
    /// From the highest slice down.
    pub(super) slices: Vec<ValueId>,
    pub(super) unit: ValueId,
}

impl Emit<'_> {
    /// A tensor in whole numbers with one unit over some axes together.
    pub(super) fn whole(&mut self, x: ValueId, axes: &[usize], slices: Slices) -> Result<Whole, OpError> {
        let magnitude = self.one("Abs", x)?;
        let empty = self.desc(x).elements() == 0;
        // There is no largest of nothing, and no matter which unit it has.
        let max = if empty { self.number(1.0)? } else { self.reduce("ReduceMax", magnitude, axes)? };
        let (up, unit) = self.scale(max, slices)?;
        let q = self.mul(x, up)?;
        let q = self.one("Round", q)?;
        Ok(Whole { slices: self.slices(q, slices)?, unit })
    }

    /// The slices of whole numbers.
    pub(super) fn slices(&mut self, q: ValueId, slices: Slices) -> Result<Vec<ValueId>, OpError> {
        if slices == Slices::One {
            return Ok(vec![q]);
        }
        let high = self.times(q, 1.0 / 128.0)?;
        let high = self.plus(high, 0.5)?;
        let high = self.one("Floor", high)?;
        let rest = self.times(high, 128.0)?;
        Ok(vec![high, self.sub(q, rest)?])
    }

    /// A sum of products of one chunk from a way to multiply slices.
    pub(super) fn combine(
        &mut self,
        a: &[ValueId],
        b: &[ValueId],
        mut multiply: impl FnMut(&mut Self, ValueId, ValueId) -> Made,
    ) -> Made {
        let ([a_high, a_low], [b_high, b_low]) = (a, b) else { return multiply(self, a[0], b[0]) };
        let high = multiply(self, *a_high, *b_high)?;
        let (left, right) = (multiply(self, *a_high, *b_low)?, multiply(self, *a_low, *b_high)?);
        let middle = self.add(left, right)?;
        let low = multiply(self, *a_low, *b_low)?;
        let (carry, low) = self.carry(low)?;
        let middle = self.add(middle, carry)?;
        let (carry, middle) = self.carry(middle)?;
        let high = self.add(high, carry)?;
        let middle = self.times(middle, 128.0)?;
        let low = self.add(middle, low)?;
        let high = self.times(high, 16384.0)?;
        self.add(high, low)
    }

    /// How often 128 goes into a whole number, and what is left.
    fn carry(&mut self, n: ValueId) -> Result<(ValueId, ValueId), OpError> {
        let carry = self.times(n, 1.0 / 128.0)?;
        let carry = self.one("Floor", carry)?;
        let rest = self.times(carry, 128.0)?;
        Ok((carry, self.sub(n, rest)?))
    }

    /// The sum of what each chunk of `count` things gives.
    pub(super) fn chunks(
        &mut self,
        count: usize,
        chunk: usize,
        mut sum: impl FnMut(&mut Self, std::ops::Range<usize>) -> Made,
    ) -> Made {
        let mut total = sum(self, 0..count.min(chunk))?;
        for start in (chunk..count).step_by(chunk) {
            let part = sum(self, start..(start + chunk).min(count))?;
            total = self.add(total, part)?;
        }
        Ok(total)
    }

    /// The sums of products of matrices [..., M, K] and [..., K, N] of whole numbers.
    pub(super) fn sums(&mut self, a: &[ValueId], b: &[ValueId]) -> Made {
        let rank = (self.desc(a[0]).rank(), self.desc(b[0]).rank());
        let inner = self.desc(a[0]).shape[rank.0 - 1];
        self.chunks(inner, CHUNK, |emit, range| {
            let mut cut = |ids: &[ValueId], axis| -> Result<Vec<ValueId>, OpError> {
                ids.iter().map(|&id| emit.slice(id, axis, range.clone())).collect()
            };
            let (a, b) = (cut(a, rank.0 - 1)?, cut(b, rank.1 - 2)?);
            emit.combine(&a, &b, |emit, a, b| emit.op("MatMul", &[a, b], &[]))
        })
    }

    /// The product of matrices in whole numbers.
    pub(super) fn product(&mut self, a: &Whole, b: &Whole) -> Made {
        let sums = self.sums(&a.slices, &b.slices)?;
        self.scaled(sums, a.unit, b.unit)
    }

    /// Sums in the units of both operands.
    pub(super) fn scaled(&mut self, sums: ValueId, a_unit: ValueId, b_unit: ValueId) -> Made {
        let y = self.clean_mul(sums, a_unit)?;
        self.clean_mul(y, b_unit)
    }

    /// Adds a bias that is a weight.
    fn biased(&mut self, y: ValueId, bias: Option<ValueId>) -> Made {
        let Some(bias) = bias else { return Ok(y) };
        let bias = self.clean(bias)?;
        self.clean_add(y, bias)
    }

    pub(super) fn linear(&mut self, node: &Node, slices: Slices) -> Made {
        let (x, w) = (self.required(node, 0)?, self.required(node, 1)?);
        let shape = self.shape(x);
        let (out, inner) = (self.shape(w)[0], self.shape(w)[1]);
        let rows = shape[..shape.len() - 1].iter().product();
        let x = self.reshape(x, &[rows, inner])?;
        let x = self.whole(x, &[1], slices)?;
        let w = self.clean(w)?;
        let w = self.flip(w)?;
        let w = self.whole(w, &[0], slices)?;
        let y = self.product(&x, &w)?;
        let bias = self.input(node, 2)?;
        let y = self.biased(y, bias)?;
        self.reshape(y, &[&shape[..shape.len() - 1], &[out]].concat())
    }

    pub(super) fn mat_mul(&mut self, node: &Node, slices: Slices) -> Made {
        let (a, b) = (self.required(node, 0)?, self.required(node, 1)?);
        let (a_rank, b_rank) = (self.desc(a).rank(), self.desc(b).rank());
        let a = self.clean(a)?;
        let b = self.clean(b)?;
        let (a, b) = (self.whole(a, &[a_rank - 1], slices)?, self.whole(b, &[b_rank - 2], slices)?);
        self.product(&a, &b)
    }

    pub(super) fn conv(&mut self, node: &Node, slices: Slices) -> Made {
        let (x, w) = (self.required(node, 0)?, self.required(node, 1)?);
        let group = node.attrs.int("group")? as usize;
        let (shape, kernel) = (self.shape(x), self.shape(w));
        let taps = kernel[2..].iter().product::<usize>();
        let chunk = (CHUNK / taps.max(1)).max(1);
        if group > 1 && kernel[1] > chunk {
            return Err(OpError::invalid("grouped convolutions have no ordinary ops beyond 1024 terms"));
        }
        let x = self.by_group(x, group, slices)?;
        let w = self.clean(w)?;
        let axes: Vec<usize> = (1..kernel.len()).collect();
        let w = self.whole(w, &axes, slices)?;
        let known = ["strides", "dilations", "pads", "group", "pad_mode"];
        let attrs: Vec<(&str, Attr)> =
            node.attrs.iter().filter(|(name, _)| known.contains(name)).map(|(n, v)| (n, v.clone())).collect();
        let sums = self.chunks(kernel[1], chunk, |emit, range| {
            let mut cut = |ids: &[ValueId], range: std::ops::Range<usize>| -> Result<Vec<ValueId>, OpError> {
                ids.iter().map(|&id| emit.slice(id, 1, range.clone())).collect()
            };
            let of_x = if group > 1 { 0..shape[1] } else { range.clone() };
            let (x, w) = (cut(&x.slices, of_x)?, cut(&w.slices, range)?);
            emit.combine(&x, &w, |emit, x, w| emit.op("Conv", &[x, w], &attrs))
        })?;
        let per_channel: Vec<usize> =
            std::iter::once(1).chain([kernel[0]]).chain(kernel[2..].iter().map(|_| 1)).collect();
        let unit = self.expand(x.unit, &[shape[0], group, kernel[0] / group])?;
        let unit = self.reshape(unit, &[&[shape[0]], &per_channel[1..]].concat())?;
        let w_unit = self.expand(w.unit, &[&kernel[..1], &vec![1; kernel.len() - 1]].concat())?;
        let w_unit = self.reshape(w_unit, &per_channel)?;
        let y = self.scaled(sums, unit, w_unit)?;
        let bias = self.input(node, 2)?.map(|bias| self.reshape(bias, &per_channel)).transpose()?;
        self.biased(y, bias)
    }

    /// A tensor [N, C, ...] in whole numbers with one unit for each item and group: [N, group, 1].
    fn by_group(&mut self, x: ValueId, group: usize, slices: Slices) -> Result<Whole, OpError> {
        let shape = self.shape(x);
        let part = shape[1..].iter().product::<usize>() / group;
        let rows = self.reshape(x, &[shape[0], group, part])?;
        let whole = self.whole(rows, &[2], slices)?;
        let slices = whole.slices.iter().map(|&s| self.reshape(s, &shape)).collect::<Result<_, _>>()?;
        let unit = self.expand(whole.unit, &[shape[0], group, 1])?;
        Ok(Whole { slices, unit })
    }

    /// The sum of a tensor over some axes, by chunks in row-major order, from what each chunk gives. Axes stay with size 1.
    pub(super) fn sums_over(
        &mut self,
        x: &[ValueId],
        axes: &[usize],
        mut sum: impl FnMut(&mut Self, &[ValueId], &[usize]) -> Made,
    ) -> Made {
        let shape = self.shape(x[0]);
        let count = axes.iter().map(|&a| shape[a]).product::<usize>();
        if count <= CHUNK {
            return sum(self, x, axes);
        }
        let others: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
        let perm = [others.as_slice(), axes].concat();
        let groups: usize = others.iter().map(|&a| shape[a]).product();
        let rows = x
            .iter()
            .map(|&x| {
                let x = self.transpose(x, &perm)?;
                self.reshape(x, &[groups, count])
            })
            .collect::<Result<Vec<_>, OpError>>()?;
        let sums = self.chunks(count, CHUNK, |emit, range| {
            let part =
                rows.iter().map(|&r| emit.slice(r, 1, range.clone())).collect::<Result<Vec<_>, OpError>>()?;
            sum(emit, &part, &[1])
        })?;
        let kept: Vec<usize> =
            (0..shape.len()).map(|a| if axes.contains(&a) { 1 } else { shape[a] }).collect();
        self.op("Reshape", &[sums], &[("shape", ints(&kept))])
    }
}
