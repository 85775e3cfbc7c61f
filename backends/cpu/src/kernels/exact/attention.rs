//! Attention: the scores of a block of queries with all keys, then weights and their product with the values. The scores
//! are kept rather than rescaled, so that nothing depends on how keys are cut; memory is linear in their number.
//!
//! As in the native kernel, tiles are transposed: keys, or elements of values, by queries.

use super::dot::Product;
use super::functions::{add, exp, mul, pair, reciprocal, sub};
use super::{CHUNK, Precision};
use crate::kernels::attention::Heads;
use crate::kernels::micro::GROUP;
use crate::mat::MatMut;
use crate::memory::View;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};
use crate::simd::Level;

/// The queries of one task.
const QUERIES: usize = 3 * GROUP;
/// The keys whose scores are made at a time.
const KEYS: usize = 128;

/// Inputs: pairs and units of the rows of Q, of the rows of K, and of the columns of V; mask and bias if there are any.
pub(crate) struct Attention {
    pub(crate) q: Heads,
    pub(crate) k: Heads,
    pub(crate) v: Heads,
    pub(crate) scale: f32,
    pub(crate) causal: bool,
    pub(crate) precision: Precision,
    /// Which input it is, and its strides over `[B, H, L, S]`.
    pub(crate) mask: Option<(usize, [usize; 4])>,
    pub(crate) bias: Option<(usize, [usize; 4])>,
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

/// The working memory of one task. A row of each is as long as the queries, rounded up to groups.
struct Tile<'s> {
    /// `[head size / 2, queries]`.
    queries: &'s mut [i32],
    /// `[keys, queries]`; minus infinity where a query does not see a key.
    scores: &'s mut [f32],
    /// `[pairs of keys in a chunk, queries]`.
    weights: &'s mut [i32],
    /// `[size of values, queries]`.
    sums: &'s mut [f32],
    /// The units of queries.
    units: &'s mut [f32],
    /// The largest score of each query.
    tops: &'s mut [f32],
    /// The sum of its weights, whole and of the present chunk.
    totals: &'s mut [f32],
    part: &'s mut [f32],
}

/// Offsets of rows of a tile.
fn offsets(count: usize, width: usize) -> Vec<usize> {
    (0..count).map(|row| row * width).collect()
}

impl Attention {
    fn half(&self) -> usize {
        self.q.size.div_ceil(2)
    }

    fn pairs(&self) -> usize {
        self.k.length.min(CHUNK).div_ceil(2)
    }

