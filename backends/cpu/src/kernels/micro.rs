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

/// The same where they are gathered: they fill half of a first-level cache alone.
const GATHERED_DEPTH: usize = 256;

/// From so many rows on, a group of columns of B is first brought together where a tile of them has as many loads as
/// multiply-adds to wait for: it is then read without looking up and checking where each row lies.
const MANY: usize = 24;

/// The rows of a tile that is as wide as registers allow.
const FEW: usize = 4;

/// The elements of a page of memory.
const PAGE: usize = 1024;

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
        if S::F32_LANES == 8 && self.rows >= MANY {
            return self.gathered(simd);
        }
        let most_groups = match (S::F32_LANES, self.most_rows::<S>()) {
            (GROUP, ..=FEW) => 6,
            (GROUP, _) => 3,
            _ => 1,
        };
        for start in (0..self.offsets.len()).step_by(DEPTH) {
            let depth = start..(start + DEPTH).min(self.offsets.len());
            let add = self.accumulate || start > 0;
            let mut first = 0;
            while first < self.positions.len() {
                let count = match self.positions.len() - first {
                    // A tile of one group waits for its loads.
                    4 if most_groups == 3 => 2,
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
    /// The rows of the largest tile. Rows of A that are a multiple of a page apart fall on the same lines of a first-level cache, where eight of
    /// them leave no room for anything else.
    #[inline(always)]
    fn most_rows<S: Simd>(&self) -> usize {
        match self.left {
            Left::Rows { stride, .. } if S::F32_LANES == GROUP && stride.is_multiple_of(PAGE) => {
                self.rows.min(FEW)
            }
            _ => self.rows,
        }
    }

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

    /// The product, from groups of columns that are brought together first.
    #[inline(always)]
    fn gathered<S: Simd>(&mut self, simd: S) {
        let mut gathered = [[0.0; GROUP]; GATHERED_DEPTH];
        let inner = self.offsets.len();
        // In rounds of about the same size.
        let step = inner.div_ceil(inner.div_ceil(GATHERED_DEPTH).max(1)).max(1);
        for start in (0..inner).step_by(step) {
            let depth = start..(start + step).min(inner);
            let add = self.accumulate || start > 0;
            for group in 0..self.positions.len() {
                let right = &mut gathered[..depth.len()];
                self.gather(depth.clone(), group, right);
                self.gathered_column(simd, start, group, right, add);
            }
        }
    }

    /// Copies a group of columns of some rows of B.
    #[inline(always)]
    fn gather(&self, depth: std::ops::Range<usize>, group: usize, out: &mut [[f32; GROUP]]) {
        let position = self.positions[group];
        for (out, &offset) in out.iter_mut().zip(&self.offsets[depth]) {
            out.copy_from_slice(&self.right[offset + position..][..GROUP]);
        }
    }

    /// All rows of one group of columns that was gathered.
    #[inline(always)]
    fn gathered_column<S: Simd>(
        &mut self,
        simd: S,
        start: usize,
        group: usize,
        right: &[[f32; GROUP]],
        add: bool,
    ) {
        let mut row = 0;
        while row < self.rows {
            let at = (row, start, group * GROUP);
            row += match rows_of_six(self.rows - row) {
                6 => self.gathered_tile::<S, 6, 2>(simd, at, right, add),
                4 => self.gathered_tile::<S, 4, 2>(simd, at, right, add),
                3 => self.gathered_tile::<S, 3, 2>(simd, at, right, add),
                2 => self.gathered_tile::<S, 2, 2>(simd, at, right, add),
                _ => self.gathered_tile::<S, 1, 2>(simd, at, right, add),
            };
        }
    }

    /// A tile of M rows and a group of R registers that was gathered, at a row, a depth and a column.
    #[inline(always)]
    fn gathered_tile<S: Simd, const M: usize, const R: usize>(
        &mut self,
        simd: S,
        (row, start, column): (usize, usize, usize),
        right: &[[f32; GROUP]],
        add: bool,
    ) -> usize {
        let depth = right.len();
        let mut sums = [[simd.splat_f32s(0.0); R]; M];
        match self.left {
            Left::Rows { data, stride } => {
                let rows: [&[f32]; M] = std::array::from_fn(|m| &data[(row + m) * stride + start..][..depth]);
                for k in 0..depth {
                    multiply_add(simd, &mut sums, |m| rows[m][k], &right[k]);
                }
            }
            Left::Columns { data, stride } => {
                let data = &data[start * stride + row..];
                for (k, right) in right.iter().enumerate() {
                    let left = &data[k * stride..k * stride + M];
                    multiply_add(simd, &mut sums, |m| left[m], right);
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            self.store(simd, (row + m) * self.stride + column, sums, add);
        }
        M
    }

    /// Writes or adds a row of a tile.
    #[inline(always)]
    fn store<S: Simd>(&mut self, simd: S, at: usize, sums: &[S::f32s], add: bool) {
        let out = &mut self.out[at..][..sums.len() * S::F32_LANES];
        for (out, &sum) in out.chunks_exact_mut(S::F32_LANES).zip(sums) {
            let sum = if add { simd.add_f32s(load::<S>(out, 0), sum) } else { sum };
            out.copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&sum)));
        }
    }

    /// Computes the largest tile that fits the registers and what is left; returns its rows.
    #[inline(always)]
    fn dispatch<S: Simd>(&mut self, simd: S, part: Part<'_>) -> usize {
        let left = (self.rows - part.row).min(self.most_rows::<S>());
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
            (8, _) => match rows_of_six(left) {
                6 => self.tile::<S, 6, 2>(simd, part),
                4 => self.tile::<S, 4, 2>(simd, part),
                3 => self.tile::<S, 3, 2>(simd, part),
                2 => self.tile::<S, 2, 2>(simd, part),
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
            self.store(simd, (part.row + m) * self.stride + part.column, sums, part.add);
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

/// The rows of the next tile of at most six. Two tiles of four, or one of four and one of three, keep the machine busier
/// than one of six and what is left.
#[inline(always)]
fn rows_of_six(left: usize) -> usize {
    match left {
        4 | 5 | 7 | 8 => 4,
        6.. => 6,
        few => few,
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

/// Adds one row of B, each element of A times it, to the sums of a tile.
#[inline(always)]
fn multiply_add<S: Simd, const M: usize, const R: usize>(
    simd: S,
    sums: &mut [[S::f32s; R]; M],
    left: impl Fn(usize) -> f32,
    right: &[f32; GROUP],
) {
    let right: [S::f32s; R] = std::array::from_fn(
        #[inline(always)]
        |r| load::<S>(right, r * S::F32_LANES),
    );
    for (m, sums) in sums.iter_mut().enumerate() {
        let a = simd.splat_f32s(left(m));
        for (sum, &b) in sums.iter_mut().zip(&right) {
            *sum = simd.mul_add_e_f32s(a, b, *sum);
        }
    }
}

/// The vector at a position, which need not be aligned.
#[inline(always)]
fn load<S: Simd>(data: &[f32], at: usize) -> S::f32s {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&data[at..at + S::F32_LANES]))
}
