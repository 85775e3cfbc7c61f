//! Tensors made from attributes.

use kinograph_graph::DType;

use super::integer::Cast;
use crate::memory::View;
use crate::run::{Fault, Io, Kernel, Run};

/// The index along the middle axis of `[outer, length, inner]`.
pub(crate) struct Iota {
    pub(crate) length: usize,
    pub(crate) inner: usize,
    pub(crate) dtype: DType,
}

impl Kernel for Iota {
    fn run(&self, run: &Run<'_>, io: Io<'_, '_>) -> Result<(), Fault> {
        const TASK: usize = 1 << 15;
        let size = self.dtype.size();
        let cast = Cast { from: DType::I64, to: self.dtype };
        run.chunks(&mut *io.outputs[0], TASK * size, |task, out| {
            for i in 0..out.len() / size {
                let index = ((task * TASK + i) / self.inner % self.length) as i64;
                let view = View { dtype: DType::I64, bytes: bytemuck::bytes_of(&index) };
                cast.convert(view, 0, out, i);
            }
        })
    }
}

/// Sines and cosines of times at falling frequencies; the arithmetic is in `f64`, as there are few.
pub(crate) struct Sinusoidal {
    pub(crate) dim: usize,
    /// The logarithm of the longest period, over the number of steps.
    pub(crate) slope: f64,
    pub(crate) scale: f64,
    pub(crate) cosines_first: bool,
}

impl Kernel for Sinusoidal {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let times = io.f32(0);
        let half = self.dim / 2;
        run.chunks(io.out::<f32>(), self.dim, |task, out| {
            for i in 0..half {
                let angle = self.scale * f64::from(times[task]) * (-self.slope * i as f64).exp();
                let (sin, cos) = angle.sin_cos();
                let (first, second) = if self.cosines_first { (cos, sin) } else { (sin, cos) };
                (out[i], out[half + i]) = (first as f32, second as f32);
            }
            out[2 * half..].fill(0.0);
        })
    }
}

/// T5's buckets of relative positions, `[queries, keys]`.
pub(crate) struct RelativeBuckets {
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    /// The buckets of one direction.
    pub(crate) count: i64,
    /// Distances below this have a bucket each.
    pub(crate) exact: i64,
    pub(crate) max_distance: i64,
    pub(crate) bidirectional: bool,
}

impl RelativeBuckets {
    /// The bucket of a key so far after the query.
    fn bucket(&self, distance: i64) -> i64 {
        match (self.bidirectional, distance > 0) {
            (true, true) => self.count + self.of_magnitude(distance),
            (false, true) => 0,
            _ => self.of_magnitude(-distance),
        }
    }

    fn of_magnitude(&self, distance: i64) -> i64 {
        if distance < self.exact {
            return distance;
        }
        let log = |d: i64| (d as f64 / self.exact as f64).ln();
        let share = log(distance) / log(self.max_distance) * (self.count - self.exact) as f64;
        self.exact.saturating_add(share as i64).min(self.count - 1)
    }
}

impl Kernel for RelativeBuckets {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        if self.queries == 0 || self.keys == 0 {
            return Ok(());
        }
        // One entry for each distance, from that of the last query to the first key on.
        let least = 1 - self.queries as i64;
        let table: Vec<i64> = (least..self.keys as i64).map(|d| self.bucket(d)).collect();
        run.chunks(io.out::<i64>(), self.keys, |query, out| {
            let start = self.queries - 1 - query;
            out.copy_from_slice(&table[start..start + self.keys]);
        })
    }
}
