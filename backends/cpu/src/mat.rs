//! Matrices over slices, and the product of two of them by the `gemm-f32` crate.
//!
//! This is the only module with unsafe code: `gemm` takes raw pointers, and the tiles of one output
//! are written by several threads. [`Mat`] and [`MatMut`] are checked against their slices when
//! they are made, and can only be divided into parts that do not overlap.
#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

use std::marker::PhantomData;
use std::ops::Range;

/// A matrix that is read: rows and columns at any stride over a slice.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A matrix from the start of a slice.
    ///
    /// # Panics
    /// When the slice does not hold it: a defect of the kernel, as shapes are checked before.
    pub(crate) fn new(
        data: &'a [f32],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        assert!(span(rows, cols, row_stride, col_stride) <= data.len(), "the matrix exceeds its slice");
        Self { data, rows, cols, row_stride, col_stride }
    }

    /// A dense row-major matrix.
    pub(crate) fn dense(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::new(data, rows, cols, cols, 1)
    }

    /// The same elements with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Some of the rows.
    pub(crate) fn rows(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows, "rows outside the matrix");
        let start = (range.start * self.row_stride).min(self.data.len());
        Self { data: &self.data[start..], rows: range.len(), ..self }
    }

    /// Some of the columns.
    pub(crate) fn cols(self, range: Range<usize>) -> Self {
        self.transposed().rows(range).transposed()
    }
}

/// The number of elements from the first to the last of a matrix; one that cannot be counted fits no slice.
fn span(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 {
        return 0;
    }
    let last = |count: usize, stride: usize| (count - 1).checked_mul(stride);
    let sum = last(rows, row_stride)
        .zip(last(cols, col_stride))
        .and_then(|(r, c)| r.checked_add(c)?.checked_add(1));
    sum.unwrap_or(usize::MAX)
}

/// A matrix that is written: rows of contiguous elements, at a stride of at least their length, so
/// that different rows and different columns never share an element.
pub(crate) struct MatMut<'a> {
    pointer: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `MatMut` stands for exclusive access to its elements, as `&mut [f32]` does.
unsafe impl Send for MatMut<'_> {}

impl<'a> MatMut<'a> {
    /// A matrix from the start of a slice.
    ///
    /// # Panics
    /// When the slice does not hold it or rows would overlap: a defect of the kernel.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(rows <= 1 || row_stride >= cols, "the rows overlap");
        assert!(span(rows, cols, row_stride, 1) <= data.len(), "the matrix exceeds its slice");
        // Rows of nothing all stand at the start, so that no pointer is ever moved past the slice.
        let row_stride = if cols == 0 { 0 } else { row_stride };
        Self { pointer: data.as_mut_ptr(), rows, cols, row_stride, lifetime: PhantomData }
    }

    pub(crate) fn row_count(&self) -> usize {
        self.rows
    }

    pub(crate) fn col_count(&self) -> usize {
        self.cols
    }

    /// The same matrix for a shorter time.
    pub(crate) fn reborrow(&mut self) -> MatMut<'_> {
        MatMut { lifetime: PhantomData, ..*self }
    }

    /// One row.
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row outside the matrix");
        // SAFETY: `new` checked that every row lies in the slice that this matrix exclusively
        // borrows, and `split` only ever narrows it; the borrow of `self` keeps rows apart.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(row * self.row_stride), self.cols) }
    }

    /// The rows before one, and those from it on.
    pub(crate) fn split_rows(self, at: usize) -> (MatMut<'a>, MatMut<'a>) {
        assert!(at <= self.rows, "row outside the matrix");
        let skip = if at == self.rows { 0 } else { at * self.row_stride };
        // SAFETY: the offset is that of an existing row, or 0 for an empty second half.
        let pointer = unsafe { self.pointer.add(skip) };
        (MatMut { rows: at, ..self }, MatMut { pointer, rows: self.rows - at, ..self })
    }

    /// The columns before one, and those from it on.
    pub(crate) fn split_cols(self, at: usize) -> (MatMut<'a>, MatMut<'a>) {
        assert!(at <= self.cols, "column outside the matrix");
        let skip = if at == self.cols || self.rows == 0 { 0 } else { at };
        // SAFETY: the offset is that of an existing column, or 0 for an empty second half.
        let pointer = unsafe { self.pointer.add(skip) };
        (MatMut { cols: at, ..self }, MatMut { pointer, cols: self.cols - at, ..self })
    }

    /// Parts of at most so many rows.
    fn bands(self, rows: usize) -> Vec<MatMut<'a>> {
        let mut bands = Vec::with_capacity(self.rows.div_ceil(rows));
        let mut rest = self;
        while rest.rows > rows {
            let (band, below) = rest.split_rows(rows);
            bands.push(band);
            rest = below;
        }
        bands.push(rest);
        bands
    }

    /// Parts of at most so many columns.
    fn strips(self, cols: usize) -> Vec<MatMut<'a>> {
        let mut strips = Vec::with_capacity(self.cols.div_ceil(cols));
        let mut rest = self;
        while rest.cols > cols {
            let (strip, right) = rest.split_cols(cols);
            strips.push(strip);
            rest = right;
        }
        strips.push(rest);
        strips
    }

    /// All tiles of at most that size, row by row of tiles; none of an empty matrix.
    pub(crate) fn tiles(self, rows: usize, cols: usize) -> Vec<MatMut<'a>> {
        if self.rows == 0 || self.cols == 0 {
            return Vec::new();
        }
        self.bands(rows.max(1)).into_iter().flat_map(|band| band.strips(cols.max(1))).collect()
    }
}

