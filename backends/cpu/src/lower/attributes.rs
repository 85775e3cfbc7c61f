//! Reading attributes that inference has already checked.

use kinograph_graph::{Attrs, OpError};

/// An axis, from the end if negative.
pub(super) fn axis(value: i64, rank: usize) -> Result<usize, OpError> {
    let wrapped = if value < 0 { value + rank as i64 } else { value };
    usize::try_from(wrapped)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| OpError::invalid(format!("axis {value} is outside rank {rank}")))
}

/// An axis attribute.
pub(super) fn axis_of(attrs: &Attrs, rank: usize) -> Result<usize, OpError> {
    axis(attrs.int("axis")?, rank)
}

/// A list of axes, sorted; all of them when the attribute is absent.
pub(super) fn sorted_axes(attrs: &Attrs, rank: usize) -> Result<Vec<usize>, OpError> {
    let mut axes = match attrs.opt_ints("axes")? {
        None => (0..rank).collect(),
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
    };
    axes.sort_unstable();
    Ok(axes)
}

/// A size.
pub(super) fn size(value: i64) -> Result<usize, OpError> {
    usize::try_from(value).map_err(|_| OpError::invalid(format!("{value} is not a size")))
}

/// A list of sizes with one entry an axis; `default` for all when it is absent.
pub(super) fn sizes(attrs: &Attrs, name: &str, count: usize, default: usize) -> Result<Vec<usize>, OpError> {
    let sizes = match attrs.opt_ints(name)? {
        None => vec![default; count],
        Some(values) => values.iter().map(|&v| size(v)).collect::<Result<Vec<_>, _>>()?,
    };
    if sizes.len() == count {
        Ok(sizes)
    } else {
        Err(OpError::invalid(format!("`{name}` has the wrong length")))
    }
}

/// The product of dimensions.
pub(super) fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Which element of an axis stands at a position outside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PadMode {
    Constant,
    Edge,
    Reflect,
}

impl PadMode {
    pub(super) fn of(attrs: &Attrs, name: &str) -> Result<Self, OpError> {
        match attrs.str(name)? {
            "constant" => Ok(PadMode::Constant),
            "edge" => Ok(PadMode::Edge),
            "reflect" => Ok(PadMode::Reflect),
            other => Err(OpError::attribute(name, format!("{other:?} has no kernel"))),
        }
    }

    /// The element at a position; `None` for the constant.
    pub(super) fn source(self, position: i64, dim: usize) -> Option<usize> {
        let last = dim as i64 - 1;
        let inside = match self {
            PadMode::Constant => position,
            PadMode::Edge => position.clamp(0, last.max(0)),
            PadMode::Reflect if position < 0 => -position,
            PadMode::Reflect if position > last => 2 * last - position,
            PadMode::Reflect => position,
        };
        usize::try_from(inside).ok().filter(|&i| i < dim)
    }
}
