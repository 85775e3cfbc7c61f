//! Attention in tiles: scores of a block of queries and a block of keys at a time, with a running
//! softmax, so that memory is linear in the number of tokens.
//!
//! Tiles are kept transposed, keys by queries. Then neither keys nor values are packed (see
//! [`micro`](super::micro)), and the softmax goes straight down its columns.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::micro::{GROUP, Left, Product};
#[cfg(target_arch = "x86_64")]
use super::turn::{Turn, TurnBack};
use crate::mat::MatMut;
use crate::math;
use crate::memory::View;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};
use crate::simd::Level;

/// The queries of one task: three groups, which a tile of registers is wide. More would not fit the
/// first-level cache beside the keys.
const QUERIES: usize = 3 * GROUP;
/// The keys of one tile. With 128 attention over 4,096 tokens is a twentieth slower.
const KEYS: usize = 256;
/// Where the groups of queries start in a row of a tile.
const POSITIONS: [usize; QUERIES / GROUP] = [0, GROUP, 2 * GROUP];

/// How the heads of an operand lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) heads: usize,
    pub(crate) length: usize,
    pub(crate) size: usize,
    /// `[B, L, H * D]` instead of `[B, H, L, D]`.
    pub(crate) packed: bool,
}

impl Heads {
    /// Where a head starts, and how far its rows are apart.
    pub(crate) fn rows(&self, batch: usize, head: usize) -> (usize, usize) {
        if self.packed {
            ((batch * self.length * self.heads + head) * self.size, self.heads * self.size)
        } else {
            ((batch * self.heads + head) * self.length * self.size, self.size)
        }
    }

    /// The number of a row among those of all heads, as they lie.
    pub(crate) fn row(&self, batch: usize, head: usize, position: usize) -> usize {
        if self.packed {
            (batch * self.length + position) * self.heads + head
        } else {
            (batch * self.heads + head) * self.length + position
        }
    }

    /// Tiles of so many rows of each head: batch, head, first row, tile.
    pub(crate) fn tiles<'a>(
        &self,
        data: &'a mut [f32],
        rows: usize,
    ) -> Vec<(usize, usize, usize, MatMut<'a>)> {
        let mut tiles = Vec::new();
        let matrix = if self.packed { self.heads } else { 1 } * self.length * self.size;
        for (i, data) in data.chunks_exact_mut(matrix.max(1)).enumerate() {
            let width = if self.packed { self.heads * self.size } else { self.size };
            let own = MatMut::new(data, self.length, width, width).tiles(rows, self.size);
            for (t, tile) in own.into_iter().enumerate() {
                tiles.push(if self.packed {
                    (i, t % self.heads, t / self.heads * rows, tile)
                } else {
                    (i / self.heads, i % self.heads, t * rows, tile)
                });
            }
        }
        tiles
    }
}

/// Inputs: Q, K, V, and mask and bias if there are any.
pub(crate) struct Attention {
    pub(crate) q: Heads,
    pub(crate) k: Heads,
    pub(crate) v: Heads,
    pub(crate) scale: f32,
    pub(crate) causal: bool,
    /// Which input it is, and its strides over `[B, H, L, S]`.
    pub(crate) mask: Option<(usize, [usize; 4])>,
    pub(crate) bias: Option<(usize, [usize; 4])>,
    /// See [`row_starts`].
    pub(crate) row_starts: [Vec<usize>; QUERIES / GROUP],
}

/// Where the rows of a tile start, for tiles of one group of queries and more.
pub(crate) fn row_starts(head_size: usize) -> [Vec<usize>; QUERIES / GROUP] {
    std::array::from_fn(|g| (0..KEYS.max(head_size)).map(|row| row * (g + 1) * GROUP).collect())
}

