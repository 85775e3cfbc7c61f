//! Rows and columns of numbers as pairs of whole numbers with a unit each.

use super::Precision;
use super::functions::{clean, pair, scale};
use crate::run::{Fault, Io, Kernel, Run};
use crate::simd::Level;

/// The elements of one task.
const TASK: usize = 1 << 14;

/// The largest magnitude of clean numbers.
pub(crate) fn largest(level: Level, x: &[f32]) -> f32 {
    #[inline(always)]
    fn max(x: &[f32]) -> u32 {
        // As bits: magnitudes are ordered as whole numbers are, and those are compared in any order.
        x.iter().fold(0, |max, v| max.max(v.to_bits() & 0x7fff_ffff))
    }
    f32::from_bits(level.loops(
        #[inline(always)]
        || max(x),
    ))
}

/// Writes a row in pairs, the last filled up with 0, and returns its unit.
pub(crate) fn pack_row(level: Level, row: &[f32], precision: Precision, out: &mut [i32]) -> f32 {
    #[inline(always)]
    fn pack(row: &[f32], up: f32, out: &mut [i32]) {
        let (pairs, rest) = row.as_chunks::<2>();
        for (out, &[even, odd]) in out.iter_mut().zip(pairs) {
            *out = pair(even * up, odd * up);
        }
        if let (&[last], Some(out)) = (rest, out.last_mut()) {
            *out = pair(last * up, 0.0);
        }
    }
    let (up, unit) = scale(largest(level, row), precision);
    level.loops(
        #[inline(always)]
        || pack(row, up, out),
    );
    unit
}

/// Makes weights clean, and each row of them pairs: for the time of loading.
pub(crate) fn pack_weight_row(level: Level, row: &mut [f32], precision: Precision, out: &mut [i32]) -> f32 {
    row.iter_mut().for_each(|v| *v = clean(*v));
    pack_row(level, row, precision, out)
}

/// Packs rows. Outputs: pairs `[rows, (inner + 1) / 2]`, units `[rows]`.
pub(crate) struct Rows {
    pub(crate) inner: usize,
    pub(crate) precision: Precision,
}

impl Kernel for Rows {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        let x = io.f32(0);
        let [pairs, units] = io.outputs else { return Ok(()) };
        if pairs.is_empty() {
            return Ok(());
        }
        let (pairs, units) =
            (bytemuck::cast_slice_mut::<_, i32>(pairs), bytemuck::cast_slice_mut::<_, f32>(units));
        let half = self.inner.div_ceil(2);
        let rows = (TASK / self.inner).max(1);
        let tasks =
            x.chunks(rows * self.inner).zip(pairs.chunks_mut(rows * half)).zip(units.chunks_mut(rows));
        run.each(tasks.collect(), |_, ((x, pairs), units)| {
            for ((row, pairs), unit) in
                x.chunks_exact(self.inner).zip(pairs.chunks_exact_mut(half)).zip(units)
            {
                *unit = pack_row(run.level, row, self.precision, pairs);
            }
        })
    }
}

/// Packs the columns of each head's values: pairs of keys. Outputs: pairs `[heads, size, (length + 1) / 2]`, units
/// `[heads, size]`.
pub(crate) struct Columns {
    pub(crate) heads: crate::kernels::attention::Heads,
    pub(crate) precision: Precision,
}

impl Columns {
    fn head(
        &self,
        v: &[f32],
        (start, stride): (usize, usize),
        pairs: &mut [i32],
        units: &mut [f32],
        level: Level,
    ) {
        let (length, size) = (self.heads.length, self.heads.size);
        let row = |s: usize| &v[start + s * stride..][..size];
        let mut largest = vec![0u32; size];
        let mut up = vec![0.0; size];
        for s in 0..length {
            let row = row(s);
            level.loops(
                #[inline(always)]
                || {
                    for (max, v) in largest.iter_mut().zip(row) {
                        *max = (*max).max(v.to_bits() & 0x7fff_ffff);
                    }
                },
            );
        }
        for ((up, unit), &max) in up.iter_mut().zip(units).zip(&largest) {
            (*up, *unit) = scale(f32::from_bits(max), self.precision);
        }
        let half = length.div_ceil(2);
        for s in 0..half {
            let even = row(2 * s);
            let odd = (2 * s + 1 < length).then(|| row(2 * s + 1));
            for (d, &up) in up.iter().enumerate() {
                pairs[d * half + s] = pair(even[d] * up, odd.map_or(0.0, |odd| odd[d] * up));
            }
        }
    }
}

impl Kernel for Columns {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        let v = io.f32(0);
        let [pairs, units] = io.outputs else { return Ok(()) };
        let (size, half) = (self.heads.size, self.heads.length.div_ceil(2));
        if pairs.is_empty() || units.is_empty() {
            return Ok(());
        }
        let (pairs, units) =
            (bytemuck::cast_slice_mut::<_, i32>(pairs), bytemuck::cast_slice_mut::<_, f32>(units));
        let tasks = pairs.chunks_exact_mut(size * half).zip(units.chunks_exact_mut(size)).collect();
        run.each(tasks, |i, (pairs, units)| {
            let rows = self.heads.rows(i / self.heads.heads, i % self.heads.heads);
            self.head(v, rows, pairs, units, run.level);
        })
    }
}

/// The largest magnitude of each part of so many elements.
pub(crate) struct Largest {
    pub(crate) part: usize,
}

impl Kernel for Largest {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let x = io.f32(0);
        let out = io.out::<f32>();
        if self.part == 0 {
            out.fill(0.0);
            return Ok(());
        }
        let pieces = self.part.div_ceil(4 * TASK);
        let mut found = vec![0.0; pieces * out.len()];
        run.chunks(&mut found, 1, |i, found| {
            let part = &x[i / pieces * self.part..][..self.part];
            let start = i % pieces * 4 * TASK;
            found[0] = largest(run.level, &part[start..(start + 4 * TASK).min(part.len())]);
        })?;
        for (out, found) in out.iter_mut().zip(found.chunks_exact(pieces)) {
            *out = found.iter().fold(0.0, |max: f32, &v| max.max(v));
        }
        Ok(())
    }
}
