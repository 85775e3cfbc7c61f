//! Linear layers: `X [rows, inner]` by `W [out, inner]`, the weight in any float type.

use super::dots::{self, Dots};
use crate::mat::{Mat, MatMut, product};
use crate::memory::Floats;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};
use crate::simd::Level;
#[cfg(target_arch = "x86_64")]
use {
    super::dots::Wide,
    super::weights_left::{self, WeightsLeft},
};

/// The most elements of a weight panel that are widened at a time: half a megabyte.
const PANEL: usize = 1 << 17;
/// The rows and output features of one task.
const ROWS: usize = 512;
const COLS: usize = 512;

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
    /// The output features of one task: fewer where there are few rows to share the work.
    fn cols(&self) -> usize {
        if self.rows > ROWS { COLS } else { COLS / 2 }.min(self.out.max(1))
    }

    /// The input features of one panel.
    fn depth(&self) -> usize {
        (PANEL / self.cols()).min(self.inner)
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
        if self.inner == 0 {
            if bias.is_none() {
                (0..rows).for_each(|r| out.row(r).fill(0.0));
            }
            return;
        }
        let x = Mat::dense(&x[at.0 * self.inner..], rows, self.inner);
        let weight = weight.slice(at.1 * self.inner, cols * self.inner);
        if let Some(weight) = weight.as_f32() {
            return product(out, bias.is_some(), x, Mat::dense(weight, cols, self.inner).transposed());
        }
        with_scratch(cols * self.depth(), |wide| {
            for start in (0..self.inner).step_by(self.depth()) {
                let depth = self.depth().min(self.inner - start);
                for (col, wide) in wide.chunks_exact_mut(depth).take(cols).enumerate() {
                    weight.slice(col * self.inner + start, depth).widen_into(wide);
                }
                let panel = Mat::dense(wide, cols, depth).transposed();
                product(out.reborrow(), bias.is_some() || start > 0, x.cols(start..start + depth), panel);
            }
        });
    }
}

/// Up to so many rows the weight is not packed for a product, which would take as long as the product.
const FEW: usize = 32;
/// The most elements of a weight that are widened at a time for few rows, so that they are read again from the nearest cache.
const NEAR: usize = 6 << 10;

impl Linear {
    /// All rows by some of the weight's.
    fn dots(&self, level: Level, x: &[f32], weight: Floats<'_>, out: MatMut<'_>) {
        let (a, inner) = (x, self.inner);
        match (weight, level) {
            (Floats::F32(b), _) => level.run(Dots { a, b, inner, out }),
            #[cfg(target_arch = "x86_64")]
            (Floats::F16(b), Level::Avx512(simd)) => {
                simd.vectorize(Wide { simd, dots: Dots { a, b, inner, out } });
            }
            #[cfg(target_arch = "x86_64")]
            (Floats::BF16(b), Level::Avx512(simd)) => {
                simd.vectorize(Wide { simd, dots: Dots { a, b, inner, out } });
            }
            _ => self.widened_dots(level, x, weight, out),
        }
    }

    /// The same, with a few rows of the weight widened at a time.
    fn widened_dots(&self, level: Level, x: &[f32], weight: Floats<'_>, out: MatMut<'_>) {
        let near = self.near_cols();
        with_scratch(near.min(out.col_count()) * self.inner, |wide| {
            for (i, tile) in out.tiles(self.rows, near).into_iter().enumerate() {
                let wide = &mut wide[..tile.col_count() * self.inner];
                weight.slice(i * near * self.inner, wide.len()).widen_into(wide);
                level.run(Dots { a: x, b: &*wide, inner: self.inner, out: tile });
            }
        });
    }

    /// The output features of one task when there are few rows.
    fn few_cols(&self) -> usize {
        (PANEL / 2 / self.inner.max(1)).clamp(1, COLS)
    }

    /// The output features whose weights are widened at a time when there are few rows: whole tiles of dot products.
    fn near_cols(&self) -> usize {
        let near = NEAR / self.inner.max(1);
        (near - near % dots::COLS).max(dots::COLS)
    }

