//! Linear layers: `X [rows, inner]` by `W [out, inner]`, the weight in any float type.

use crate::mat::{Mat, MatMut, product};
use crate::memory::Floats;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};

/// The most elements of a weight panel that are widened at a time: half a megabyte.
const PANEL: usize = 1 << 17;
/// The rows of one task.
const ROWS: usize = 512;

/// Inputs: X, W and, if any, the bias.
pub(crate) struct Linear {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) out: usize,
    pub(crate) bias: bool,
    /// Whether the weight is widened, panel by panel.
    pub(crate) widen: bool,
}

impl Linear {
    /// The output features of one task.
    fn cols(&self) -> usize {
        (PANEL / self.inner.max(1)).next_multiple_of(16).clamp(64, 512)
    }

    fn tile(
        &self,
        x: &[f32],
        weight: Floats<'_>,
        bias: Option<&[f32]>,
        at: (usize, usize),
        mut out: MatMut<'_>,
    ) {
        let (rows, cols) = (out.row_count(), out.col_count());
        if let Some(bias) = bias {
            (0..rows).for_each(|r| out.row(r).copy_from_slice(&bias[at.1..at.1 + cols]));
        }
        let x = Mat::dense(&x[at.0 * self.inner..], rows, self.inner);
        let panel = weight.slice(at.1 * self.inner, cols * self.inner);
        match panel.as_f32() {
            Some(panel) => product(out, bias.is_some(), x, Mat::dense(panel, cols, self.inner).transposed()),
            None => with_scratch(cols * self.inner, |wide| {
                panel.widen_into(wide);
                product(out, bias.is_some(), x, Mat::dense(wide, cols, self.inner).transposed());
            }),
        }
    }
}

impl Kernel for Linear {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (x, weight) = (io.f32(0), Floats::of(io.inputs[1]));
        let bias = self.bias.then(|| io.f32(2));
        let cols = self.cols();
        let across = self.out.div_ceil(cols).max(1);
        let tiles = MatMut::new(io.out(), self.rows, self.out, self.out).tiles(ROWS, cols);
        run.each(tiles, |i, tile| {
            self.tile(x, weight, bias, (i / across * ROWS, i % across * cols), tile);
        })
    }

    fn scratch(&self) -> usize {
        if self.widen { self.cols().min(self.out) * self.inner } else { 0 }
    }
}
