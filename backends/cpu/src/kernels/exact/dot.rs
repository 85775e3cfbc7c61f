//! The product at the heart of reproducible linear layers, convolutions and attention: pairs of whole numbers, added up in
//! 32 bits and folded before they overflow, so that each sum is exact and rounded once.

use crate::kernels::micro::GROUP;
use crate::simd::Level;

/// The bits of a sum that stay when it is folded.
const LOW_BITS: i32 = 13;
const LOW: i32 = (1 << LOW_BITS) - 1;

/// One product: `C[m, v] = sum over k of A[m, k] . B[offsets[k] + positions[v] ..]`, rounded to `f32`, where each element is a
/// pair. There are `CHUNK / 2` offsets at most.
pub(crate) struct Product<'a> {
    pub(crate) left: &'a [i32],
    /// From one row of A to the next.
    pub(crate) left_stride: usize,
    /// The rows of A and C.
    pub(crate) rows: usize,
    pub(crate) right: &'a [i32],
    /// Where each row of B starts.
    pub(crate) offsets: &'a [usize],
    /// Where each group of columns starts within a row of B.
    pub(crate) positions: &'a [usize],
    pub(crate) out: &'a mut [f32],
    /// From one row of C to the next; at least the columns.
    pub(crate) stride: usize,
    /// Whether C is added to, or overwritten.
    pub(crate) accumulate: bool,
    /// After how many pairs sums are folded.
    pub(crate) fold: usize,
}