/// The working memory of one task. A row of each is as long as the queries, rounded up to groups.
struct Tile<'s> {
    /// `[head size, queries]`, scaled.
    queries: &'s mut [f32],
    /// `[keys, queries]`.
    scores: &'s mut [f32],
    /// `[size of values, queries]`.
    sums: &'s mut [f32],
    /// The largest score of each query so far.
    tops: &'s mut [f32],
    /// The sum of its exponentials.
    totals: &'s mut [f32],
    /// What the sums before a tile are multiplied with.
    factors: &'s mut [f32],
    /// What is subtracted from scores: the largest, or 0 where all are -inf.
    bases: &'s mut [f32],
}

/// Which queries of which head.
#[derive(Clone, Copy)]
struct Place {
    batch: usize,
    head: usize,
    first: usize,
    count: usize,
    /// The queries rounded up to groups.
    width: usize,
}

impl Attention {
    fn task(&self, level: Level, inputs: &[View<'_>], at: Place, out: MatMut<'_>) {
        with_scratch(self.scratch(), |scratch| {
            let mut tile = self.divide(scratch, at.width);
            self.load_queries(level, inputs[0].f32(), at, tile.queries);
            tile.tops.fill(f32::NEG_INFINITY);
            tile.totals.fill(0.0);
            tile.sums.fill(0.0);
            // A causal query sees no key after itself.
            let seen = if self.causal { (at.first + at.count).min(self.k.length) } else { self.k.length };
            for start in (0..seen).step_by(KEYS) {
                let keys = start..(start + KEYS).min(seen);
                self.score(level, inputs[1].f32(), at, &mut tile, keys.clone());
                self.restrict(inputs, at, tile.scores, keys.clone());
                level.run(Softmax { keys: keys.len(), tile: &mut tile });
                self.add_values(level, inputs[2].f32(), at, &mut tile, keys);
            }
            Self::store(level, &mut tile, out);
        });
    }

    fn divide<'s>(&self, scratch: &'s mut [f32], width: usize) -> Tile<'s> {
        let (queries, rest) = scratch.split_at_mut(self.q.size * width);
        let (scores, rest) = rest.split_at_mut(KEYS * width);
        let (sums, rest) = rest.split_at_mut(self.v.size * width);
        let (tops, rest) = rest.split_at_mut(width);
        let (totals, rest) = rest.split_at_mut(width);
        let (factors, rest) = rest.split_at_mut(width);
        Tile { queries, scores, sums, tops, totals, factors, bases: &mut rest[..width] }
    }

    /// Transposes the queries of a task, scaled; zeros beyond them.
    fn load_queries(&self, level: Level, q: &[f32], at: Place, out: &mut [f32]) {
        let (start, stride) = self.q.rows(at.batch, at.head);
        let q = &q[start + at.first * stride..];
        if at.count < at.width {
            out.fill(0.0);
        }
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(simd) => {
                let (from, size) = ((q, stride), (at.count, self.q.size));
                simd.vectorize(Turn { simd, from, size, out: (&mut *out, at.width) });
            }
            _ => {
                for r in 0..at.count {
                    for (d, v) in q[r * stride..][..self.q.size].iter().enumerate() {
                        out[d * at.width + r] = *v;
                    }
                }
            }
        }
        out.iter_mut().for_each(|v| *v *= self.scale);
    }

    fn offsets(&self, width: usize) -> &[usize] {
        &self.row_starts[width / GROUP - 1]
    }

    /// The head of K and V that serves a head of Q.
    fn shared_head(&self, head: usize) -> usize {
        head / (self.q.heads / self.k.heads)
    }

    /// The scores of some keys.
    fn score(&self, level: Level, k: &[f32], at: Place, tile: &mut Tile<'_>, keys: Range<usize>) {
        let (start, stride) = self.k.rows(at.batch, self.shared_head(at.head));
        level.run(Product {
            left: Left::Rows { data: &k[start + keys.start * stride..], stride },
            rows: keys.len(),
            right: tile.queries,
            offsets: &self.offsets(at.width)[..self.q.size],
            positions: &POSITIONS[..at.width / GROUP],
            out: tile.scores,
            stride: at.width,
            accumulate: false,
        });
    }

    /// Adds the weighted values of some keys.
    fn add_values(&self, level: Level, v: &[f32], at: Place, tile: &mut Tile<'_>, keys: Range<usize>) {
        if self.v.size == 0 {
            return;
        }
        let (start, stride) = self.v.rows(at.batch, self.shared_head(at.head));
        level.run(Product {
            left: Left::Columns { data: &v[start + keys.start * stride..], stride },
            rows: self.v.size,
            right: tile.scores,
            offsets: &self.offsets(at.width)[..keys.len()],
            positions: &POSITIONS[..at.width / GROUP],
            out: tile.sums,
            stride: at.width,
            accumulate: true,
        });
    }

    /// Adds the bias, and sets scores to -inf where a query does not attend.
    fn restrict(&self, inputs: &[View<'_>], at: Place, scores: &mut [f32], keys: Range<usize>) {
        if self.bias.is_none() && self.mask.is_none() && !(self.causal && keys.end > at.first) {
            return;
        }
        let rows = scores.chunks_exact_mut(at.width).zip(keys);
        for (row, key) in rows {
            let row = &mut row[..at.count];
            let start = |s: &[usize; 4]| at.batch * s[0] + at.head * s[1] + at.first * s[2] + key * s[3];
            if let Some((input, strides)) = &self.bias {
                let bias = &inputs[*input].f32()[start(strides)..];
                row.iter_mut().enumerate().for_each(|(i, s)| *s += bias[i * strides[2]]);
            }
            if let Some((input, strides)) = &self.mask {
                let mask = &inputs[*input].bytes[start(strides)..];
                if strides[2] == 0 {
                    // All queries attend to a key, or none.
                    if mask[0] == 0 {
                        row.fill(f32::NEG_INFINITY);
                    }
                } else {
                    for (i, s) in row.iter_mut().enumerate() {
                        *s = if mask[i * strides[2]] == 0 { f32::NEG_INFINITY } else { *s };
                    }
                }
            }
            if self.causal && key > at.first {
                let before = (key - at.first).min(row.len());
                row[..before].fill(f32::NEG_INFINITY);
            }
        }
    }

    /// Divides the sums by the totals, and transposes them to the output.
    fn store(level: Level, tile: &mut Tile<'_>, mut out: MatMut<'_>) {
        let width = tile.totals.len();
        for total in &mut *tile.totals {
            *total = if *total == 0.0 { 0.0 } else { 1.0 / *total };
        }
        for row in tile.sums.chunks_exact_mut(width) {
            row.iter_mut().zip(&*tile.totals).for_each(|(sum, factor)| *sum *= factor);
        }
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(simd) => simd.vectorize(TurnBack { simd, from: (&*tile.sums, width), out }),
            _ => {
                for r in 0..out.row_count() {
                    for (d, o) in out.row(r).iter_mut().enumerate() {
                        *o = tile.sums[d * width + r];
                    }
                }
            }
        }
    }
}

