//! Reproducible convolution: as [`direct`](super::direct), with a copy in pairs of channels.

use super::axis::Image;
use super::direct::{Columns, Copy, Direct};
use crate::kernels::exact::dot::Product;
use crate::kernels::exact::functions::{add, clean, mul, pair, scale};
use crate::kernels::exact::{CHUNK, Precision};
use crate::kernels::micro::GROUP;
use crate::mat::BoxMut;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};

/// The pairs of the copy that are aimed at: a quarter of a megabyte.
const COPY: usize = 1 << 16;
/// The longest stretch of the last axis.
const LINE: usize = 512;

/// Inputs: X, the largest magnitude of each item and group of it, pairs and units of the kernels, and, if any, the bias.
pub(crate) struct Exact {
    pub(crate) direct: Direct,
    pub(crate) precision: Precision,
}

/// The chunks of channels whose terms are added exactly.
pub(crate) fn chunks(channels: usize, taps: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let size = (CHUNK / taps.max(1)).max(1);
    (0..channels).step_by(size).map(move |start| start..(start + size).min(channels))
}

/// The pairs of one kernel: each chunk of channels is filled up to an even number.
pub(crate) fn kernel_pairs(channels: usize, taps: usize) -> usize {
    chunks(channels, taps).map(|chunk| chunk.len().div_ceil(2) * taps).sum()
}

/// Packs a kernel `[channels, taps]` in the order of [`kernel_pairs`].
pub(crate) fn pack_kernel(kernel: &[f32], channels: usize, taps: usize, up: f32, out: &mut [i32]) {
    let mut out = out.iter_mut();
    for chunk in chunks(channels, taps) {
        for channel in chunk.clone().step_by(2) {
            for (tap, out) in out.by_ref().take(taps).enumerate() {
                let odd = if channel + 1 < chunk.end { kernel[(channel + 1) * taps + tap] * up } else { 0.0 };
                *out = pair(kernel[channel * taps + tap] * up, odd);
            }
        }
    }
}

/// What one task computes: some positions of one image and group.
struct Part<'a> {
    x: Image<'a>,
    up: f32,
    unit: f32,
    weight: &'a [i32],
    units: &'a [f32],
    bias: Option<&'a [f32]>,
    /// The first output position along each axis.
    start: [usize; 3],
}

impl Exact {
    /// The channels of the largest chunk.
    fn most_channels(&self) -> usize {
        chunks(self.direct.channels_in, self.direct.taps()).map(|c| c.len()).max().unwrap_or(0)
    }

    /// The output positions of one task along each axis.
    fn part(&self) -> [usize; 3] {
        let most = (COPY / self.most_channels().div_ceil(2).max(1))
            .min(COPY / self.direct.channels_out.max(1))
            .clamp(64, 1536);
        self.direct.part_of(most, LINE)
    }

    fn task(&self, run: &Run<'_>, part: &Part<'_>, mut out: BoxMut<'_>) {
        let [_, d, h, w] = out.dims();
        let direct = &self.direct;
        let copy = direct.copy([d, h, w]);
        let columns = Columns::new(&copy, [d, h, w]);
        let (taps, stride) = (direct.taps(), kernel_pairs(direct.channels_in, direct.taps()));
        with_scratch(self.scratch_of(&copy, &columns), |scratch| {
            let (lines, rest) = scratch.split_at_mut(2 * copy.channel());
            let (pairs, results) =
                rest.split_at_mut(self.most_channels().div_ceil(2) * copy.channel() + GROUP);
            let pairs: &mut [i32] = bytemuck::cast_slice_mut(pairs);
            // The last groups reach beyond the copy: what lies there must not overflow, though nobody reads the sums.
            let end = pairs.len() - GROUP;
            pairs[end..].fill(0);
            let results = &mut results[..direct.channels_out * columns.width()];
            if direct.channels_in == 0 {
                results.fill(0.0);
            }
            let mut done = 0;
            for chunk in chunks(direct.channels_in, taps) {
                for (channel, pairs) in chunk.clone().step_by(2).zip(pairs.chunks_exact_mut(copy.channel())) {
                    let channels = channel..(channel + 2).min(chunk.end);
                    direct.fill(part.x, channels.clone(), part.start, &copy, lines);
                    let (even, odd) = lines.split_at(copy.channel());
                    let (both, up) = (channels.len() == 2, part.up);
                    run.level.loops(
                        #[inline(always)]
                        || pack(pairs, even, odd, both, up),
                    );
                }
                let offsets = direct.offsets(&copy, chunk.len().div_ceil(2));
                let product = Product {
                    left: &part.weight[done..],
                    left_stride: stride,
                    rows: direct.channels_out,
                    right: pairs,
                    offsets: &offsets,
                    positions: &columns.positions,
                    out: results,
                    stride: columns.width(),
                    accumulate: done > 0,
                    fold: self.precision.fold(),
                };
                product.run(run.level);
                done += offsets.len();
            }
            self.store(run, part, &columns, results, &mut out);
        });
    }

