//! Padding and sliding windows, for Pad, Conv and ConvTranspose.

use super::util;
use crate::{AttrDefault, AttrKind, AttrSpec, Attrs, OpError};

/// What lies outside a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PadMode {
    /// A constant.
    Constant,
    /// The nearest element.
    Edge,
    /// The tensor mirrored at its first and last element, which are not repeated.
    Reflect,
}

impl PadMode {
    /// The names of the modes.
    pub(super) const KIND: AttrKind = AttrKind::Choice(&["constant", "edge", "reflect"]);

    pub(super) fn of(attrs: &Attrs, name: &str) -> Result<Self, OpError> {
        match attrs.str(name)? {
            "constant" => Ok(PadMode::Constant),
            "edge" => Ok(PadMode::Edge),
            "reflect" => Ok(PadMode::Reflect),
            other => Err(OpError::attribute(name, format!("{other:?} is no padding mode"))),
        }
    }

    /// Checks that an axis has what the mode needs to fill its padding.
    pub(super) fn check(self, axis: usize, dim: usize, begin: usize, end: usize) -> Result<(), OpError> {
        let most = match self {
            PadMode::Constant => return Ok(()),
            PadMode::Edge if dim > 0 => return Ok(()),
            PadMode::Edge => 0,
            PadMode::Reflect => dim.saturating_sub(1),
        };
        if begin <= most && end <= most {
            return Ok(());
        }
        let reason = format!(
            "axis {axis} has {dim} elements, so this mode can pad it by {most} at most; {begin} and {end} are given"
        );
        Err(OpError::attribute("pads", reason))
    }

    /// The index of the element found at a position, which may lie outside the axis by as much as
    /// [`PadMode::check`] allows; `None` where the constant is.
    pub(super) fn source(self, position: i128, dim: usize) -> Option<usize> {
        let last = dim as i128 - 1;
        let inside = match self {
            PadMode::Constant => position,
            PadMode::Edge => position.min(last).max(0),
            PadMode::Reflect if position < 0 => -position,
            PadMode::Reflect if position > last => 2 * last - position,
            PadMode::Reflect => position,
        };
        usize::try_from(inside).ok().filter(|&i| i < dim)
    }
}

/// How a kernel slides along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// The attributes of [`windows`].
pub(super) const STRIDES: AttrSpec = AttrSpec {
    name: "strides",
    kind: AttrKind::Ints,
    default: AttrDefault::Absent,
    doc: "The step from one position of the kernel to the next, for each spatial axis; without it, 1.",
};

/// The attributes of [`windows`].
pub(super) const DILATIONS: AttrSpec = AttrSpec {
    name: "dilations",
    kind: AttrKind::Ints,
    default: AttrDefault::Absent,
    doc: "The distance between the kernel's elements, for each spatial axis; without it, 1.",
};

/// Into how many groups the channels are cut.
pub(super) const GROUP: AttrSpec = AttrSpec {
    name: "group",
    kind: AttrKind::Int,
    default: AttrDefault::Int(1),
    doc: "Into how many groups the channels are cut, each with its own kernels.",
};

/// The windows of a kernel of that size, one for each spatial axis.
pub(super) fn windows(attrs: &Attrs, kernel: &[usize]) -> Result<Vec<Window>, OpError> {
    let r = kernel.len();
    if !(1..=3).contains(&r) {
        return Err(OpError::invalid(format!("there are {r} spatial axes, but must be 1 to 3")));
    }
    if kernel.contains(&0) {
        return Err(OpError::invalid(format!("the kernel {kernel:?} is empty along an axis")));
    }
    let strides = per_axis(attrs, "strides", r)?;
    let dilations = per_axis(attrs, "dilations", r)?;
    let pads = pads(attrs, r)?;
    Ok((0..r)
        .map(|i| Window {
            kernel: kernel[i],
            stride: strides[i],
            dilation: dilations[i],
            begin: pads[i].0,
            end: pads[i].1,
        })
        .collect())
}

fn per_axis(attrs: &Attrs, name: &str, r: usize) -> Result<Vec<usize>, OpError> {
    let Some(values) = attrs.opt_ints(name)? else { return Ok(vec![1; r]) };
    util::one_each(name, values.len(), r, "spatial axes")?;
    values.iter().map(|&v| util::positive(name, v)).collect()
}

/// The attribute `pads`, [begin..., end...], as a pair for each of `r` axes; zeros when absent.
pub(super) fn pads(attrs: &Attrs, r: usize) -> Result<Vec<(usize, usize)>, OpError> {
    let Some(values) = attrs.opt_ints("pads")? else { return Ok(vec![(0, 0); r]) };
    util::one_each("pads", values.len(), 2 * r, "sides (a begin and an end for each axis)")?;
    if values.iter().any(|&v| v < 0) {
        return Err(OpError::attribute(
            "pads",
            format!("{values:?} has a negative entry; use Slice to crop"),
        ));
    }
    let values = util::dims("pads", values)?;
    Ok((0..r).map(|i| (values[i], values[r + i])).collect())
}

impl Window {
    /// The length that the kernel spans.
    fn extent(&self) -> i128 {
        (self.kernel as i128 - 1).saturating_mul(self.dilation as i128).saturating_add(1)
    }

    /// The number of positions of the kernel on a padded axis.
    pub(super) fn positions(&self, dim: usize) -> Result<usize, OpError> {
        let padded = dim as i128 + self.begin as i128 + self.end as i128;
        if self.extent() > padded {
            return Err(OpError::invalid(format!(
                "the kernel spans {} elements, but an axis of {dim} padded by {} and {} has only {padded}",
                self.extent(),
                self.begin,
                self.end
            )));
        }
        size((padded - self.extent()) / self.stride as i128 + 1)
    }

    /// The position on the unpadded axis that element `k` of the kernel meets at position `o`.
    pub(super) fn meets(&self, o: usize, k: usize) -> i128 {
        o as i128 * self.stride as i128 + k as i128 * self.dilation as i128 - self.begin as i128
    }

    /// The length of the axis that `dim` positions of the kernel cover, less the pads.
    pub(super) fn covers(&self, dim: usize, output_padding: usize) -> Result<usize, OpError> {
        let span = (dim as i128 - 1).saturating_mul(self.stride as i128);
        let full = span.saturating_add(self.extent()).saturating_add(output_padding as i128);
        let out = full - self.begin as i128 - self.end as i128;
        if dim == 0 || out < 1 {
            return Err(OpError::invalid(format!(
                "an axis of {dim} becomes one of {full} less the pads {} and {}; nothing is left",
                self.begin, self.end
            )));
        }
        size(out)
    }
}

fn size(n: i128) -> Result<usize, OpError> {
    usize::try_from(n).map_err(|_| OpError::invalid("the result is larger than any memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_fill_the_outside() {
        let row = |mode: PadMode| (-2..5).map(|p| mode.source(p, 3)).collect::<Vec<_>>();
        assert_eq!(row(PadMode::Constant), [None, None, Some(0), Some(1), Some(2), None, None]);
        assert_eq!(row(PadMode::Edge), [0, 0, 0, 1, 2, 2, 2].map(Some));
        assert_eq!(row(PadMode::Reflect), [2, 1, 0, 1, 2, 1, 0].map(Some));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let huge = usize::MAX;
        let window = Window { kernel: huge, stride: huge, dilation: huge, begin: huge, end: huge };
        assert!(window.positions(huge).is_err());
        assert!(window.covers(huge, huge).is_err());
        assert!(window.covers(0, 0).is_err());
    }
}