/// Turns the scores of so many keys into exponentials below the largest score so far, and rescales
/// what was summed before. The tile is as wide as whole vectors.
struct Softmax<'a, 's> {
    keys: usize,
    tile: &'a mut Tile<'s>,
}

impl WithSimd for Softmax<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tile { scores, sums, tops, totals, factors, bases, .. } = self.tile;
        let width = tops.len();
        let scores = &mut scores[..self.keys * width];
        factors.copy_from_slice(tops);
        let vectors = width / S::F32_LANES;
        for first in (0..vectors).step_by(COLUMNS) {
            match vectors - first {
                1 => raise::<S, 1>(simd, tops, scores, first),
                2 => raise::<S, 2>(simd, tops, scores, first),
                _ => raise::<S, COLUMNS>(simd, tops, scores, first),
            }
        }
        for (i, &top) in tops.iter().enumerate() {
            // Where nothing was attended to so far there is nothing to rescale.
            factors[i] = if factors[i] == top { 1.0 } else { math::exp(factors[i] - top) };
            totals[i] *= factors[i];
            bases[i] = if top == f32::NEG_INFINITY { 0.0 } else { top };
        }
        for first in (0..vectors).step_by(COLUMNS) {
            match vectors - first {
                1 => weigh::<S, 1>(simd, scores, bases, totals, first),
                2 => weigh::<S, 2>(simd, scores, bases, totals, first),
                _ => weigh::<S, COLUMNS>(simd, scores, bases, totals, first),
            }
        }
        if factors.iter().any(|f| *f != 1.0) {
            sums.chunks_exact_mut(width).for_each(|row| rescale::<S>(simd, row, factors));
        }
    }
}