impl Product<'_> {
    pub(crate) fn run(mut self, level: Level) {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(simd) => (*simd).vectorize(avx2::Tiles { simd: *simd, product: self }),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(simd) => simd.vectorize(avx2::Tiles { simd, product: self }),
            _ => level.loops(
                #[inline(always)]
                || self.plain(),
            ),
        }
    }

    /// One row and one group at a time, for the compiler to make of it what it can.
    #[inline(always)]
    fn plain(&mut self) {
        for row in 0..self.rows {
            let left = &self.left[row * self.left_stride..][..self.offsets.len()];
            for (group, &position) in self.positions.iter().enumerate() {
                let (mut high, mut low) = ([0i32; GROUP], [0i32; GROUP]);
                for (left, offsets) in left.chunks(self.fold).zip(self.offsets.chunks(self.fold)) {
                    for (&a, &offset) in left.iter().zip(offsets) {
                        let (even, odd) = (i32::from(a as i16), a >> 16);
                        let right = &self.right[offset + position..][..GROUP];
                        for (low, &b) in low.iter_mut().zip(right) {
                            *low += even * i32::from(b as i16) + odd * (b >> 16);
                        }
                    }
                    for (high, low) in high.iter_mut().zip(&mut low) {
                        *high += *low >> LOW_BITS;
                        *low &= LOW;
                    }
                }
                let out = &mut self.out[row * self.stride + group * GROUP..][..GROUP];
                for ((out, &high), &low) in out.iter_mut().zip(&high).zip(&low) {
                    let sum = high as f32 * (LOW + 1) as f32 + low as f32;
                    *out = if self.accumulate { *out + sum } else { sum };
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{__m256, __m256i};

    use pulp::x86::V3;

    use super::{GROUP, LOW, LOW_BITS, Product};

    /// The registers of a group of columns.
    const WIDE: usize = GROUP / 8;

    /// A product by tiles of registers.
    pub(super) struct Tiles<'a> {
        pub(super) simd: V3,
        pub(super) product: Product<'a>,
    }

    impl pulp::NullaryFnOnce for Tiles<'_> {
        type Output = ();

        #[inline(always)]
        fn call(mut self) {
            for group in 0..self.product.positions.len() {
                let mut row = 0;
                while row < self.product.rows {
                    row += match self.product.rows - row {
                        6.. => self.tile::<6>(row, group),
                        4.. => self.tile::<4>(row, group),
                        2.. => self.tile::<2>(row, group),
                        _ => self.tile::<1>(row, group),
                    };
                }
            }
        }
    }

    impl Tiles<'_> {
        /// M rows and one group of columns, held in registers; returns M.
        #[inline(always)]
        fn tile<const M: usize>(&mut self, row: usize, group: usize) -> usize {
            let (simd, p) = (self.simd, &mut self.product);
            let (avx, avx2) = (simd.avx, simd.avx2);
            let zero = avx._mm256_setzero_si256();
            let (mut high, mut low) = ([[zero; WIDE]; M], [[zero; WIDE]; M]);
            let mask = avx._mm256_set1_epi32(LOW);
            let right = &p.right[p.positions[group]..];
            let mut start = 0;
            for offsets in p.offsets.chunks(p.fold) {
                let mut left = [&p.left[..0]; M];
                for (m, left) in left.iter_mut().enumerate() {
                    *left = &p.left[(row + m) * p.left_stride + start..][..offsets.len()];
                }
                for (k, &offset) in offsets.iter().enumerate() {
                    let right = &right[offset..offset + GROUP];
                    let b: [__m256i; WIDE] = [load(&right[..8]), load(&right[8..])];
                    for (low, left) in low.iter_mut().zip(&left) {
                        let a = avx._mm256_set1_epi32(left[k]);
                        for (low, &b) in low.iter_mut().zip(&b) {
                            *low = avx2._mm256_add_epi32(*low, avx2._mm256_madd_epi16(a, b));
                        }
                    }
                }
                // Flattened, this would be a loop over memory, and every sum above would be stored at each step.
                for (high, low) in high.iter_mut().zip(&mut low) {
                    for (high, low) in high.iter_mut().zip(low) {
                        *high = avx2._mm256_add_epi32(*high, avx2._mm256_srai_epi32::<LOW_BITS>(*low));
                        *low = avx2._mm256_and_si256(*low, mask);
                    }
                }
                start += offsets.len();
            }
            let factor = avx._mm256_set1_ps((LOW + 1) as f32);
            for (m, (high, low)) in high.iter().zip(&low).enumerate() {
                let out = &mut p.out[(row + m) * p.stride + group * GROUP..][..GROUP];
                for ((out, &high), &low) in out.chunks_exact_mut(8).zip(high).zip(low) {
                    let (high, low) = (avx._mm256_cvtepi32_ps(high), avx._mm256_cvtepi32_ps(low));
                    let mut sum = avx._mm256_add_ps(avx._mm256_mul_ps(high, factor), low);
                    if p.accumulate {
                        let before: __m256 = bytemuck::pod_read_unaligned(bytemuck::cast_slice(out));
                        sum = avx._mm256_add_ps(before, sum);
                    }
                    out.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&sum)));
                }
            }
            M
        }
    }

    /// Eight pairs, which need not be aligned.
    #[inline(always)]
    fn load(pairs: &[i32]) -> __m256i {
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::exact::{CHUNK, Precision};

    /// Each level gives the exact sum, rounded once, at the largest numbers too.
    #[test]
    fn levels_agree_with_exact_sums() {
        let number = |i: usize, limit: i32| -> i32 {
            let v = ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as i32;
            if i.is_multiple_of(3) { limit * (1 - 2 * (v & 1)) } else { v % (limit + 1) }
        };
        for (precision, limit) in [(Precision::One, 127), (Precision::Two, 8127)] {
            for (rows, pairs) in [(1, 1), (13, 17), (6, CHUNK / 2)] {
                let pack = |i: usize| (number(2 * i, limit) & 0xffff) | (number(2 * i + 1, limit) << 16);
                let left: Vec<i32> = (0..rows * pairs).map(pack).collect();
                let right: Vec<i32> = (0..pairs * 2 * GROUP).map(|i| pack(i + 77)).collect();
                let offsets: Vec<usize> = (0..pairs).map(|k| k * 2 * GROUP).collect();
                for level in Level::available() {
                    let mut out = vec![0.5; rows * 2 * GROUP];
                    let product = Product {
                        left: &left,
                        left_stride: pairs,
                        rows,
                        right: &right,
                        offsets: &offsets,
                        positions: &[0, GROUP],
                        out: &mut out,
                        stride: 2 * GROUP,
                        accumulate: true,
                        fold: precision.fold(),
                    };
                    product.run(level);
                    for (i, &got) in out.iter().enumerate() {
                        let term = |k: usize| {
                            let (a, b) =
                                (left[i / (2 * GROUP) * pairs + k], right[k * 2 * GROUP + i % (2 * GROUP)]);
                            i64::from(a as i16) * i64::from(b as i16)
                                + i64::from(a >> 16) * i64::from(b >> 16)
                        };
                        let sum = (0..pairs).map(term).sum::<i64>() as f32;
                        assert_eq!(got, 0.5 + sum, "{}: {rows}x{pairs} at {i}", level.name());
                    }
                }
            }
        }
    }

    /// Terms in any order, in parts of any size, at any level: no bit changes.
    #[test]
    fn order_and_folding_change_no_bit() {
        let mut state = 0x1234_5678_9abc_def1u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % below
        };
        let (rows, pairs) = (7, 300);
        let number = |v: usize| v as i32 - 8127;
        let mut pack = |_| (number(next(16255)) & 0xffff) | (number(next(16255)) << 16);
        let left: Vec<i32> = (0..rows * pairs).map(&mut pack).collect();
        let right: Vec<i32> = (0..pairs * GROUP).map(&mut pack).collect();
        let levels = Level::available();
        let mut wanted = Vec::new();
        for run in 0..200 {
            let mut order: Vec<usize> = (0..pairs).collect();
            for i in (1..if run == 0 { 0 } else { pairs }).rev() {
                order.swap(i, next(i + 1));
            }
            let shuffled: Vec<i32> =
                (0..rows * pairs).map(|i| left[i / pairs * pairs + order[i % pairs]]).collect();
            let offsets: Vec<usize> = order.iter().map(|&k| k * GROUP).collect();
            let mut out = vec![0.0; rows * GROUP];
            let product = Product {
                left: &shuffled,
                left_stride: pairs,
                rows,
                right: &right,
                offsets: &offsets,
                positions: &[0],
                out: &mut out,
                stride: GROUP,
                accumulate: false,
                fold: 1 + next(16),
            };
            product.run(levels[next(levels.len())]);
            if run == 0 {
                wanted = out;
            } else {
                assert_eq!(out, wanted, "run {run}");
            }
        }
    }
}
