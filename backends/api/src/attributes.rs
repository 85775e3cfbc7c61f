//! Reading attributes that inference has already checked, for backends that lower ops themselves.

use kinograph_graph::{Attrs, OpError, TensorDesc};

/// An axis, from the end if negative.
///
/// # Errors
/// When it is outside the rank, which for a checked node is a defect of its inference.
pub fn axis(value: i64, rank: usize) -> Result<usize, OpError> {
    let wrapped = if value < 0 { value + rank as i64 } else { value };
    usize::try_from(wrapped)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| OpError::invalid(format!("axis {value} is outside rank {rank}")))
}

/// An axis attribute.
///
/// # Errors
/// As [`axis`], or when the attribute is absent.
pub fn axis_of(attrs: &Attrs, rank: usize) -> Result<usize, OpError> {
    axis(attrs.int("axis")?, rank)
}

/// A list of axes, sorted; all of them when the attribute is absent.
///
/// # Errors
/// As [`axis`].
pub fn sorted_axes(attrs: &Attrs, rank: usize) -> Result<Vec<usize>, OpError> {
    let mut axes = match attrs.opt_ints("axes")? {
        None => (0..rank).collect(),
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
    };
    axes.sort_unstable();
    Ok(axes)
}

/// A size.
///
/// # Errors
/// When it is negative.
pub fn size(value: i64) -> Result<usize, OpError> {
    usize::try_from(value).map_err(|_| OpError::invalid(format!("{value} is not a size")))
}

/// A list of sizes with one entry an axis; `default` for all when it is absent.
///
/// # Errors
/// When an entry is negative, or there are more or fewer than `count`.
pub fn sizes(attrs: &Attrs, name: &str, count: usize, default: usize) -> Result<Vec<usize>, OpError> {
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
pub fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Which element of an axis stands at a position outside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// The constant.
    Constant,
    /// The nearest element.
    Edge,
    /// Mirrored at the first and last element, which are not repeated.
    Reflect,
}

impl PadMode {
    /// The mode that an attribute names.
    ///
    /// # Errors
    /// For a mode that is not known here.
    pub fn of(attrs: &Attrs, name: &str) -> Result<Self, OpError> {
        match attrs.str(name)? {
            "constant" => Ok(PadMode::Constant),
            "edge" => Ok(PadMode::Edge),
            "reflect" => Ok(PadMode::Reflect),
            other => Err(OpError::attribute(name, format!("{other:?} has no kernel"))),
        }
    }

    /// The element at a position; `None` for the constant.
    pub fn source(self, position: i64, dim: usize) -> Option<usize> {
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

/// How the positions of one resized axis fall on the input.
#[derive(Clone, Copy, Debug)]
pub struct Resampling {
    /// The size of the input's axis.
    pub input: usize,
    /// The size of the result's axis.
    pub output: usize,
    scale: f64,
    transform: Transform,
    prefer_floor: bool,
}

#[derive(Clone, Copy, Debug)]
enum Transform {
    HalfPixel,
    Asymmetric,
    AlignCorners,
}

impl Resampling {
    /// The spatial axes of a Resize, in order.
    ///
    /// # Errors
    /// When an attribute is absent, which for a checked node is a defect of the op's row.
    pub fn of(attrs: &Attrs, x: &TensorDesc, out: &TensorDesc) -> Result<Vec<Self>, OpError> {
        let scales = attrs.opt_floats("scales")?;
        let transform = match attrs.str("coordinate_transformation_mode")? {
            "asymmetric" => Transform::Asymmetric,
            "align_corners" => Transform::AlignCorners,
            _ => Transform::HalfPixel,
        };
        let prefer_floor = attrs.str("nearest_mode")? == "round_prefer_floor";
        let axis = |a: usize| {
            let (input, output) = (x.shape[a], out.shape[a]);
            let scale = scales.map_or(output as f64 / input as f64, |s| s[a - 2]);
            Self { input, output, scale, transform, prefer_floor }
        };
        Ok((2..x.rank()).map(axis).collect())
    }

    /// Where a position of the result lies in the input, moved inside.
    fn coordinate(&self, position: usize) -> f64 {
        let x = position as f64;
        let at = match self.transform {
            Transform::HalfPixel => (x + 0.5) / self.scale - 0.5,
            Transform::Asymmetric => x / self.scale,
            Transform::AlignCorners if self.output == 1 => 0.0,
            Transform::AlignCorners => x * (self.input - 1) as f64 / (self.output - 1) as f64,
        };
        at.clamp(0.0, (self.input - 1) as f64)
    }

    /// The element that a position of the result shows.
    pub fn nearest(&self, position: usize) -> usize {
        let at = self.coordinate(position);
        let nearest = if self.prefer_floor { (at - 0.5).ceil() } else { at.floor() };
        nearest.max(0.0) as usize
    }

    /// The two elements that a position lies between, and the second one's part.
    pub fn between(&self, position: usize) -> (usize, usize, f32) {
        let at = self.coordinate(position);
        let low = at.floor() as usize;
        (low, (low + 1).min(self.input - 1), at.fract() as f32)
    }
}
