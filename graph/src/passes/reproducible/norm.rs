//! Normalisations in ordinary ops.

use super::emit::{Emit, Made};
use crate::exact::{self, Slices};
use crate::{Node, OpError, ValueId};

impl Emit<'_> {
    pub(super) fn norm(&mut self, node: &Node, slices: Slices, centred: bool) -> Made {
        let x = self.required(node, 0)?;
        let shape = self.shape(x);
        if self.desc(x).elements() == 0 {
            return Ok(x);
        }
        let axes = axes(node, shape.len())?;
        let count: usize = axes.iter().map(|&a| shape[a]).product();
        let inverse = (1.0 / count as f64) as f32;
        let x = if centred { self.centre(x, &axes, inverse, slices)? } else { x };
        let whole = self.whole(x, &axes, slices)?;
        let sums = self.sums_over(&whole.slices, &axes, |emit, x, axes| {
            emit.combine(x, x, |emit, a, b| {
                let product = emit.mul(a, b)?;
                emit.reduce("ReduceSum", product, axes)
            })
        })?;
        let power = self.scaled(sums, whole.unit, whole.unit)?;
        let inverse = self.number(inverse)?;
        let power = self.clean_mul(power, inverse)?;
        let epsilon = self.number(exact::flush(node.attrs.float("epsilon")? as f32))?;
        let power = self.clean_add(power, epsilon)?;
        let root = self.rsqrt(power)?;
        let mut y = self.clean_mul(x, root)?;
        if let Some(scale) = self.parameter(node, 1, &shape, &axes)? {
            y = self.clean_mul(y, scale)?;
        }
        if let Some(bias) = self.parameter(node, 2, &shape, &axes)? {
            y = self.clean_add(y, bias)?;
        }
        Ok(y)
    }

    /// A tensor less its means.
    fn centre(&mut self, x: ValueId, axes: &[usize], inverse: f32, slices: Slices) -> Made {
        let whole = self.whole(x, axes, slices)?;
        let sums = self.sums_over(&whole.slices, axes, |emit, x, axes| {
            let sums =
                x.iter().map(|&x| emit.reduce("ReduceSum", x, axes)).collect::<Result<Vec<_>, OpError>>()?;
            let [high, low] = sums[..] else { return Ok(sums[0]) };
            let high = emit.times(high, 128.0)?;
            emit.add(high, low)
        })?;
        let inverse = self.number(inverse)?;
        let mean = self.scaled(sums, whole.unit, inverse)?;
        self.clean_sub(x, mean)
    }

    /// A scale or bias, cleaned, so that it broadcasts.
    fn parameter(
        &mut self,
        node: &Node,
        i: usize,
        shape: &[usize],
        axes: &[usize],
    ) -> Result<Option<ValueId>, OpError> {
        let Some(parameter) = self.input(node, i)? else { return Ok(None) };
        let parameter = self.clean(parameter)?;
        let own: Vec<usize> =
            (0..shape.len()).map(|a| if axes.contains(&a) { shape[a] } else { 1 }).collect();
        self.reshape(parameter, &own).map(Some)
    }
}

/// The axes of a normalisation, sorted.
fn axes(node: &Node, rank: usize) -> Result<Vec<usize>, OpError> {
    let wrap = |&a: &i64| usize::try_from(if a < 0 { a + rank as i64 } else { a });
    let axes: Result<Vec<usize>, _> = node.attrs.ints("axes")?.iter().map(wrap).collect();
    let mut axes = axes.map_err(|_| OpError::invalid("an axis is outside of the tensor"))?;
    axes.sort_unstable();
    Ok(axes)
}
