//! Softmax along any axis.

use super::rows;
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
            if !in_place {
                out.copy_from_slice(&x[task * rows * n..][..out.len()]);
            }
            out.chunks_exact_mut(n).for_each(|row| softmax_row(run.level, row));
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

fn softmax_row(level: Level, row: &mut [f32]) {
    let top = rows::max(level, row);
    let sum = rows::exp_sum(level, row, top);
    rows::scale(level, row, 1.0 / sum);
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
