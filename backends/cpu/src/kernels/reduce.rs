//! Sums, means, extremes and their positions along axes.

use kinograph_graph::DType;

use super::integer::{read, write};
use super::rows;
use crate::layout::Walk;
use crate::memory::View;
use crate::run::{Fault, Io, Kernel, Run};
use crate::simd::Level;

/// What a group of elements becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
}

/// A reduction of floats (as `f32`) or of integers.
pub(crate) struct Reduce {
    pub(crate) reduction: Reduction,
    pub(crate) dtype: DType,
    /// The offsets of the groups, one an element of the output.
    pub(crate) groups: Walk,
    /// The offsets of the elements within a group.
    pub(crate) elements: Walk,
}

impl Reduce {
    fn float(&self, level: Level, x: &[f32], base: isize) -> f32 {
        let count = self.elements.len();
        let stride = self.elements.inner_stride(0);
        let (mut sum, mut best) = (0.0f64, None::<f32>);
        self.elements.stretches(0, 0, count, |_, offset, len| {
            let at = base + offset;
            if matches!(self.reduction, Reduction::Sum | Reduction::Mean) {
                sum += if stride == 1 {
                    rows::sum(level, &x[at as usize..at as usize + len])
                } else {
                    (0..len).map(|i| f64::from(x[(at + i as isize * stride) as usize])).sum()
                };
                return;
            }
            for i in 0..len {
                let v = x[(at + i as isize * stride) as usize];
                best = Some(best.map_or(v, |b| self.better(b, v)));
            }
        });
        match self.reduction {
            Reduction::Sum => sum as f32,
            Reduction::Mean => (sum / count as f64) as f32,
            _ => best.unwrap_or(f32::NAN),
        }
    }

    fn better(&self, best: f32, v: f32) -> f32 {
        let replaces = if self.reduction == Reduction::Max { v > best } else { v < best };
        if v.is_nan() || (replaces && !best.is_nan()) { v } else { best }
    }

    fn integer(&self, view: View<'_>, base: isize) -> i64 {
        let values =
            (0..self.elements.len()).map(|i| read(view, (base + self.elements.offset(0, i)) as usize));
        match self.reduction {
            Reduction::Max => values.max().unwrap_or(0),
            Reduction::Min => values.min().unwrap_or(0),
            _ => values.fold(0, i64::wrapping_add),
        }
    }

    /// The outputs of one task, so that a task reads about as much as fits a second-level cache.
    fn task(&self) -> usize {
        ((1 << 16) / self.elements.len().max(1)).max(1)
    }
}

impl Kernel for Reduce {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let rows = self.task();
        if !self.dtype.is_float() {
            let (view, size) = (io.inputs[0], self.dtype.size());
            return run.chunks(&mut *io.outputs[0], rows * size, |task, out| {
                for i in 0..out.len() / size {
                    let value = self.integer(view, self.groups.offset(0, task * rows + i));
                    write(self.dtype, out, i, value);
                }
            });
        }
        let x = io.f32(0);
        run.chunks(io.out::<f32>(), rows, |task, out| {
            for (i, o) in out.iter_mut().enumerate() {
                *o = self.float(run.level, x, self.groups.offset(0, task * rows + i));
            }
        })
    }
}

/// The position of the largest element of `[outer, length, inner]` along its middle axis.
pub(crate) struct ArgMax {
    pub(crate) length: usize,
    pub(crate) inner: usize,
    pub(crate) dtype: DType,
}

impl ArgMax {
    fn position(&self, view: View<'_>, base: usize) -> i64 {
        let mut best = 0;
        for i in 1..self.length {
            let (here, there) = (base + i * self.inner, base + best * self.inner);
            let larger = if self.dtype.is_float() {
                let (v, largest) = (view.f32()[here], view.f32()[there]);
                !largest.is_nan() && (v.is_nan() || v > largest)
            } else {
                read(view, here) > read(view, there)
            };
            if larger {
                best = i;
            }
        }
        best as i64
    }
}

impl Kernel for ArgMax {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let view = io.inputs[0];
        let rows = ((1 << 16) / self.length.max(1)).max(1);
        run.chunks(io.out::<i64>(), rows, |task, out| {
            for (i, o) in out.iter_mut().enumerate() {
                let at = task * rows + i;
                *o = self.position(view, at / self.inner * self.length * self.inner + at % self.inner);
            }
        })
    }
}
