//! Tensor descriptions, and the plain f64 tensors of the reference.

use std::fmt;

use crate::{DType, OpError};

/// The type and shape of a value. Dimensions are in elements, outermost first; an empty shape is a
/// scalar; a dimension of 0 makes an empty tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorDesc {
    /// The element type.
    pub dtype: DType,
    /// The dimensions, outermost first.
    pub shape: Vec<usize>,
}

impl TensorDesc {
    /// A description of that type and shape.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements, saturating: a shape that passed validation never saturates.
    pub fn elements(&self) -> usize {
        elements(&self.shape)
    }

    /// The size in bytes, densely stored, saturating.
    pub fn bytes(&self) -> usize {
        self.elements().saturating_mul(self.dtype.size())
    }

    /// The same shape with another type.
    pub fn with_dtype(&self, dtype: DType) -> Self {
        Self { dtype, shape: self.shape.clone() }
    }

    /// The same type with another shape.
    pub fn with_shape(&self, shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype: self.dtype, shape: shape.into() }
    }
}

/// The number of elements of a shape, saturating at `usize::MAX`. A zero anywhere gives zero.
pub(crate) fn elements(shape: &[usize]) -> usize {
    if shape.contains(&0) {
        return 0;
    }
    shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d))
}

impl fmt::Display for TensorDesc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// A tensor of the reference: every element as f64, row-major. Integers are exact up to 2^53;
/// `bool` is 0 or 1. Float results are *not* rounded to their type: the reference says what the
/// exact answer is, and the bound of the op says how far a device may be from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    desc: TensorDesc,
    data: Vec<f64>,
}

impl Tensor {
    /// A tensor of that type and shape.
    ///
    /// # Errors
    /// When the number of values is not the number of elements of the shape.
    pub fn new(desc: TensorDesc, data: Vec<f64>) -> Result<Self, OpError> {
        if desc.elements() != data.len() {
            return Err(OpError::invalid(format!(
                "{} values given for {desc}, which has {} elements",
                data.len(),
                desc.elements()
            )));
        }
        Ok(Self { desc, data })
    }

    /// A tensor whose element at each multi-index is given by `f`.
    pub fn from_fn(desc: TensorDesc, mut f: impl FnMut(&[usize]) -> f64) -> Self {
        let mut data = Vec::with_capacity(desc.elements());
        for_each_index(&desc.shape, |index| data.push(f(index)));
        Self { desc, data }
    }

    /// The type and shape.
    pub fn desc(&self) -> &TensorDesc {
        &self.desc
    }

    /// The dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.desc.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.desc.dtype
    }

    /// The elements, row-major.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The elements, row-major, by value.
    pub fn into_data(self) -> Vec<f64> {
        self.data
    }

    /// The element at a multi-index, or `None` when it lies outside or has the wrong rank.
    pub fn at(&self, index: &[usize]) -> Option<f64> {
        if index.len() != self.desc.rank() || index.iter().zip(&self.desc.shape).any(|(i, d)| i >= d) {
            return None;
        }
        let flat = index.iter().zip(&self.desc.shape).fold(0, |flat, (i, d)| flat * d + i);
        self.data.get(flat).copied()
    }

    /// The same shape and type with `f` applied to each element.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { desc: self.desc.clone(), data: self.data.iter().map(|&v| f(v)).collect() }
    }
}

/// Calls `f` with each multi-index of a shape in row-major order.
pub(crate) fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        f(&index);
        // The last axis that has a next position; those behind it begin anew. Searching for it by `find` on a reversed range
        // is shorter, but rustc 1.95 made code of that, in release builds, which ends after the last axis.
        let mut axis = shape.len();
        loop {
            let Some(before) = axis.checked_sub(1) else { return };
            axis = before;
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_fn_is_row_major_and_at_checks() {
        let t = Tensor::from_fn(TensorDesc::new(DType::F32, [2, 3]), |i| (10 * i[0] + i[1]) as f64);
        assert_eq!(t.data(), [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        assert_eq!(t.at(&[1, 2]), Some(12.0));
        assert_eq!(t.at(&[1, 3]), None);
        assert_eq!(t.at(&[1]), None);
    }

    #[test]
    fn scalars_and_empties() {
        assert_eq!(TensorDesc::new(DType::F32, []).elements(), 1);
        assert_eq!(TensorDesc::new(DType::F32, [usize::MAX, 0]).elements(), 0);
        assert_eq!(TensorDesc::new(DType::F32, [usize::MAX, 2]).elements(), usize::MAX);
        assert!(Tensor::new(TensorDesc::new(DType::F32, [2]), vec![1.0]).is_err());
    }
}
