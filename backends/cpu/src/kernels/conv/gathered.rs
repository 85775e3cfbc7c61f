//! Transposed convolution: what each tap meets is gathered for a block of positions, and multiplied.

use crate::mat::{Mat, MatMut, product};
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

/// Inputs: X, W with channels exchanged, `[groups, out, in, taps...]`, and, if any, the bias.
pub(crate) struct Gathered {
    pub(crate) groups: usize,
    /// Channels of one group.
    pub(crate) channels_in: usize,
    pub(crate) channels_out: usize,
    /// Three axes, the unused leading ones of size 1.
    pub(crate) axes: [Axis; 3],
    pub(crate) bias: bool,
}

/// The most elements of gathered input at a time: three quarters of a megabyte, so that it stays in the
/// second-level cache beside the packed copy of it.
const GATHERED: usize = 3 << 16;

impl Gathered {
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

impl Kernel for Gathered {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (x, weight) = (io.f32(0), io.f32(1));
        let bias = self.bias.then(|| io.f32(2));
        let (inner, outputs, tile) = (self.inner(), self.outputs(), self.tile());
        let image = self.channels_out * outputs;
        if image == 0 {
            return Ok(());
        }
        let mut tiles = Vec::new();
        for (i, out) in io.out::<f32>().chunks_exact_mut(image).enumerate() {
            let parts = MatMut::new(out, self.channels_out, outputs, outputs).tiles(usize::MAX, tile);
            tiles.extend(parts.into_iter().enumerate().map(|(t, part)| (i, t * tile, part)));
        }
        let input = self.channels_in * self.inputs();
        run.each(tiles, |_, (image, start, mut out)| {
            let (group, positions) = (image % self.groups, out.col_count());
            let weight = &weight[group * self.channels_out * inner..][..self.channels_out * inner];
            if let Some(bias) = bias {
                let bias = &bias[group * self.channels_out..(group + 1) * self.channels_out];
                bias.iter().enumerate().for_each(|(o, &b)| out.row(o).fill(b));
            }
            with_scratch(inner * positions, |gathered| {
                self.gather(&x[image * input..(image + 1) * input], start, positions, gathered);
                let gathered = Mat::dense(gathered, inner, positions);
                product(out, bias.is_some(), Mat::dense(weight, self.channels_out, inner), gathered);
            });
        })
    }

    fn scratch(&self) -> usize {
        self.inner() * self.tile()
    }
}
