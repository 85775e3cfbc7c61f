//! Linear layers.

use super::dot::Product;
use super::functions::{add, clean, mul};
use super::{CHUNK, Precision};
use crate::kernels::micro::GROUP;
use crate::mat::MatMut;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};

/// The rows and columns of one task: multiples of what a tile of registers holds.
const ROWS: usize = 48;
const COLUMNS: usize = 256;

/// Inputs: pairs and units of X's rows, pairs and units of W's, and, if any, the bias. The pairs of W lie in panels of
/// [`GROUP`] rows: `[panels, (inner + 1) / 2, GROUP]`.
pub(crate) struct Linear {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) out: usize,
    pub(crate) precision: Precision,
    pub(crate) bias: bool,
}

impl Kernel for Linear {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (x, x_units) = (io.inputs[0].of::<i32>(), io.f32(1));
        let (w, w_units) = (io.inputs[2].of::<i32>(), io.f32(3));
        let bias = self.bias.then(|| io.f32(4));
        let half = self.inner.div_ceil(2);
        let offsets: Vec<usize> = (0..half.min(CHUNK / 2)).map(|k| k * GROUP).collect();
        let columns = self.out.div_ceil(COLUMNS).max(1);
        let tiles = MatMut::new(io.out::<f32>(), self.rows, self.out, self.out).tiles(ROWS, COLUMNS);
        run.each(tiles, |i, mut tile| {
            let (first_row, first_column) = (i / columns * ROWS, i % columns * COLUMNS);
            let (rows, count) = (tile.row_count(), tile.col_count());
            let width = count.next_multiple_of(GROUP);
            let positions: Vec<usize> = (0..width / GROUP).map(|panel| panel * half * GROUP).collect();
            with_scratch(rows * width, |sums| {
                if half == 0 {
                    sums.fill(0.0);
                }
                for chunk in (0..half).step_by(CHUNK / 2) {
                    let product = Product {
                        left: &x[first_row * half + chunk..],
                        left_stride: half,
                        rows,
                        right: &w[(first_column / GROUP * half + chunk) * GROUP..],
                        offsets: &offsets[..(half - chunk).min(CHUNK / 2)],
                        positions: &positions,
                        out: sums,
                        stride: width,
                        accumulate: chunk > 0,
                        fold: self.precision.fold(),
                    };
                    product.run(run.level);
                }
                let units = &w_units[first_column..first_column + count];
                let bias = bias.map(|bias| &bias[first_column..first_column + count]);
                // Whole rows at a time: a call has its price, and a group of columns is little work.
                for (row, sums) in sums.chunks_exact(width).enumerate() {
                    let (out, unit) = (tile.row(row), x_units[first_row + row]);
                    run.level.loops(
                        #[inline(always)]
                        || finish(out, sums, unit, units, bias),
                    );
                }
            });
        })
    }

    fn scratch(&self) -> usize {
        ROWS.min(self.rows) * COLUMNS.min(self.out.next_multiple_of(GROUP))
    }
}

/// Sums in the units of both operands, with the bias.
#[inline(always)]
fn finish(out: &mut [f32], sums: &[f32], unit: f32, units: &[f32], bias: Option<&[f32]>) {
    match bias {
        None => {
            for ((out, &sum), &own) in out.iter_mut().zip(sums).zip(units) {
                *out = mul(mul(sum, unit), own);
            }
        }
        Some(bias) => {
            for (((out, &sum), &own), &bias) in out.iter_mut().zip(sums).zip(units).zip(bias) {
                *out = add(mul(mul(sum, unit), own), clean(bias));
            }
        }
    }
}
