//! Attention in tiles: scores of a block of queries and a block of keys at a time, with a running
//! softmax, so that memory is linear in the number of tokens.

use super::rows;
use crate::mat::{Mat, MatMut, product};
use crate::memory::View;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};

/// The queries of one task.
const QUERIES: usize = 128;
/// The keys of one tile.
const KEYS: usize = 256;

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
    /// One head as a matrix `[length, size]`.
    fn matrix<'a>(&self, data: &'a [f32], batch: usize, head: usize) -> Mat<'a> {
        let (start, stride) = if self.packed {
            ((batch * self.length * self.heads + head) * self.size, self.heads * self.size)
        } else {
            ((batch * self.heads + head) * self.length * self.size, self.size)
        };
        Mat::new(&data[start.min(data.len())..], self.length, self.size, stride, 1)
    }

    /// Tiles of so many rows of each head: batch, head, first row, tile.
    fn tiles<'a>(&self, data: &'a mut [f32], rows: usize) -> Vec<(usize, usize, usize, MatMut<'a>)> {
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
}

/// The working memory of one task.
struct Tile<'s> {
    queries: &'s mut [f32],
    scores: &'s mut [f32],
    sums: &'s mut [f32],
    /// The largest score of each query so far, and the sum of its exponentials.
    tops: &'s mut [f32],
    totals: &'s mut [f32],
}

/// Which queries of which head.
#[derive(Clone, Copy)]
struct Place {
    batch: usize,
    head: usize,
    first: usize,
    count: usize,
}

impl Attention {
    fn task(&self, run: &Run<'_>, inputs: &[View<'_>], at: Place, mut out: MatMut<'_>) {
        let kv_head = at.head / (self.q.heads / self.k.heads);
        let k = self.k.matrix(inputs[1].f32(), at.batch, kv_head);
        let v = self.v.matrix(inputs[2].f32(), at.batch, kv_head);
        with_scratch(self.scratch(), |scratch| {
            let mut tile = self.divide(scratch);
            self.load_queries(inputs[0].f32(), at, tile.queries);
            tile.tops.fill(f32::NEG_INFINITY);
            tile.totals.fill(0.0);
            tile.sums.fill(0.0);
            // A causal query sees no key after itself.
            let seen = if self.causal { (at.first + at.count).min(self.k.length) } else { self.k.length };
            for start in (0..seen).step_by(KEYS) {
                let keys = start..(start + KEYS).min(seen);
                self.scores(inputs, at, &mut tile, k.rows(keys.clone()), keys.clone());
                self.softmax(run, at.count, keys.len(), &mut tile);
                let size = self.v.size;
                let weights = Mat::dense(tile.scores, at.count, keys.len());
                product(MatMut::new(tile.sums, at.count, size, size), true, weights, v.rows(keys));
            }
            for r in 0..at.count {
                let total = tile.totals[r];
                let factor = if total == 0.0 { 0.0 } else { 1.0 / total };
                let sums = &tile.sums[r * self.v.size..(r + 1) * self.v.size];
                out.row(r).iter_mut().zip(sums).for_each(|(o, s)| *o = s * factor);
            }
        });
    }

    fn divide<'s>(&self, scratch: &'s mut [f32]) -> Tile<'s> {
        let (queries, rest) = scratch.split_at_mut(QUERIES * self.q.size);
        let (scores, rest) = rest.split_at_mut(QUERIES * KEYS);
        let (sums, rest) = rest.split_at_mut(QUERIES * self.v.size);
        let (tops, totals) = rest.split_at_mut(QUERIES);
        Tile { queries, scores, sums, tops, totals }
    }

    /// Copies the queries of a tile, scaled.
    fn load_queries(&self, q: &[f32], at: Place, out: &mut [f32]) {
        let size = self.q.size;
        let (start, stride) = if self.q.packed {
            ((at.batch * self.q.length * self.q.heads + at.head) * size, self.q.heads * size)
        } else {
            ((at.batch * self.q.heads + at.head) * self.q.length * size, size)
        };
        for (r, out) in out.chunks_exact_mut(size).take(at.count).enumerate() {
            let row = &q[start + (at.first + r) * stride..][..size];
            out.iter_mut().zip(row).for_each(|(o, v)| *o = v * self.scale);
        }
    }

    /// The scores of a tile, with bias; -inf where a query does not attend.
    fn scores(
        &self,
        inputs: &[View<'_>],
        at: Place,
        tile: &mut Tile<'_>,
        k: Mat<'_>,
        keys: std::ops::Range<usize>,
    ) {
        let count = keys.len();
        let queries = Mat::dense(tile.queries, at.count, self.q.size);
        product(MatMut::new(tile.scores, at.count, count, count), false, queries, k.transposed());
        for (r, row) in tile.scores.chunks_exact_mut(count).take(at.count).enumerate() {
            let query = at.first + r;
            let start = |strides: &[usize; 4]| {
                at.batch * strides[0] + at.head * strides[1] + query * strides[2] + keys.start * strides[3]
            };
            if let Some((input, strides)) = &self.bias {
                let bias = &inputs[*input].f32()[start(strides)..];
                row.iter_mut().enumerate().for_each(|(i, s)| *s += bias[i * strides[3]]);
            }
            if let Some((input, strides)) = &self.mask {
                let mask = &inputs[*input].bytes[start(strides)..];
                for (i, s) in row.iter_mut().enumerate() {
                    *s = if mask[i * strides[3]] == 0 { f32::NEG_INFINITY } else { *s };
                }
            }
            if self.causal && query + 1 < keys.end {
                row[(query + 1).saturating_sub(keys.start)..].fill(f32::NEG_INFINITY);
            }
        }
    }

    /// Turns scores into exponentials below the largest score so far, and rescales what was summed
    /// before.
    fn softmax(&self, run: &Run<'_>, count: usize, keys: usize, tile: &mut Tile<'_>) {
        for r in 0..count {
            let row = &mut tile.scores[r * keys..(r + 1) * keys];
            let (before, largest) = (tile.tops[r], rows::max(run.level, row));
            let top = if largest > before { largest } else { before };
            if top == f32::NEG_INFINITY && row.iter().all(|s| *s == f32::NEG_INFINITY) {
                row.fill(0.0);
                continue;
            }
            let sum = rows::exp_sum(run.level, row, top);
            if top > before {
                let factor = crate::math::exp(before - top);
                tile.totals[r] *= factor;
                rows::scale(run.level, &mut tile.sums[r * self.v.size..(r + 1) * self.v.size], factor);
                tile.tops[r] = top;
            }
            tile.totals[r] += sum;
        }
    }
}

impl Kernel for Attention {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let inputs = io.inputs;
        let out = Heads { size: self.v.size, ..self.q };
        let tiles = out.tiles(io.out(), QUERIES);
        run.each(tiles, |_, (batch, head, first, tile)| {
            let at = Place { batch, head, first, count: tile.row_count() };
            self.task(run, inputs, at, tile);
        })
    }

    fn scratch(&self) -> usize {
        QUERIES * (self.q.size + KEYS + self.v.size + 2)
    }
}
