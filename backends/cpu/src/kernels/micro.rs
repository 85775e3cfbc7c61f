//! The product at the heart of convolution and attention: a small matrix by rows that are read
//! where they lie, found by tables of offsets. Nothing is packed.
//!
//! `C[m, v] += sum over k of A[m, k] * B[offsets[k] + positions[v] ..]`, where a column `v` stands
//! for a group of [`GROUP`] neighbouring elements. For a convolution the offsets are those of
//! channels and taps, the positions those of output elements in a padded input.

use pulp::{Simd, WithSimd};

/// The elements of one group of columns: a vector of AVX-512, two of AVX2, four of NEON.
pub(crate) const GROUP: usize = 16;

/// The rows of B that are gone through before the next tile: with three groups of columns, they
/// fill half of a first-level cache.
const DEPTH: usize = 128;

/// The left operand: its rows lie contiguously, or its columns do.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a> {
    /// `A[m, k] = data[m * stride + k]`.
    Rows { data: &'a [f32], stride: usize },
    /// `A[m, k] = data[k * stride + m]`.
    Columns { data: &'a [f32], stride: usize },
}

/// One product.
pub(crate) struct Product<'a> {
    pub(crate) left: Left<'a>,
    /// The rows of A and C.
    pub(crate) rows: usize,
    pub(crate) right: &'a [f32],
    /// Where each row of B starts.
    pub(crate) offsets: &'a [usize],
    /// Where each group of columns starts within a row of B.
    pub(crate) positions: &'a [usize],
    pub(crate) out: &'a mut [f32],
    /// From one row of C to the next; at least the columns.
    pub(crate) stride: usize,
    /// Whether C is added to, or overwritten.
    pub(crate) accumulate: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if self.offsets.is_empty() && !self.accumulate {
            let width = self.positions.len() * GROUP;
            self.out.chunks_mut(self.stride.max(1)).take(self.rows).for_each(|row| row[..width].fill(0.0));
        }
        let most_groups = match (S::F32_LANES, self.rows) {
            (GROUP, ..=4) => 6,
            (GROUP, _) => 3,
            _ => 1,
        };
        for start in (0..self.offsets.len()).step_by(DEPTH) {
            let depth = start..(start + DEPTH).min(self.offsets.len());
            let add = self.accumulate || start > 0;
            let mut first = 0;
            while first < self.positions.len() {
                let count = match self.positions.len() - first {
                    left if left >= most_groups => most_groups,
                    left => left.min(3),
                };
                self.column(simd, depth.clone(), first..first + count, add);
                first += count;
            }
        }
    }
}

/// The part of a product that one tile computes.
struct Part<'a> {
    row: usize,
    depth: std::ops::Range<usize>,
    positions: &'a [usize],
    column: usize,
    add: bool,
}