    fn divide<'s>(&self, scratch: &'s mut [f32], width: usize) -> Tile<'s> {
        let mut rest = scratch;
        let mut take = |rows: usize| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(rows * width);
            rest = after;
            part
        };
        Tile {
            queries: bytemuck::cast_slice_mut(take(self.half())),
            scores: take(self.k.length),
            weights: bytemuck::cast_slice_mut(take(self.pairs())),
            sums: take(self.v.size),
            units: take(1),
            tops: take(1),
            totals: take(1),
            part: take(1),
        }
    }

    fn task(&self, run: &Run<'_>, inputs: &[View<'_>], at: Place, out: MatMut<'_>) {
        with_scratch(self.scratch(), |scratch| {
            let mut tile = self.divide(scratch, at.width);
            self.load_queries(inputs, at, &mut tile);
            tile.tops.fill(f32::NEG_INFINITY);
            tile.totals.fill(0.0);
            tile.sums.fill(0.0);
            // A causal query sees no key after itself.
            let seen = if self.causal { (at.first + at.count).min(self.k.length) } else { self.k.length };
            for start in (0..seen).step_by(KEYS) {
                if run.control.is_cancelled() {
                    return;
                }
                let keys = start..(start + KEYS).min(seen);
                self.score(run.level, inputs, at, &mut tile, keys.clone());
                self.restrict(inputs, at, tile.scores, keys.clone());
                let scores = &tile.scores[keys.start * at.width..keys.end * at.width];
                let tops = &mut *tile.tops;
                run.level.loops(
                    #[inline(always)]
                    || {
                        for row in scores.chunks_exact(tops.len()) {
                            tops.iter_mut().zip(row).for_each(|(t, &s)| *t = if s > *t { s } else { *t });
                        }
                    },
                );
            }
            for start in (0..seen).step_by(CHUNK) {
                self.add_values(run.level, inputs, at, &mut tile, start..(start + CHUNK).min(seen));
            }
            self.store(inputs, at, &mut tile, out);
        });
    }

    /// Transposes the queries of a task; zeros beyond them.
    fn load_queries(&self, inputs: &[View<'_>], at: Place, tile: &mut Tile<'_>) {
        let (q, units, half) = (inputs[0].of::<i32>(), inputs[1].f32(), self.half());
        tile.queries.fill(0);
        tile.units.fill(0.0);
        for i in 0..at.count {
            let row = self.q.row(at.batch, at.head, at.first + i);
            tile.units[i] = units[row];
            for (d, &pair) in q[row * half..(row + 1) * half].iter().enumerate() {
                tile.queries[d * at.width + i] = pair;
            }
        }
    }

    fn kv_head(&self, head: usize) -> usize {
        head / (self.q.heads / self.k.heads)
    }

    fn score(
        &self,
        level: Level,
        inputs: &[View<'_>],
        at: Place,
        tile: &mut Tile<'_>,
        keys: std::ops::Range<usize>,
    ) {
        let (k, k_units, half) = (inputs[2].of::<i32>(), inputs[3].f32(), self.half());
        let kv = self.kv_head(at.head);
        let (first, next) = (self.k.row(at.batch, kv, 0), self.k.row(at.batch, kv, 1));
        let stride = (next - first) * half;
        let scores = &mut tile.scores[keys.start * at.width..keys.end * at.width];
        let product = Product {
            left: &k[first * half + keys.start * stride..],
            left_stride: stride,
            rows: keys.len(),
            right: tile.queries,
            offsets: &offsets(half, at.width),
            positions: &offsets(at.width / GROUP, GROUP),
            out: scores,
            stride: at.width,
            accumulate: false,
            fold: self.precision.fold(),
        };
        product.run(level);
        for (s, row) in keys.zip(scores.chunks_exact_mut(at.width)) {
            let unit = k_units[self.k.row(at.batch, kv, s)];
            let (units, scale) = (&*tile.units, self.scale);
            level.loops(
                #[inline(always)]
                || row.iter_mut().zip(units).for_each(|(s, &own)| *s = mul(mul(mul(*s, own), unit), scale)),
            );
        }
    }

    /// Adds the bias, and closes what the mask hides and, for a causal query, what comes after it.
    fn restrict(&self, inputs: &[View<'_>], at: Place, scores: &mut [f32], keys: std::ops::Range<usize>) {
        let rows = |strides: [usize; 4], i: usize| {
            at.batch * strides[0] + at.head * strides[1] + (at.first + i) * strides[2]
        };
        if let Some((input, strides)) = self.bias {
            let bias = inputs[input].f32();
            for i in 0..at.count {
                let start = rows(strides, i);
                for s in keys.clone() {
                    let score = &mut scores[s * at.width + i];
                    *score = add(*score, bias[start + s * strides[3]]);
                }
            }
        }
        if let Some((input, strides)) = self.mask {
            let mask = inputs[input].of::<u8>();
            for i in 0..at.count {
                let start = rows(strides, i);
                for s in keys.clone().filter(|s| mask[start + s * strides[3]] == 0) {
                    scores[s * at.width + i] = f32::NEG_INFINITY;
                }
            }
        }
        if self.causal {
            for i in 0..at.count {
                for s in keys.clone().filter(|&s| s > at.first + i) {
                    scores[s * at.width + i] = f32::NEG_INFINITY;
                }
            }
        }
    }

    /// Makes the weights of a chunk of keys and adds their product with the values.
    fn add_values(
        &self,
        level: Level,
        inputs: &[View<'_>],
        at: Place,
        tile: &mut Tile<'_>,
        keys: std::ops::Range<usize>,
    ) {
        let limit = self.precision.limit();
        let (width, pairs) = (at.width, keys.len().div_ceil(2));
        tile.part.fill(0.0);
        for p in 0..pairs {
            let key = keys.start + 2 * p;
            let even = &tile.scores[key * width..(key + 1) * width];
            // There is no key beyond the last: its weight is 0.
            let odd = (key + 1 < keys.end).then(|| &tile.scores[(key + 1) * width..(key + 2) * width]);
            let (tops, part) = (&*tile.tops, &mut *tile.part);
            let weights = &mut tile.weights[p * width..(p + 1) * width];
            level.loops(
                #[inline(always)]
                || weigh(weights, part, tops, even, odd, limit),
            );
        }
        tile.totals.iter_mut().zip(&*tile.part).for_each(|(total, part)| *total += part);
        let half = self.v.length.div_ceil(2);
        let v = inputs[4].of::<i32>();
        let head = (at.batch * self.v.heads + self.kv_head(at.head)) * self.v.size;
        let product = Product {
            left: &v[head * half + keys.start / 2..],
            left_stride: half,
            rows: self.v.size,
            right: tile.weights,
            offsets: &offsets(pairs, width),
            positions: &offsets(width / GROUP, GROUP),
            out: tile.sums,
            stride: width,
            accumulate: true,
            fold: self.precision.fold(),
        };
        product.run(level);
    }

    /// Divides by the sum of weights, and transposes the queries that are there into the output.
    fn store(&self, inputs: &[View<'_>], at: Place, tile: &mut Tile<'_>, mut out: MatMut<'_>) {
        let v_units = inputs[5].f32();
        let head = (at.batch * self.v.heads + self.kv_head(at.head)) * self.v.size;
        for total in &mut *tile.totals {
            *total = reciprocal(if *total > 1.0 { *total } else { 1.0 });
        }
        for i in 0..at.count {
            for (d, out) in out.row(i).iter_mut().enumerate() {
                *out = mul(mul(tile.sums[d * at.width + i], v_units[head + d]), tile.totals[i]);
            }
        }
    }
}

/// The weights of two keys.
#[inline(always)]
fn weigh(weights: &mut [i32], part: &mut [f32], tops: &[f32], even: &[f32], odd: Option<&[f32]>, limit: f32) {
    #[inline(always)]
    fn weight(score: f32, top: f32, limit: f32) -> f32 {
        let weight = exp(sub(score, top)) * limit;
        if score == f32::NEG_INFINITY { 0.0 } else { weight }
    }
    #[inline(always)]
    fn count(part: &mut f32, pair: i32) {
        *part += (i32::from(pair as i16) + (pair >> 16)) as f32;
    }
    match odd {
        Some(odd) => {
            let rows = weights.iter_mut().zip(part).zip(tops).zip(even).zip(odd);
            for ((((w, part), &top), &even), &odd) in rows {
                *w = pair(weight(even, top, limit), weight(odd, top, limit));
                count(part, *w);
            }
        }
        None => {
            for (((w, part), &top), &even) in weights.iter_mut().zip(part).zip(tops).zip(even) {
                *w = pair(weight(even, top, limit), 0.0);
                count(part, *w);
            }
        }
    }
}

impl Kernel for Attention {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let inputs = io.inputs;
        let out = Heads { size: self.v.size, ..self.q };
        let tiles = out.tiles(io.out::<f32>(), QUERIES);
        run.each(tiles, |_, (batch, head, first, tile)| {
            let count = tile.row_count();
            let width = count.div_ceil(GROUP) * GROUP;
            self.task(run, inputs, Place { batch, head, first, count, width }, tile);
        })
    }

    fn scratch(&self) -> usize {
        (self.half() + self.k.length + self.pairs() + self.v.size + 4) * QUERIES
    }
}
