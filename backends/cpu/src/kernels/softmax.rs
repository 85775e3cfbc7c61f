//! Softmax along any axis.

use pulp::{Simd, WithSimd};

use crate::mat::MatMut;
use crate::math;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};
use crate::simd::Level;

/// Softmax of `[outer, length, inner]` along its middle axis.
pub(crate) struct Softmax {
    pub(crate) length: usize,
    pub(crate) inner: usize,
}

/// The inner positions of one task, where the axis is not the last.
const WIDTH: usize = 256;

impl Softmax {
    fn last_axis(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (n, in_place) = (self.length, io.in_place.is_some());
        let x = if in_place { &[] } else { io.f32(0) };
        let rows = ((1 << 14) / n).max(1);
        run.chunks(io.out::<f32>(), rows * n, |task, out| {
            for (i, row) in out.chunks_exact_mut(n).enumerate() {
                let from = (!in_place).then(|| &x[(task * rows + i) * n..][..n]);
                run.level.run(Row { from, out: row });
            }
        })
    }

    fn other_axis(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let x = io.f32(0);
        let slab = self.length * self.inner;
        let mut tiles = Vec::new();
        for (outer, out) in io.out::<f32>().chunks_exact_mut(slab).enumerate() {
            let parts = MatMut::new(out, self.length, self.inner, self.inner).tiles(usize::MAX, WIDTH);
            tiles.extend(parts.into_iter().enumerate().map(|(t, part)| (outer * slab + t * WIDTH, part)));
        }
        run.each(tiles, |_, (at, out)| {
            let width = out.col_count();
            let row = |r: usize| &x[at + r * self.inner..][..width];
            columns(run.level, self.length, row, out);
        })
    }
}

/// Softmax of a row, of another one or in place.
struct Row<'a> {
    from: Option<&'a [f32]>,
    out: &'a mut [f32],
}

/// Vectors that are gone through together, so that one need not wait for another.
const UNROLLED: usize = 4;
/// Sums in `f32` are carried over to `f64` after so many vectors.
const CARRY: usize = 256;

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let top = top(simd, self.from.unwrap_or(self.out));
        let sum = exponentials(simd, self.from, self.out, top);
        let (vectors, rest) = S::as_mut_simd_f32s(self.out);
        let factor = sum.recip();
        vectors.iter_mut().for_each(|v| *v = simd.mul_f32s(*v, simd.splat_f32s(factor)));
        rest.iter_mut().for_each(|v| *v *= factor);
    }
}

/// Writes e^(x - top) of a row, of another one or in place, and gives their sum.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, from: Option<&[f32]>, out: &mut [f32], top: f32) -> f32 {
    let from = from.map(S::as_simd_f32s);
    let (vectors, rest) = S::as_mut_simd_f32s(out);
    let mut total = 0.0;
    for (part, vectors) in vectors.chunks_mut(CARRY).enumerate() {
        let mut sum = simd.splat_f32s(0.0);
        for (i, v) in vectors.iter_mut().enumerate() {
            let x = match from {
                Some((from, _)) => from[part * CARRY + i],
                None => *v,
            };
            *v = power(simd, x, top);
            sum = simd.add_f32s(sum, *v);
        }
        total += f64::from(simd.reduce_sum_f32s(sum));
    }
    for (i, v) in rest.iter_mut().enumerate() {
        let x = match from {
            Some((_, from)) => from[i],
            None => *v,
        };
        *v = math::exp_below(pulp::Scalar, x - top);
        total += f64::from(*v);
    }
    total as f32
}

/// e^(x - top).
#[inline(always)]
fn power<S: Simd>(simd: S, x: S::f32s, top: f32) -> S::f32s {
    math::exp_below(simd, simd.sub_f32s(x, simd.splat_f32s(top)))
}

/// The larger of two in each lane, the first where the second is NaN.
#[inline(always)]
fn higher<S: Simd>(simd: S, top: S::f32s, v: S::f32s) -> S::f32s {
    simd.select_f32s(simd.greater_than_f32s(v, top), v, top)
}

/// The largest element, NaN left aside; -inf of nothing.
#[inline(always)]
fn top<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let mut tops = [simd.splat_f32s(f32::NEG_INFINITY); UNROLLED];
    let (fours, others) = vectors.as_chunks::<UNROLLED>();
    for four in fours {
        tops = std::array::from_fn(
            #[inline(always)]
            |i| higher(simd, tops[i], four[i]),
        );
    }
    let tops = tops.iter().chain(others).fold(tops[0], |top, &v| higher(simd, top, v));
    let larger = |m: f32, &v: &f32| if v > m { v } else { m };
    let top = bytemuck::cast_slice(std::slice::from_ref(&tops)).iter().fold(f32::NEG_INFINITY, larger);
    rest.iter().fold(top, larger)
}

/// Softmax down the columns of a tile.
fn columns<'a>(level: Level, length: usize, row: impl Fn(usize) -> &'a [f32], mut out: MatMut<'_>) {
    let width = out.col_count();
    with_scratch(2 * WIDTH, |scratch| {
        let (top, sum) = scratch.split_at_mut(WIDTH);
        let (top, sum) = (&mut top[..width], &mut sum[..width]);
        top.fill(f32::NEG_INFINITY);
        sum.fill(0.0);
        for r in 0..length {
            let larger = |m: f32, v: f32| if v > m { v } else { m };
            level.loops(
                #[inline(always)]
                || top.iter_mut().zip(row(r)).for_each(|(m, &v)| *m = larger(*m, v)),
            );
        }
        for r in 0..length {
            let out = out.row(r);
            level.loops(
                #[inline(always)]
                || {
                    for (((o, &v), &m), s) in out.iter_mut().zip(row(r)).zip(&*top).zip(&mut *sum) {
                        *o = math::exp(v - m);
                        *s += *o;
                    }
                },
            );
        }
        for r in 0..length {
            level.loops(
                #[inline(always)]
                || out.row(r).iter_mut().zip(&*sum).for_each(|(o, &s)| *o /= s),
            );
        }
    });
}

impl Kernel for Softmax {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        if io.outputs[0].is_empty() {
            return Ok(());
        }
        if self.inner == 1 { self.last_axis(run, io) } else { self.other_axis(run, io) }
    }

    fn may_overwrite(&self) -> &[usize] {
        if self.inner == 1 { &[0] } else { &[] }
    }

    fn scratch(&self) -> usize {
        2 * WIDTH
    }
}
