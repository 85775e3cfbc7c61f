//! Normalisations.

use super::functions::{add, clean, mul, pair, rsqrt, scale, sub};
use super::whole::largest;
use super::{CHUNK, Precision};
use crate::kernels::norm::Form;
use crate::mat::MatMut;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};
use crate::simd::Level;

/// The columns of one task where elements of a group lie apart.
const WIDTH: usize = 256;

/// Inputs: X, and scale and bias where given.
pub(crate) struct Norm {
    pub(crate) centred: bool,
    pub(crate) epsilon: f32,
    /// The elements of a group, and its inverse.
    pub(crate) length: usize,
    pub(crate) precision: Precision,
    pub(crate) scale: Option<usize>,
    pub(crate) bias: Option<usize>,
    pub(crate) form: Form,
}

/// The sum of the whole numbers of a chunk, and of their squares in two parts: all within `i32`.
#[inline(always)]
fn sums(row: &[f32], up: f32) -> (i32, i32, i32) {
    row.iter().fold((0, 0, 0), |(sum, high, low), &x| {
        let q = i32::from(pair(x * up, 0.0) as i16);
        let square = q * q;
        (sum + q, high + (square >> 13), low + (square & 8191))
    })
}

/// A sum of squares in two parts.
#[inline(always)]
fn joined(high: i32, low: i32) -> f32 {
    // Parts that stay whole numbers below 2^24 once the lower one is carried over.
    let high = high + (low >> 13);
    high as f32 * 8192.0 + (low & 8191) as f32
}

impl Norm {
    fn inverse(&self) -> f32 {
        (1.0 / self.length as f64) as f32
    }

    /// The mean of a row.
    fn mean(&self, level: Level, row: &[f32]) -> f32 {
        let (up, unit) = scale(largest(level, row), self.precision);
        let chunk = |part: &[f32]| {
            level.loops(
                #[inline(always)]
                || sums(part, up).0,
            )
        };
        let sum = row.chunks(CHUNK).fold(0.0, |total: f32, part| total + chunk(part) as f32);
        mul(mul(sum, unit), self.inverse())
    }

    /// 1 / sqrt(mean of squares + epsilon) of a row.
    fn root(&self, level: Level, row: &[f32]) -> f32 {
        let (up, unit) = scale(largest(level, row), self.precision);
        let mut total = 0.0;
        for part in row.chunks(CHUNK) {
            let (_, high, low) = level.loops(
                #[inline(always)]
                || sums(part, up),
            );
            total += joined(high, low);
        }
        let power = mul(mul(mul(total, unit), unit), self.inverse());
        rsqrt(add(power, self.epsilon))
    }

    /// Normalises a row that is already in the output.
    fn row(&self, level: Level, row: &mut [f32], own: Option<&[f32]>, bias: Option<&[f32]>) {
        if self.centred {
            let mean = self.mean(level, row);
            level.loops(
                #[inline(always)]
                || row.iter_mut().for_each(|v| *v = sub(*v, mean)),
            );
        }
        let root = self.root(level, row);
        level.loops(
            #[inline(always)]
            || {
                row.iter_mut().for_each(|v| *v = mul(*v, root));
                if let Some(own) = own {
                    row.iter_mut().zip(own).for_each(|(v, &s)| *v = mul(*v, clean(s)));
                }
                if let Some(bias) = bias {
                    row.iter_mut().zip(bias).for_each(|(v, &b)| *v = add(*v, clean(b)));
                }
            },
        );
    }

    /// Normalises down the columns of a tile that holds X.
    fn columns(&self, level: Level, own: Option<&[f32]>, bias: Option<&[f32]>, mut tile: MatMut<'_>) {
        let width = tile.col_count();
        with_scratch(6 * WIDTH, |scratch| {
            let (up, rest) = scratch.split_at_mut(WIDTH);
            let (factor, rest) = rest.split_at_mut(WIDTH);
            let (total, parts) = rest.split_at_mut(WIDTH);
            let mut columns = Down {
                up: &mut up[..width],
                unit: &mut factor[..width],
                total: &mut total[..width],
                parts: bytemuck::cast_slice_mut(&mut parts[..2 * width]),
            };
            let inverse = self.inverse();
            if self.centred {
                columns.sum(level, self.precision, self.length, &mut tile, false);
                for (mean, &unit) in columns.total.iter_mut().zip(&*columns.unit) {
                    *mean = mul(mul(*mean, unit), inverse);
                }
                for r in 0..self.length {
                    let (row, mean) = (tile.row(r), &*columns.total);
                    level.loops(
                        #[inline(always)]
                        || row.iter_mut().zip(mean).for_each(|(v, &m)| *v = sub(*v, m)),
                    );
                }
            }
            columns.sum(level, self.precision, self.length, &mut tile, true);
            let epsilon = self.epsilon;
            for (root, &unit) in columns.total.iter_mut().zip(&*columns.unit) {
                *root = rsqrt(add(mul(mul(mul(*root, unit), unit), inverse), epsilon));
            }
            for r in 0..self.length {
                let (row, root) = (tile.row(r), &*columns.total);
                let (own, bias) = (own.map(|s| clean(s[r])), bias.map(|b| clean(b[r])));
                level.loops(
                    #[inline(always)]
                    || match (own, bias) {
                        (None, None) => row.iter_mut().zip(root).for_each(|(v, &f)| *v = mul(*v, f)),
                        (Some(s), None) => {
                            row.iter_mut().zip(root).for_each(|(v, &f)| *v = mul(mul(*v, f), s))
                        }
                        (None, Some(b)) => {
                            row.iter_mut().zip(root).for_each(|(v, &f)| *v = add(mul(*v, f), b))
                        }
                        (Some(s), Some(b)) => {
                            row.iter_mut().zip(root).for_each(|(v, &f)| *v = add(mul(mul(*v, f), s), b));
                        }
                    },
                );
            }
        });
    }