impl Product<'_> {
    /// All rows of a few groups of columns.
    #[inline(always)]
    fn column<S: Simd>(
        &mut self,
        simd: S,
        depth: std::ops::Range<usize>,
        groups: std::ops::Range<usize>,
        add: bool,
    ) {
        let positions = &self.positions[groups.clone()];
        let mut row = 0;
        while row < self.rows {
            let part = Part { row, depth: depth.clone(), positions, column: groups.start * GROUP, add };
            row += self.dispatch(simd, part);
        }
    }

    /// Computes the largest tile that fits the registers and what is left; returns its rows.
    #[inline(always)]
    fn dispatch<S: Simd>(&mut self, simd: S, part: Part<'_>) -> usize {
        let left = self.rows - part.row;
        match (S::F32_LANES, part.positions.len()) {
            (16, 6) => match left {
                4.. => self.tile::<S, 4, 6>(simd, part),
                3 => self.tile::<S, 3, 6>(simd, part),
                2 => self.tile::<S, 2, 6>(simd, part),
                _ => self.tile::<S, 1, 6>(simd, part),
            },
            (16, 3) => match left {
                8.. => self.tile::<S, 8, 3>(simd, part),
                4.. => self.tile::<S, 4, 3>(simd, part),
                3 => self.tile::<S, 3, 3>(simd, part),
                2 => self.tile::<S, 2, 3>(simd, part),
                _ => self.tile::<S, 1, 3>(simd, part),
            },
            (16, 2) => match left {
                8.. => self.tile::<S, 8, 2>(simd, part),
                4.. => self.tile::<S, 4, 2>(simd, part),
                2.. => self.tile::<S, 2, 2>(simd, part),
                _ => self.tile::<S, 1, 2>(simd, part),
            },
            (16, _) => match left {
                8.. => self.tile::<S, 8, 1>(simd, part),
                4.. => self.tile::<S, 4, 1>(simd, part),
                2.. => self.tile::<S, 2, 1>(simd, part),
                _ => self.tile::<S, 1, 1>(simd, part),
            },
            (8, _) => match left {
                6.. => self.tile::<S, 6, 2>(simd, part),
                3.. => self.tile::<S, 3, 2>(simd, part),
                _ => self.tile::<S, 1, 2>(simd, part),
            },
            (4, _) => match left {
                6.. => self.tile::<S, 6, 4>(simd, part),
                3.. => self.tile::<S, 3, 4>(simd, part),
                _ => self.tile::<S, 1, 4>(simd, part),
            },
            _ => self.plain(part),
        }
    }

    /// A tile of M rows and R registers of columns, held in registers throughout.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const R: usize>(&mut self, simd: S, part: Part<'_>) -> usize {
        let offsets = &self.offsets[part.depth.clone()];
        let mut positions = [0; R];
        for (r, position) in positions.iter_mut().enumerate() {
            let lane = r * S::F32_LANES;
            *position = part.positions[lane / GROUP] + lane % GROUP;
        }
        let sums = match self.left {
            Left::Rows { data, stride } => {
                let mut rows = [&data[..0]; M];
                for (m, row) in rows.iter_mut().enumerate() {
                    *row = &data[(part.row + m) * stride + part.depth.start..][..offsets.len()];
                }
                sums::<S, M, R>(
                    simd,
                    self.right,
                    offsets,
                    positions,
                    #[inline(always)]
                    |k, m| rows[m][k],
                )
            }
            Left::Columns { data, stride } => {
                let data = &data[part.depth.start * stride + part.row..];
                sums::<S, M, R>(
                    simd,
                    self.right,
                    offsets,
                    positions,
                    #[inline(always)]
                    |k, m| data[k * stride..k * stride + M][m],
                )
            }
        };
        for (m, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(part.row + m) * self.stride + part.column..][..R * S::F32_LANES];
            for (out, &sum) in out.chunks_exact_mut(S::F32_LANES).zip(sums) {
                let sum = if part.add { simd.add_f32s(load::<S>(out, 0), sum) } else { sum };
                out.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&sum)));
            }
        }
        M
    }

    /// One row and one group, for the compiler to make of it what it can.
    #[inline(always)]
    fn plain(&mut self, part: Part<'_>) -> usize {
        let mut sums = [0.0; GROUP];
        for k in part.depth {
            let a = match self.left {
                Left::Rows { data, stride } => data[part.row * stride + k],
                Left::Columns { data, stride } => data[k * stride + part.row],
            };
            let b = &self.right[self.offsets[k] + part.positions[0]..][..GROUP];
            sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
        }
        let out = &mut self.out[part.row * self.stride + part.column..][..GROUP];
        out.iter_mut().zip(sums).for_each(|(o, sum)| *o = if part.add { *o + sum } else { sum });
        1
    }
}

/// The sums of a tile.
#[inline(always)]
fn sums<S: Simd, const M: usize, const R: usize>(
    simd: S,
    right: &[f32],
    offsets: &[usize],
    positions: [usize; R],
    left: impl Fn(usize, usize) -> f32,
) -> [[S::f32s; R]; M] {
    let mut sums = [[simd.splat_f32s(0.0); R]; M];
    // One check for a row of B instead of one for each vector.
    let span = positions.iter().fold(0, |span, &p| span.max(p)) + S::F32_LANES;
    for (k, &offset) in offsets.iter().enumerate() {
        let row = &right[offset..offset + span];
        let mut b = [simd.splat_f32s(0.0); R];
        for (b, &position) in b.iter_mut().zip(&positions) {
            *b = load::<S>(row, position);
        }
        for (m, sums) in sums.iter_mut().enumerate() {
            let a = simd.splat_f32s(left(k, m));
            for (sum, &b) in sums.iter_mut().zip(&b) {
                *sum = simd.mul_add_e_f32s(a, b, *sum);
            }
        }
    }
    sums
}

/// The vector at a position, which need not be aligned.
#[inline(always)]
fn load<S: Simd>(data: &[f32], at: usize) -> S::f32s {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&data[at..at + S::F32_LANES]))
}