/// The columns of vectors that are gone down together, their running values in registers.
const COLUMNS: usize = 3;

/// So many vectors from one on of something as wide as a tile.
#[inline(always)]
fn vectors<S: Simd, const N: usize>(row: &[f32], first: usize) -> [S::f32s; N] {
    let row = &S::as_simd_f32s(row).0[first..first + N];
    std::array::from_fn(
        #[inline(always)]
        |i| row[i],
    )
}

/// Raises the largest scores of some columns to those of a tile.
#[inline(always)]
fn raise<S: Simd, const N: usize>(simd: S, tops: &mut [f32], scores: &[f32], first: usize) {
    let mut top = vectors::<S, N>(tops, first);
    for row in scores.chunks_exact(tops.len()) {
        for (top, s) in top.iter_mut().zip(vectors::<S, N>(row, first)) {
            *top = simd.select_f32s(simd.greater_than_f32s(s, *top), s, *top);
        }
    }
    S::as_mut_simd_f32s(tops).0[first..first + N].copy_from_slice(&top);
}

/// Turns scores of some columns into exponentials, and adds those to the totals.
#[inline(always)]
fn weigh<S: Simd, const N: usize>(
    simd: S,
    scores: &mut [f32],
    bases: &[f32],
    totals: &mut [f32],
    first: usize,
) {
    let (base, mut total) = (vectors::<S, N>(bases, first), vectors::<S, N>(totals, first));
    for row in scores.chunks_exact_mut(bases.len()) {
        let row = &mut S::as_mut_simd_f32s(row).0[first..first + N];
        for ((s, &base), total) in row.iter_mut().zip(&base).zip(&mut total) {
            *s = math::exp_below(simd, simd.sub_f32s(*s, base));
            *total = simd.add_f32s(*total, *s);
        }
    }
    S::as_mut_simd_f32s(totals).0[first..first + N].copy_from_slice(&total);
}

#[inline(always)]
fn rescale<S: Simd>(simd: S, row: &mut [f32], factors: &[f32]) {
    for (sum, &factor) in S::as_mut_simd_f32s(row).0.iter_mut().zip(S::as_simd_f32s(factors).0) {
        *sum = simd.mul_f32s(*sum, factor);
    }
}

impl Kernel for Attention {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let inputs = io.inputs;
        let out = Heads { size: self.v.size, ..self.q };
        // In tiles of about the same size.
        let count = self.q.length.div_ceil(self.q.length.div_ceil(QUERIES).max(1));
        let tiles = out.tiles(io.out(), count.next_multiple_of(GROUP).max(GROUP));
        run.each(tiles, |_, (batch, head, first, tile)| {
            let count = tile.row_count();
            let width = count.next_multiple_of(GROUP);
            self.task(run.level, inputs, Place { batch, head, first, count, width }, tile);
        })
    }

    fn scratch(&self) -> usize {
        QUERIES * (self.q.size + KEYS + self.v.size + 4)
    }
}
