//! The product of few rows with a transposed matrix, where packing that matrix would cost as much as multiplying: every element is
//! a dot product along rows that are read where they lie, several at a time.

use pulp::{Simd, WithSimd};

use crate::mat::MatMut;

/// The rows and columns whose sums are held in registers together.
const ROWS: usize = 4;
pub(crate) const COLS: usize = 3;

/// `out[r, c] = sum over k of a[r, k] * b[c, k]`, both dense with rows of `inner` elements.
pub(crate) struct Dots<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) inner: usize,
    pub(crate) out: MatMut<'a>,
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (rows, cols) = (self.out.row_count(), self.out.col_count());
        for row in (0..rows).step_by(ROWS) {
            for col in (0..cols).step_by(COLS) {
                let at = (row, col);
                match (rows - row, cols - col) {
                    (ROWS.., COLS..) => self.tile::<S, ROWS, COLS>(simd, at),
                    (ROWS.., 2) => self.tile::<S, ROWS, 2>(simd, at),
                    (ROWS.., _) => self.tile::<S, ROWS, 1>(simd, at),
                    (left, COLS..) => (0..left).for_each(|r| self.tile::<S, 1, COLS>(simd, (row + r, col))),
                    (left, few) => (0..left * few)
                        .for_each(|i| self.tile::<S, 1, 1>(simd, (row + i / few, col + i % few))),
                }
            }
        }
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, (row, col): (usize, usize)) {
        let inner = self.inner;
        let a: [_; R] = std::array::from_fn(
            #[inline(always)]
            |r| S::as_simd_f32s(&self.a[(row + r) * inner..][..inner]),
        );
        let b: [_; C] = std::array::from_fn(
            #[inline(always)]
            |c| S::as_simd_f32s(&self.b[(col + c) * inner..][..inner]),
        );
        let mut sums = [[simd.splat_f32s(0.0); C]; R];
        for k in 0..inner / S::F32_LANES {
            let b: [S::f32s; C] = std::array::from_fn(
                #[inline(always)]
                |c| b[c].0[k],
            );
            for (sums, a) in sums.iter_mut().zip(&a) {
                let a = a.0[k];
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum = simd.mul_add_e_f32s(a, b, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, &sum) in sums.iter().enumerate() {
                let rest = a[r].1.iter().zip(b[c].1).map(|(a, b)| a * b).sum::<f32>();
                self.out.row(row + r)[col + c] = simd.reduce_sum_f32s(sum) + rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;

    #[test]
    fn every_size_of_a_tile_sums_all() {
        let value = |i: usize| (i * 7 % 11) as f32 - 5.0;
        for (rows, cols, inner) in [(1, 1, 0), (1, 5, 3), (4, 3, 16), (6, 7, 37), (9, 8, 64), (3, 2, 129)] {
            let (a, b): (Vec<f32>, Vec<f32>) =
                ((0..rows * inner).map(value).collect(), (0..cols * inner).map(|i| value(i + 3)).collect());
            for level in Level::available() {
                let mut out = vec![f32::NAN; rows * cols];
                let matrix = MatMut::new(&mut out, rows, cols, cols);
                level.run(Dots { a: &a, b: &b, inner, out: matrix });
                for (i, &found) in out.iter().enumerate() {
                    let (a, b) = (&a[i / cols * inner..], &b[i % cols * inner..]);
                    let due: f32 = a.iter().zip(b).take(inner).map(|(a, b)| a * b).sum();
                    assert_eq!(found, due, "{rows} {cols} {inner} {level:?}");
                }
            }
        }
    }
}