    fn middle(&self, run: &Run<'_>, mut io: Io<'_, '_>, inner: usize) -> Result<(), Fault> {
        let in_place = io.in_place.is_some();
        let x = if in_place { &[] } else { io.f32(0) };
        let (own, bias) = (self.scale.map(|i| io.f32(i)), self.bias.map(|i| io.f32(i)));
        let slab = self.length * inner;
        let mut tiles = Vec::new();
        for (outer, out) in io.out::<f32>().chunks_exact_mut(slab).enumerate() {
            let parts = MatMut::new(out, self.length, inner, inner).tiles(usize::MAX, WIDTH);
            tiles.extend(parts.into_iter().enumerate().map(|(t, part)| (outer * slab + t * WIDTH, part)));
        }
        run.each(tiles, |_, (at, mut tile)| {
            if !in_place {
                for r in 0..self.length {
                    let row = tile.row(r);
                    row.copy_from_slice(&x[at + r * inner..][..row.len()]);
                }
            }
            self.columns(run.level, own, bias, tile);
        })
    }

    fn rows(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let in_place = io.in_place.is_some();
        let x = if in_place { &[] } else { io.f32(0) };
        let (own, bias) = (self.scale.map(|i| io.f32(i)), self.bias.map(|i| io.f32(i)));
        let rows = ((1 << 14) / self.length).max(1);
        run.chunks(io.out::<f32>(), rows * self.length, |task, out| {
            if !in_place {
                out.copy_from_slice(&x[task * rows * self.length..][..out.len()]);
            }
            for row in out.chunks_exact_mut(self.length) {
                self.row(run.level, row, own, bias);
            }
        })
    }

    /// Any axes: each group is gathered, normalised and put back, on one thread.
    fn scattered(
        &self,
        run: &Run<'_>,
        mut io: Io<'_, '_>,
        groups: &crate::layout::Walk,
        elements: &crate::layout::Walk,
    ) -> Result<(), Fault> {
        let x = io.f32(0);
        let (own, bias) = (self.scale.map(|i| io.f32(i)), self.bias.map(|i| io.f32(i)));
        crate::kernels::norm::scattered(x, io.out(), groups, elements, |row| {
            self.row(run.level, row, own, bias)
        });
        Ok(())
    }
}

/// Sums down columns.
struct Down<'s> {
    up: &'s mut [f32],
    unit: &'s mut [f32],
    total: &'s mut [f32],
    /// Two rows of partial sums.
    parts: &'s mut [i32],
}

impl Down<'_> {
    /// The sums of whole numbers, or of their squares, by chunks; finds the units first.
    fn sum(
        &mut self,
        level: Level,
        precision: Precision,
        length: usize,
        tile: &mut MatMut<'_>,
        squares: bool,
    ) {
        let width = self.total.len();
        let largest: &mut [u32] = bytemuck::cast_slice_mut(&mut self.parts[..width]);
        largest.fill(0);
        for r in 0..length {
            let row = &*tile.row(r);
            level.loops(
                #[inline(always)]
                || {
                    for (max, v) in largest.iter_mut().zip(row) {
                        *max = (*max).max(v.to_bits() & 0x7fff_ffff);
                    }
                },
            );
        }
        for ((up, unit), &max) in self.up.iter_mut().zip(&mut *self.unit).zip(&*largest) {
            (*up, *unit) = scale(f32::from_bits(max), precision);
        }
        self.total.fill(0.0);
        for start in (0..length).step_by(CHUNK) {
            self.parts.fill(0);
            let (high, low) = self.parts.split_at_mut(width);
            for r in start..(start + CHUNK).min(length) {
                let (row, up) = (&*tile.row(r), &*self.up);
                level.loops(
                    #[inline(always)]
                    || {
                        for (((high, low), &x), &up) in high.iter_mut().zip(&mut *low).zip(row).zip(up) {
                            let q = i32::from(pair(x * up, 0.0) as i16);
                            let term = if squares { q * q } else { q };
                            *high += term >> 13;
                            *low += term & 8191;
                        }
                    },
                );
            }
            for ((total, &high), &low) in self.total.iter_mut().zip(&*high).zip(&*low) {
                *total += joined(high, low);
            }
        }
    }
}

impl Kernel for Norm {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        if io.outputs[0].is_empty() {
            return Ok(());
        }
        match &self.form {
            Form::Rows { .. } => self.rows(run, io),
            Form::Middle { inner, .. } => self.middle(run, io, *inner),
            Form::Scattered { groups, elements } => self.scattered(run, io, groups, elements),
        }
    }

    fn may_overwrite(&self) -> &[usize] {
        if matches!(self.form, Form::Scattered { .. }) { &[] } else { &[0] }
    }

    fn scratch(&self) -> usize {
        match &self.form {
            Form::Rows { .. } => 0,
            Form::Middle { .. } => 6 * WIDTH,
            Form::Scattered { elements, .. } => elements.len(),
        }
    }
}
