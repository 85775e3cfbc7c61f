//! Rotary position embeddings.

use crate::run::{Fault, Io, Kernel, Run};

/// Inputs: X, cos, sin. X is `[batch, heads, length, size]`, or `[batch, length, heads, size]`
/// when it is packed.
pub(crate) struct Rotary {
    pub(crate) heads: usize,
    pub(crate) length: usize,
    pub(crate) size: usize,
    pub(crate) packed: bool,
    /// The rotated pairs of each head.
    pub(crate) pairs: usize,
    pub(crate) interleaved: bool,
    /// For cos and sin, the elements from one batch item's table to the next's.
    pub(crate) table: [usize; 2],
}

impl Rotary {
    fn row(&self, x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
        let pairs = self.pairs;
        if self.interleaved {
            for (((o, x), c), s) in out.chunks_exact_mut(2).zip(x.chunks_exact(2)).zip(cos).zip(sin) {
                (o[0], o[1]) = (x[0] * c - x[1] * s, x[1] * c + x[0] * s);
            }
        } else {
            let (out_a, out_b) = out.split_at_mut(pairs);
            let (a, b) = x.split_at(pairs);
            for i in 0..pairs {
                out_a[i] = a[i] * cos[i] - b[i] * sin[i];
                out_b[i] = b[i] * cos[i] + a[i] * sin[i];
            }
        }
        out[2 * pairs..].copy_from_slice(&x[2 * pairs..]);
    }

    /// Batch item and position of a row of one head.
    fn place(&self, row: usize) -> (usize, usize) {
        if self.packed {
            (row / self.heads / self.length, row / self.heads % self.length)
        } else {
            (row / self.length / self.heads, row % self.length)
        }
    }
}

impl Kernel for Rotary {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (x, cos, sin) = (io.f32(0), io.f32(1), io.f32(2));
        if x.is_empty() {
            return Ok(());
        }
        let rows = ((1 << 14) / self.size).max(1);
        run.chunks(io.out::<f32>(), rows * self.size, |task, out| {
            run.level.loops(
                #[inline(always)]
                || {
                    for (i, out) in out.chunks_exact_mut(self.size).enumerate() {
                        let row = task * rows + i;
                        let (batch, position) = self.place(row);
                        let table = |t: usize| batch * self.table[t] + position * self.pairs;
                        let cos = &cos[table(0)..][..self.pairs];
                        let sin = &sin[table(1)..][..self.pairs];
                        self.row(&x[row * self.size..][..self.size], cos, sin, out);
                    }
                },
            );
        })
    }
}