    fn few_rows(
        &self,
        run: &Run<'_>,
        x: &[f32],
        weight: Floats<'_>,
        bias: Option<&[f32]>,
        out: MatMut<'_>,
    ) -> Result<(), Fault> {
        let few = self.few_cols();
        run.each(out.tiles(self.rows, few), |task, mut out| {
            let (first, cols) = (task * few, out.col_count());
            let own = weight.slice(first * self.inner, cols * self.inner);
            self.dots(run.level, x, own, out.reborrow());
            if let Some(bias) = bias {
                for r in 0..self.rows {
                    out.row(r).iter_mut().zip(&bias[first..]).for_each(|(o, b)| *o += b);
                }
            }
        })
    }
}

/// What a task does at least by the tile of convolutions, in multiply-adds: several times what turning its rows of X takes.
#[cfg(target_arch = "x86_64")]
const LEAST: usize = 3 << 19;
/// The rows that are worth a thread of their own.
#[cfg(target_arch = "x86_64")]
const BAND: usize = 48;

#[cfg(target_arch = "x86_64")]
impl Linear {
    /// The output features of one task: an even share where there is work for few. How many there are does not change in which order
    /// a sum is made, so it may depend on the threads.
    fn left_cols(&self, threads: usize) -> usize {
        let rows = self.left_rows(threads);
        let most = (weights_left::RESULTS / rows).min(weights_left::COLS);
        let shares = if self.rows.div_ceil(rows).is_multiple_of(threads) {
            self.out.div_ceil(most).max(1)
        } else {
            let work = rows * self.inner * self.out;
            (work / LEAST).clamp(1, 2 * threads).next_multiple_of(threads)
        };
        self.out.div_ceil(shares).next_multiple_of(8).clamp(8, most)
    }

    /// The rows of one task, of which there are about as many in each.
    fn left_rows(&self, threads: usize) -> usize {
        let bands = self.rows.div_ceil(weights_left::ROWS).max(1);
        // Where nothing is stolen, rows that a thread computes are those that it reads in the next step, from its own cache.
        let own = if self.rows >= BAND * threads { bands.next_multiple_of(threads) } else { bands };
        self.rows.div_ceil(own).next_multiple_of(16)
    }

    fn weights_left(
        &self,
        run: &Run<'_>,
        simd: pulp::x86::V4,
        x: &[f32],
        weight: Floats<'_>,
        bias: Option<&[f32]>,
        out: MatMut<'_>,
    ) -> Result<(), Fault> {
        let cols = self.left_cols(run.threads);
        let across = self.out.div_ceil(cols).max(1);
        let band = self.left_rows(run.threads);
        run.each(out.tiles(band, cols), |i, out| {
            let (row, col) = (i / across * band, i % across * cols);
            let (rows, cols, inner) = (out.row_count(), out.col_count(), self.inner);
            with_scratch(weights_left::scratch(rows, cols, inner), |scratch| {
                simd.vectorize(WeightsLeft {
                    simd,
                    x: &x[row * inner..][..rows * inner],
                    weight: weight.slice(col * inner, cols * inner),
                    bias: bias.map(|bias| &bias[col..col + cols]),
                    inner,
                    out,
                    scratch,
                });
            });
        })
    }
}

impl Kernel for Linear {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (x, weight) = (io.f32(0), Floats::of(io.inputs[1]));
        let bias = self.bias.then(|| io.f32(2));
        if self.rows <= FEW {
            return self.few_rows(run, x, weight, bias, MatMut::new(io.out(), self.rows, self.out, self.out));
        }
        #[cfg(target_arch = "x86_64")]
        if let Level::Avx512(simd) = run.level {
            let out = MatMut::new(io.out(), self.rows, self.out, self.out);
            return self.weights_left(run, simd, x, weight, bias, out);
        }
        let cols = self.cols();
        let across = self.out.div_ceil(cols).max(1);
        let tiles = MatMut::new(io.out(), self.rows, self.out, self.out).tiles(ROWS, cols);
        run.each(tiles, |i, tile| {
            self.tile(x, weight, bias, (i / across * ROWS, i % across * cols), tile);
        })
    }

    fn scratch(&self) -> usize {
        if self.rows <= FEW {
            return if self.widen { self.near_cols().min(self.out) * self.inner } else { 0 };
        }
        let panel = if self.widen { self.cols() * self.depth() } else { 0 };
        // An option may ask for a lesser level than the best.
        #[cfg(target_arch = "x86_64")]
        if let Level::Avx512(_) = Level::best() {
            return weights_left::most_scratch(self.rows, self.out, self.inner).max(panel);
        }
        panel
    }
}