    /// Moves the results to the output, in the units of both operands and with the bias.
    fn store(
        &self,
        run: &Run<'_>,
        part: &Part<'_>,
        columns: &Columns,
        results: &[f32],
        out: &mut BoxMut<'_>,
    ) {
        let [channels, d, h, w] = out.dims();
        for channel in 0..channels {
            let row = &results[channel * columns.width()..][..columns.width()];
            let (unit, own) = (part.unit, part.units[channel]);
            let bias = part.bias.map(|b| clean(b[channel]));
            for line in 0..d * h {
                let from = &row[columns.starts[line]..][..w];
                let to = out.line([channel, line / h, line % h]);
                run.level.loops(
                    #[inline(always)]
                    || match bias {
                        None => to.iter_mut().zip(from).for_each(|(o, &v)| *o = mul(mul(v, unit), own)),
                        Some(b) => {
                            to.iter_mut().zip(from).for_each(|(o, &v)| *o = add(mul(mul(v, unit), own), b))
                        }
                    },
                );
            }
        }
    }

    fn scratch_of(&self, copy: &Copy, columns: &Columns) -> usize {
        let copied = (2 + self.most_channels().div_ceil(2)) * copy.channel() + GROUP;
        copied + self.direct.channels_out * columns.width()
    }
}

/// Two channels in pairs, or one with zeros.
#[inline(always)]
fn pack(pairs: &mut [i32], even: &[f32], odd: &[f32], both: bool, up: f32) {
    if both {
        for ((out, &even), &odd) in pairs.iter_mut().zip(even).zip(odd) {
            *out = pair(even * up, odd * up);
        }
    } else {
        pairs.iter_mut().zip(even).for_each(|(out, &even)| *out = pair(even * up, 0.0));
    }
}

impl Kernel for Exact {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (x, largest) = (io.f32(0), io.f32(1));
        let (weight, units) = (io.inputs[2].of::<i32>(), io.f32(3));
        let bias = self.direct.bias.then(|| io.f32(4));
        let direct = &self.direct;
        let [d, h, w] = std::array::from_fn(|a| direct.axes[a].output);
        let image = direct.channels_out * d * h * w;
        if image == 0 {
            return Ok(());
        }
        let parts = super::direct::parts(io.out::<f32>(), [direct.channels_out, d, h, w], self.part());
        let pairs = kernel_pairs(direct.channels_in, direct.taps());
        run.each(parts, |_, (image, start, out)| {
            let channels = image % direct.groups * direct.channels_out
                ..(image % direct.groups + 1) * direct.channels_out;
            let (up, unit) = scale(largest[image], self.precision);
            let part = Part {
                x: Image::new(x, None, &direct.axes, (image, direct.channels_in)),
                up,
                unit,
                weight: &weight[channels.start * pairs..channels.end * pairs],
                units: &units[channels.clone()],
                bias: bias.map(|b| &b[channels]),
                start,
            };
            self.task(run, &part, out);
        })
    }

    fn scratch(&self) -> usize {
        let size = self.part();
        let dims = std::array::from_fn(|a| size[a].min(self.direct.axes[a].output.max(1)));
        let copy = self.direct.copy(dims);
        self.scratch_of(&copy, &Columns::new(&copy, dims))
    }
}
