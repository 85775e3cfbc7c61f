//! Convolutions, and transposed ones, which differ only in which element a tap meets.

use crate::mat::{Mat, MatMut, product};
use crate::memory::Floats;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};

/// Along one spatial axis, the element that each tap meets at each position; negative where there
/// is a zero.
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) taps: usize,
    /// `[taps, output]`.
    pub(crate) meets: Vec<i32>,
}

/// Inputs: X, W `[out, in / group, taps...]` and, if any, the bias.
pub(crate) struct Conv {
    pub(crate) batch: usize,
    pub(crate) groups: usize,
    /// Channels of one group.
    pub(crate) channels_in: usize,
    pub(crate) channels_out: usize,
    /// Three axes, the unused leading ones of size 1.
    pub(crate) axes: [Axis; 3],
    pub(crate) bias: bool,
    pub(crate) widen: bool,
}

/// The most elements of gathered input at a time: three quarters of a megabyte, so that it stays in the
/// second-level cache beside the packed copy of it.
const GATHERED: usize = 3 << 16;
/// The most elements of the weight that are widened at a time.
const PANEL: usize = 1 << 17;

impl Conv {
    fn taps(&self) -> usize {
        self.axes.iter().map(|a| a.taps).product()
    }

    fn inner(&self) -> usize {
        self.channels_in * self.taps()
    }

    fn inputs(&self) -> usize {
        self.axes.iter().map(|a| a.input).product()
    }

    fn outputs(&self) -> usize {
        self.axes.iter().map(|a| a.output).product()
    }

    /// The output positions of one task.
    fn tile(&self) -> usize {
        let rows = (GATHERED / self.inner().max(1)).clamp(64, 4096);
        (rows / 64 * 64).min(self.outputs().max(1))
    }

    /// The output channels whose weights are widened together.
    fn panel(&self) -> usize {
        (PANEL / self.inner().max(1)).max(8).min(self.channels_out)
    }

    /// Writes to `out`, `[inner, positions]`, what each tap of each channel meets at the positions
    /// from `start` on.
    fn gather(&self, x: &[f32], start: usize, positions: usize, out: &mut [f32]) {
        let [a, b, c] = &self.axes;
        let rows = out.chunks_exact_mut(positions);
        for (row, out) in rows.enumerate() {
            let (channel, tap) = (row / self.taps(), row % self.taps());
            let (ka, kb, kc) = (tap / (b.taps * c.taps), tap / c.taps % b.taps, tap % c.taps);
            let x = &x[channel * self.inputs()..(channel + 1) * self.inputs()];
            let line = &c.meets[kc * c.output..(kc + 1) * c.output];
            let mut done = 0;
            while done < positions {
                let at = start + done;
                let (oa, ob, oc) = (at / (b.output * c.output), at / c.output % b.output, at % c.output);
                let len = (c.output - oc).min(positions - done);
                let out = &mut out[done..done + len];
                let (ia, ib) = (a.meets[ka * a.output + oa], b.meets[kb * b.output + ob]);
                match (usize::try_from(ia), usize::try_from(ib)) {
                    (Ok(ia), Ok(ib)) => {
                        let from = (ia * b.input + ib) * c.input;
                        gather_line(&x[from..from + c.input], &line[oc..oc + len], out);
                    }
                    _ => out.fill(0.0),
                }
                done += len;
            }
        }
    }

    /// The product of the weights of a group with gathered input.
    fn multiply(
        &self,
        weight: Floats<'_>,
        bias: Option<&[f32]>,
        gathered: Mat<'_>,
        mut out: MatMut<'_>,
        wide: &mut [f32],
    ) {
        if let Some(bias) = bias {
            bias.iter().enumerate().for_each(|(o, &b)| out.row(o).fill(b));
        }
        let inner = self.inner();
        if let Some(weight) = weight.as_f32() {
            return product(out, bias.is_some(), Mat::dense(weight, self.channels_out, inner), gathered);
        }
        for (i, out) in out.tiles(self.panel(), usize::MAX).into_iter().enumerate() {
            let rows = out.row_count();
            let wide = &mut wide[..rows * inner];
            weight.slice(i * self.panel() * inner, rows * inner).widen_into(wide);
            product(out, bias.is_some(), Mat::dense(wide, rows, inner), gathered);
        }
    }

    /// Whether the gathered input would be the input itself.
    fn pointwise(&self) -> bool {
        self.axes.iter().all(|a| {
            a.taps == 1 && a.input == a.output && a.meets.iter().enumerate().all(|(o, &i)| i as usize == o)
        })
    }
}

/// One line: a contiguous stretch between zeros is copied, anything else picked element by element.
fn gather_line(x: &[f32], meets: &[i32], out: &mut [f32]) {
    let zeros = meets.iter().take_while(|&&i| i < 0).count();
    let ends = meets[zeros..].iter().rev().take_while(|&&i| i < 0).count();
    let middle = &meets[zeros..meets.len() - ends];
    if middle.windows(2).all(|pair| pair[1] == pair[0] + 1) {
        out[..zeros].fill(0.0);
        out[meets.len() - ends..].fill(0.0);
        if let Some(&first) = middle.first() {
            let stretch = &mut out[zeros..zeros + middle.len()];
            stretch.copy_from_slice(&x[first as usize..first as usize + middle.len()]);
        }
        return;
    }
    for (o, &i) in out.iter_mut().zip(meets) {
        *o = usize::try_from(i).map_or(0.0, |i| x[i]);
    }
}

impl Kernel for Conv {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (x, weight) = (io.f32(0), Floats::of(io.inputs[1]));
        let bias = self.bias.then(|| io.f32(2));
        let (inner, outputs, tile) = (self.inner(), self.outputs(), self.tile());
        let image = self.channels_out * outputs;
        if image == 0 {
            return Ok(());
        }
        let pointwise = self.pointwise();
        let mut tiles = Vec::new();
        for (i, out) in io.out::<f32>().chunks_exact_mut(image).enumerate() {
            let parts = MatMut::new(out, self.channels_out, outputs, outputs).tiles(usize::MAX, tile);
            tiles.extend(parts.into_iter().enumerate().map(|(t, part)| (i, t * tile, part)));
        }
        run.each(tiles, |_, (image, start, out)| {
            let group = image % self.groups;
            let positions = out.col_count();
            let x = &x[image * self.channels_in * self.inputs()..][..self.channels_in * self.inputs()];
            let weight = weight.slice(group * self.channels_out * inner, self.channels_out * inner);
            let bias = bias.map(|b| &b[group * self.channels_out..(group + 1) * self.channels_out]);
            with_scratch(self.scratch(), |scratch| {
                let (gathered, wide) = scratch.split_at_mut(self.gathered());
                let matrix = if pointwise {
                    Mat::dense(x, inner, outputs).cols(start..start + positions)
                } else {
                    let gathered = &mut gathered[..inner * positions];
                    self.gather(x, start, positions, gathered);
                    Mat::dense(gathered, inner, positions)
                };
                self.multiply(weight, bias, matrix, out, wide);
            });
        })
    }

    fn scratch(&self) -> usize {
        self.gathered() + if self.widen { self.panel() * self.inner() } else { 0 }
    }
}

impl Conv {
    fn gathered(&self) -> usize {
        if self.pointwise() { 0 } else { self.inner() * self.tile() }
    }
}
