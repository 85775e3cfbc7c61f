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

/// The element of an axis that a padded position shows; `None` for the constant.
pub(super) fn padded(mode: &str, position: i64, dim: usize) -> Option<usize> {
    let last = dim as i64 - 1;
    let inside = match mode {
        "edge" => position.clamp(0, last.max(0)),
        "reflect" if position < 0 => -position,
        "reflect" if position > last => 2 * last - position,
        _ => position,
    };
    usize::try_from(inside).ok().filter(|&i| i < dim)
}
