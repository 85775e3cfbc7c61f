//! The product of few rows with a transposed matrix, where packing that matrix would cost as much as multiplying: every element is
//! a dot product along rows that are read where they lie, several at a time.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i;

#[cfg(target_arch = "x86_64")]
use half::{bf16, f16};
#[cfg(target_arch = "x86_64")]
use pulp::{NullaryFnOnce, f32x16, x86::V4};
use pulp::{Simd, WithSimd};

use crate::mat::MatMut;

/// The rows and columns whose sums are held in registers together.
const ROWS: usize = 4;
pub(crate) const COLS: usize = 3;

/// An element of the right operand, which is widened as it is read.
pub(crate) trait Element<S: Simd>: Copy {
    /// The `k`th vector of a row.
    fn vector(simd: S, row: &[Self], k: usize) -> S::f32s;
    /// One of them.
    fn widened(self) -> f32;
}

impl<S: Simd> Element<S> for f32 {
    #[inline(always)]
    fn vector(_: S, row: &[Self], k: usize) -> S::f32s {
        S::as_simd_f32s(row).0[k]
    }

    #[inline(always)]
    fn widened(self) -> f32 {
        self
    }
}

#[cfg(target_arch = "x86_64")]
impl Element<V4> for f16 {
    #[inline(always)]
    fn vector(simd: V4, row: &[Self], k: usize) -> f32x16 {
        bytemuck::cast(simd.avx512f._mm512_cvtph_ps(sixteen(row, k)))
    }

    #[inline(always)]
    fn widened(self) -> f32 {
        self.to_f32()
    }
}

#[cfg(target_arch = "x86_64")]
impl Element<V4> for bf16 {
    #[inline(always)]
    fn vector(simd: V4, row: &[Self], k: usize) -> f32x16 {
        let bits = simd.avx512f._mm512_cvtepu16_epi32(sixteen(row, k));
        bytemuck::cast(simd.avx512f._mm512_slli_epi32::<16>(bits))
    }

    #[inline(always)]
    fn widened(self) -> f32 {
        self.to_f32()
    }
}

/// The `k`th sixteen of some elements of two bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn sixteen<T: bytemuck::Pod>(values: &[T], k: usize) -> __m256i {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&values.as_chunks::<16>().0[k]))
}

/// `out[r, c] = sum over k of a[r, k] * b[c, k]`, both dense with rows of `inner` elements.
pub(crate) struct Dots<'a, T> {
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [T],
    pub(crate) inner: usize,
    pub(crate) out: MatMut<'a>,
}

impl WithSimd for Dots<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.all(simd);
    }
}

/// For operands that only AVX-512 reads.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Wide<'a, T> {
    pub(crate) simd: V4,
    pub(crate) dots: Dots<'a, T>,
}

#[cfg(target_arch = "x86_64")]
impl<T: Element<V4>> NullaryFnOnce for Wide<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.dots.all(self.simd);
    }
}

impl<T> Dots<'_, T> {
    #[inline(always)]
    fn all<S: Simd>(mut self, simd: S)
    where
        T: Element<S>,
    {
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

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, (row, col): (usize, usize))
    where
        T: Element<S>,
    {
        let inner = self.inner;
        let a: [_; R] = std::array::from_fn(
            #[inline(always)]
            |r| S::as_simd_f32s(&self.a[(row + r) * inner..][..inner]),
        );
        let b: [&[T]; C] = std::array::from_fn(
            #[inline(always)]
            |c| &self.b[(col + c) * inner..][..inner],
        );
        let mut sums = [[simd.splat_f32s(0.0); C]; R];
        for k in 0..inner / S::F32_LANES {
            let b: [S::f32s; C] = std::array::from_fn(
                #[inline(always)]
                |c| T::vector(simd, b[c], k),
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
                let (a, b) = (a[r].1, &b[c][inner - a[r].1.len()..]);
                let rest = a.iter().zip(b).map(|(a, b)| a * b.widened()).sum::<f32>();
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

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn operands_of_two_bytes_are_widened() {
        let Some(simd) = V4::try_new() else {
            println!("skipped: this processor has no AVX-512");
            return;
        };
        let value = |i: usize| (i * 7 % 11) as f32 - 5.0;
        for (rows, cols, inner) in [(1, 1, 0), (1, 5, 3), (4, 3, 16), (6, 7, 37), (9, 8, 64)] {
            let a: Vec<f32> = (0..rows * inner).map(value).collect();
            let b: Vec<f32> = (0..cols * inner).map(|i| value(i + 3)).collect();
            let halves: Vec<f16> = b.iter().map(|&v| f16::from_f32(v)).collect();
            let brains: Vec<bf16> = b.iter().map(|&v| bf16::from_f32(v)).collect();
            let [mut wide, mut by_halves, mut by_brains] = [(); 3].map(|()| vec![f32::NAN; rows * cols]);
            fn dots<'a, T>(
                a: &'a [f32],
                b: &'a [T],
                inner: usize,
                out: &'a mut [f32],
                cols: usize,
            ) -> Dots<'a, T> {
                let rows = out.len() / cols;
                Dots { a, b, inner, out: MatMut::new(out, rows, cols, cols) }
            }
            Level::Avx512(simd).run(dots(&a, &b, inner, &mut wide, cols));
            simd.vectorize(Wide { simd, dots: dots(&a, &halves, inner, &mut by_halves, cols) });
            simd.vectorize(Wide { simd, dots: dots(&a, &brains, inner, &mut by_brains, cols) });
            assert_eq!(wide, by_halves, "{rows} {cols} {inner}");
            assert_eq!(wide, by_brains, "{rows} {cols} {inner}");
        }
    }
}