/// A box of a dense tensor of four axes that is written: lines of contiguous elements.
pub(crate) struct BoxMut<'a> {
    pointer: *mut f32,
    dims: [usize; 4],
    /// The strides of the first three axes; that of the last is 1.
    strides: [usize; 3],
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `BoxMut` stands for exclusive access to its elements, as `&mut [f32]` does.
unsafe impl Send for BoxMut<'_> {}

impl<'a> BoxMut<'a> {
    /// A whole dense tensor.
    ///
    /// # Panics
    /// When the slice has another size: a defect of the kernel.
    pub(crate) fn new(data: &'a mut [f32], dims: [usize; 4]) -> Self {
        assert!(dims.iter().product::<usize>() == data.len(), "the tensor is not its slice");
        let strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3]];
        Self { pointer: data.as_mut_ptr(), dims, strides, lifetime: PhantomData }
    }

    pub(crate) fn dims(&self) -> [usize; 4] {
        self.dims
    }

    /// One line of the last axis.
    pub(crate) fn line(&mut self, index: [usize; 3]) -> &mut [f32] {
        assert!(index.iter().zip(&self.dims).all(|(i, d)| i < d), "line outside the box");
        let offset: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
        // SAFETY: `new` made the box from a dense tensor in a slice that it exclusively borrows, and `split` only
        // ever narrows it; the index was checked. The borrow of `self` keeps lines apart.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(offset), self.dims[3]) }
    }

    /// The parts before and from an index of an axis on.
    fn split(self, axis: usize, at: usize) -> (BoxMut<'a>, BoxMut<'a>) {
        assert!(at < self.dims[axis], "index outside the box");
        let (mut before, mut after) = (self.dims, self.dims);
        before[axis] = at;
        after[axis] -= at;
        let stride = self.strides.get(axis).copied().unwrap_or(1);
        // SAFETY: the offset is that of an existing index of the axis.
        let pointer = unsafe { self.pointer.add(at * stride) };
        (BoxMut { dims: before, ..self }, BoxMut { pointer, dims: after, ..self })
    }

    /// Parts of at most that size along an axis.
    pub(crate) fn parts(self, axis: usize, size: usize) -> Vec<BoxMut<'a>> {
        let mut parts = Vec::new();
        let mut rest = self;
        while rest.dims[axis] > size {
            let (part, after) = rest.split(axis, size);
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
        parts
    }
}

/// `out = a b`, or `out += a b` when it accumulates, on the calling thread.
///
/// # Panics
/// When the dimensions do not fit: a defect of the kernel.
pub(crate) fn product(mut out: MatMut<'_>, accumulate: bool, a: Mat<'_>, b: Mat<'_>) {
    assert!(a.rows == out.rows && b.cols == out.cols && a.cols == b.rows, "the matrices do not fit");
    if out.rows == 0 || out.cols == 0 {
        return;
    }
    if a.cols == 0 {
        if !accumulate {
            (0..out.rows).for_each(|r| out.row(r).fill(0.0));
        }
        return;
    }
    // The kernels want columns of the result to be contiguous, as its rows are: the product of the transposed operands in the
    // other order is that. The crate `gemm` would find this out itself, but brings four types that are not used here.
    // SAFETY: `Mat` and `MatMut` were checked to lie within their slices, with these dimensions
    // and strides; the dimensions were checked against each other above; `out` is exclusively
    // borrowed, so that it overlaps neither operand. No stride exceeds `isize`, as slices do not.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            out.cols,
            out.rows,
            a.cols,
            out.pointer,
            out.row_stride as isize,
            1,
            accumulate,
            b.data.as_ptr(),
            b.row_stride as isize,
            b.col_stride as isize,
            a.data.as_ptr(),
            a.row_stride as isize,
            a.col_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_matrix_once() {
        let mut data = vec![0.0; 5 * 7];
        for mut tile in MatMut::new(&mut data, 5, 6, 7).tiles(2, 4) {
            for r in 0..tile.row_count() {
                tile.row(r).iter_mut().for_each(|v| *v += 1.0);
            }
        }
        for (i, v) in data.iter().enumerate() {
            assert_eq!(*v, if i % 7 == 6 { 0.0 } else { 1.0 }, "{i}");
        }
    }

    #[test]
    fn parts_of_a_box_are_apart() {
        let mut data: Vec<f32> = vec![0.0; 2 * 3 * 4 * 5];
        for (i, part) in BoxMut::new(&mut data, [2, 3, 4, 5]).parts(2, 3).into_iter().enumerate() {
            for mut part in part.parts(3, 2) {
                let [a, b, c, _] = part.dims();
                for at in 0..a * b * c {
                    part.line([at / (b * c), at / c % b, at % c])
                        .iter_mut()
                        .for_each(|v| *v += i as f32 + 1.0);
                }
            }
        }
        for (i, v) in data.iter().enumerate() {
            assert_eq!(*v, if i / 5 % 4 == 3 { 2.0 } else { 1.0 }, "{i}");
        }
    }

    #[test]
    fn product_of_strided_operands() {
        let a: Vec<f32> = (0..6).map(|v| v as f32).collect();
        let b: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let mut out = vec![1.0; 2 * 4];
        let b = Mat::dense(&b, 4, 3).transposed();
        product(MatMut::new(&mut out, 2, 4, 4), true, Mat::dense(&a, 2, 3), b);
        assert_eq!(out, [6.0, 15.0, 24.0, 33.0, 15.0, 51.0, 87.0, 123.0]);
        product(MatMut::new(&mut out, 2, 4, 4), false, Mat::new(&a, 2, 0, 3, 1), b.rows(0..0));
        assert_eq!(out, [0.0; 8]);
    }

    #[test]
    #[should_panic(expected = "the matrix exceeds its slice")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        let _ = Mat::new(&[0.0; 5], 2, 3, 3, 1);
    }
}
