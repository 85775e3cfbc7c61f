//! Normalisations: over the last axes, over an axis with others inside it, over any axes.

use super::rows;
use crate::layout::Walk;
use crate::mat::MatMut;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};
use crate::simd::Level;

/// What is normalised, and what comes after it.
pub(crate) struct Norm {
    /// Whether the mean is subtracted first.
    pub(crate) centred: bool,
    pub(crate) epsilon: f64,
    /// Which input is the scale and which the bias.
    pub(crate) scale: Option<usize>,
    pub(crate) bias: Option<usize>,
    pub(crate) form: Form,
}

/// How the elements of one group lie.
pub(crate) enum Form {
    /// One after the other. The parameters are those of `length` elements divided into runs that
    /// share one, and repeat after so many groups (GroupNormalization), or one each (run 1, 1 group).
    Rows { length: usize, run: usize, repeat: usize },
    /// `[outer, length, inner]` along the middle axis.
    Middle { length: usize, inner: usize },
    /// Anywhere: the offsets of groups, and of elements within a group.
    Scattered { groups: Walk, elements: Walk },
}

/// The mean to subtract and the factor to multiply with.
#[derive(Clone, Copy)]
struct Statistics {
    mean: f32,
    factor: f32,
}

impl Norm {
    fn statistics(&self, level: Level, row: &[f32]) -> Statistics {
        let n = row.len() as f64;
        let mean = if self.centred { (rows::sum(level, row) / n) as f32 } else { 0.0 };
        let power = rows::sum_of_squares(level, row, mean) / n;
        Statistics { mean, factor: (power + self.epsilon).sqrt().recip() as f32 }
    }

    /// Normalises a row that is already in the output; the parameters start at `parameter` and each serves a run of elements.
    fn row(&self, level: Level, row: &mut [f32], run: usize, scale: Option<&[f32]>, bias: Option<&[f32]>) {
        let Statistics { mean, factor } = self.statistics(level, row);
        if run == 1 {
            return affine_row(level, row, mean, factor, scale, bias);
        }
        for (i, part) in row.chunks_mut(run).enumerate() {
            let (s, b) = (scale.map_or(1.0, |s| s[i]), bias.map_or(0.0, |b| b[i]));
            level.loops(
                #[inline(always)]
                || part.iter_mut().for_each(|v| *v = (*v - mean) * factor * s + b),
            );
        }
    }

    fn rows(
        &self,
        run: &Run<'_>,
        mut io: Io<'_, '_>,
        (n, stretch, repeat): (usize, usize, usize),
    ) -> Result<(), Fault> {
        let in_place = io.in_place.is_some();
        let x = if in_place { &[] } else { io.f32(0) };
        let (scale, bias) = (self.scale.map(|i| io.f32(i)), self.bias.map(|i| io.f32(i)));
        let rows = ((1 << 14) / n).max(1);
        let own = n / stretch;
        run.chunks(io.out::<f32>(), rows * n, |task, out| {
            for (i, row) in out.chunks_exact_mut(n).enumerate() {
                if !in_place {
                    row.copy_from_slice(&x[(task * rows + i) * n..][..n]);
                }
                let at = (task * rows + i) % repeat * own;
                let part = |p: &'_ [f32]| -> std::ops::Range<usize> { at..(at + own).min(p.len()) };
                self.row(run.level, row, stretch, scale.map(|s| &s[part(s)]), bias.map(|b| &b[part(b)]));
            }
        })
    }

    fn middle(&self, run: &Run<'_>, mut io: Io<'_, '_>, (n, inner): (usize, usize)) -> Result<(), Fault> {
        let x = io.f32(0);
        let (scale, bias) = (self.scale.map(|i| io.f32(i)), self.bias.map(|i| io.f32(i)));
        let slab = n * inner;
        let mut tiles = Vec::new();
        for (outer, out) in io.out::<f32>().chunks_exact_mut(slab).enumerate() {
            let parts = MatMut::new(out, n, inner, inner).tiles(usize::MAX, WIDTH);
            tiles.extend(parts.into_iter().enumerate().map(|(t, part)| (outer * slab + t * WIDTH, part)));
        }
        run.each(tiles, |_, (at, out)| {
            let width = out.col_count();
            let row = |r: usize| &x[at + r * inner..][..width];
            self.columns(run.level, n, row, scale, bias, out);
        })
    }

