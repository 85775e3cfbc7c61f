//! Matrix products with broadcast leading axes.

use crate::layout::Walk;
use crate::mat::{Mat, MatMut, product};
use crate::memory::Floats;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};

/// The most elements of the second operand that are widened at a time.
const PANEL: usize = 1 << 17;
/// The rows of one task.
const ROWS: usize = 256;

/// `[..., rows, inner]` by `[..., inner, cols]`; the second operand may be of any float type.
pub(crate) struct MatMul {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) cols: usize,
    /// The leading axes; operands in units of whole matrices.
    pub(crate) lead: Walk,
    pub(crate) widen: bool,
}

impl MatMul {
    /// The columns of one task.
    fn block(&self) -> usize {
        (PANEL / self.inner.max(1)).next_multiple_of(16).clamp(64, 1024)
    }

    fn tile(&self, a: Mat<'_>, b: Floats<'_>, from: usize, out: MatMut<'_>) {
        let cols = out.col_count();
        if let Some(b) = b.as_f32() {
            return product(out, false, a, Mat::dense(b, self.inner, self.cols).cols(from..from + cols));
        }
        with_scratch(self.inner * cols, |wide| {
            for (k, row) in wide.chunks_exact_mut(cols).enumerate() {
                b.slice(k * self.cols + from, cols).widen_into(row);
            }
            product(out, false, a, Mat::dense(wide, self.inner, cols));
        });
    }
}

impl Kernel for MatMul {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (a, b) = (io.f32(0), Floats::of(io.inputs[1]));
        let matrix = self.rows * self.cols;
        if matrix == 0 {
            return Ok(());
        }
        let block = self.block();
        let mut tiles = Vec::new();
        for (i, out) in io.out::<f32>().chunks_exact_mut(matrix).enumerate() {
            let a_at = self.lead.offset(0, i) as usize * self.rows * self.inner;
            let b_at = self.lead.offset(1, i) as usize * self.inner * self.cols;
            let across = self.cols.div_ceil(block);
            for (t, tile) in
                MatMut::new(out, self.rows, self.cols, self.cols).tiles(ROWS, block).into_iter().enumerate()
            {
                tiles.push((a_at + t / across * ROWS * self.inner, b_at, t % across * block, tile));
            }
        }
        run.each(tiles, |_, (a_at, b_at, from, tile)| {
            let a = Mat::dense(&a[a_at..], tile.row_count(), self.inner);
            self.tile(a, b.slice(b_at, self.inner * self.cols), from, tile);
        })
    }

    fn scratch(&self) -> usize {
        if self.widen { self.block().min(self.cols) * self.inner } else { 0 }
    }
}