    /// Normalises down the columns of a tile.
    fn columns<'a>(
        &self,
        level: Level,
        n: usize,
        row: impl Fn(usize) -> &'a [f32],
        scale: Option<&[f32]>,
        bias: Option<&[f32]>,
        mut out: MatMut<'_>,
    ) {
        let width = out.col_count();
        with_scratch(2 * WIDTH, |scratch| {
            let (mean, power) = scratch.split_at_mut(WIDTH);
            let (mean, power) = (&mut mean[..width], &mut power[..width]);
            mean.fill(0.0);
            power.fill(0.0);
            if self.centred {
                for r in 0..n {
                    level.loops(
                        #[inline(always)]
                        || mean.iter_mut().zip(row(r)).for_each(|(m, &v)| *m += v),
                    );
                }
                mean.iter_mut().for_each(|m| *m /= n as f32);
            }
            for r in 0..n {
                level.loops(
                    #[inline(always)]
                    || {
                        for ((p, &v), &m) in power.iter_mut().zip(row(r)).zip(&*mean) {
                            *p += (v - m) * (v - m);
                        }
                    },
                );
            }
            let (n_f32, epsilon) = (n as f32, self.epsilon as f32);
            level.loops(
                #[inline(always)]
                || power.iter_mut().for_each(|p| *p = 1.0 / (*p / n_f32 + epsilon).sqrt()),
            );
            for r in 0..n {
                let (s, b) = (scale.map_or(1.0, |s| s[r]), bias.map_or(0.0, |b| b[r]));
                let out = out.row(r);
                level.loops(
                    #[inline(always)]
                    || {
                        for (((o, &v), &m), &f) in out.iter_mut().zip(row(r)).zip(&*mean).zip(&*power) {
                            *o = (v - m) * f * s + b;
                        }
                    },
                );
            }
        });
    }

    /// Any axes: each group is gathered, normalised and put back, on one thread.
    fn scattered(
        &self,
        run: &Run<'_>,
        mut io: Io<'_, '_>,
        groups: &Walk,
        elements: &Walk,
    ) -> Result<(), Fault> {
        let x = io.f32(0);
        let (scale, bias) = (self.scale.map(|i| io.f32(i)), self.bias.map(|i| io.f32(i)));
        let own = |row: &mut [f32]| self.row(run.level, row, 1, scale, bias);
        scattered(x, io.out(), groups, elements, own);
        Ok(())
    }
}

/// Gathers each group of elements that lie apart, changes it and puts it in the same places of the output.
pub(super) fn scattered(
    x: &[f32],
    out: &mut [f32],
    groups: &Walk,
    elements: &Walk,
    change: impl Fn(&mut [f32]),
) {
    with_scratch(elements.len(), |row| {
        for group in 0..groups.len() {
            let base = groups.offset(0, group);
            let place = |i: usize| (base + elements.offset(0, i)) as usize;
            row.iter_mut().enumerate().for_each(|(i, v)| *v = x[place(i)]);
            change(row);
            row.iter().enumerate().for_each(|(i, v)| out[place(i)] = *v);
        }
    });
}

/// The inner positions of one task.
const WIDTH: usize = 512;

fn affine_row(
    level: Level,
    row: &mut [f32],
    mean: f32,
    factor: f32,
    scale: Option<&[f32]>,
    bias: Option<&[f32]>,
) {
    level.loops(
        #[inline(always)]
        || match (scale, bias) {
            (None, None) => row.iter_mut().for_each(|v| *v = (*v - mean) * factor),
            (Some(s), None) => row.iter_mut().zip(s).for_each(|(v, s)| *v = (*v - mean) * factor * s),
            (None, Some(b)) => row.iter_mut().zip(b).for_each(|(v, b)| *v = (*v - mean) * factor + b),
            (Some(s), Some(b)) => {
                row.iter_mut().zip(s).zip(b).for_each(|((v, s), b)| *v = (*v - mean) * factor * s + b);
            }
        },
    );
}

impl Kernel for Norm {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        if io.outputs[0].is_empty() {
            return Ok(());
        }
        match &self.form {
            Form::Rows { length, run: stretch, repeat } => self.rows(run, io, (*length, *stretch, *repeat)),
            Form::Middle { length, inner } => self.middle(run, io, (*length, *inner)),
            Form::Scattered { groups, elements } => self.scattered(run, io, groups, elements),
        }
    }

    fn may_overwrite(&self) -> &[usize] {
        if matches!(self.form, Form::Rows { .. }) { &[0] } else { &[] }
    }

    fn scratch(&self) -> usize {
        match &self.form {
            Form::Rows { .. } => 0,
            Form::Middle { .. } => 2 * WIDTH,
            Form::Scattered { elements, .. } => elements.len(),
        }
    }
}
