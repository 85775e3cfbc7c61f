//! Convolution without gathering: a part of the input is copied once, padded, and every tap of every
//! channel is an offset into that copy.
//!
//! With strides the copy is divided into planes, one for each remainder of a position by the
//! stride, so that neighbouring outputs still meet neighbouring elements.

use std::ops::Range;

use super::axis::{Axis, Image};
use crate::kernels::micro::{GROUP, Left, Product};
use crate::mat::BoxMut;
use crate::memory::Floats;
use crate::run::{Fault, Io, Kernel, Run, with_scratch};

/// The elements of the padded copy at a time: half a megabyte, a part of a second-level cache.
const COPY: usize = 1 << 17;
/// The elements of results at a time.
const RESULTS: usize = 1 << 17;
/// The elements of the weight that are widened at a time. Of so many output channels at least: fewer would not share enough
/// of what is read of the copy.
const PANEL: usize = 1 << 16;
const PANEL_ROWS: usize = 48;
/// The longest stretch of the last axis, and the output positions that are aimed at.
const LINE: usize = 512;
const POSITIONS: usize = 1536;

/// Inputs: X, W `[out, in / group, taps...]` and, if any, the bias.
pub(crate) struct Direct {
    pub(crate) groups: usize,
    /// Channels of one group.
    pub(crate) channels_in: usize,
    pub(crate) channels_out: usize,
    /// Three axes, the unused leading ones of size 1.
    pub(crate) axes: [Axis; 3],
    pub(crate) bias: bool,
    pub(crate) widen: bool,
    /// How long the first input is along the first axis, where a second one, the last of all, comes behind it.
    pub(crate) first: Option<usize>,
}

/// What one task computes: some positions of one image and group.
struct Part<'a> {
    x: Image<'a>,
    weight: Floats<'a>,
    bias: Option<&'a [f32]>,
    /// The first output position along each axis.
    start: [usize; 3],
}

/// How the copy of a part lies: `[channels, planes, extents...]`.
pub(super) struct Copy {
    extents: [usize; 3],
    phases: [Vec<usize>; 3],
}

impl Copy {
    fn plane(&self) -> usize {
        self.extents.iter().product()
    }

    pub(super) fn channel(&self) -> usize {
        self.phases.iter().map(Vec::len).product::<usize>() * self.plane()
    }

    fn line_offset(&self, i: usize, j: usize) -> usize {
        (i * self.extents[1] + j) * self.extents[2]
    }
}

impl Direct {
    pub(super) fn taps(&self) -> usize {
        self.axes.iter().map(|a| a.taps).product()
    }

    fn inner(&self) -> usize {
        self.channels_in * self.taps()
    }

    /// The output positions of one task along each axis.
    fn part(&self) -> [usize; 3] {
        let most = POSITIONS.min((RESULTS / self.channels_out.max(1)).max(64));
        self.part_of(most, LINE)
    }

    /// At most so many output positions, in lines of at most that length.
    pub(super) fn part_of(&self, most: usize, line: usize) -> [usize; 3] {
        let [a, b, c] = &self.axes;
        let line = c.output.min(line).min(most).max(1);
        let lines = (most / line).max(1);
        // Along an axis with taps a long part shares more of the copy.
        if a.taps > 1 && b.taps == 1 {
            let depth = a.output.min(lines).max(1);
            [depth, (lines / depth).clamp(1, b.output.max(1)), line]
        } else {
            let height = b.output.min(lines).max(1);
            [(lines / height).clamp(1, a.output.max(1)), height, line]
        }
    }

    pub(super) fn copy(&self, dims: [usize; 3]) -> Copy {
        let extents = std::array::from_fn(|a| self.axes[a].extent(dims[a]));
        Copy { extents, phases: std::array::from_fn(|a| self.axes[a].phases()) }
    }

    /// The channels that are copied together.
    fn channels(&self, copy: &Copy) -> usize {
        let widened = PANEL / PANEL_ROWS / self.taps().max(1);
        in_equal_rounds(self.channels_in, (COPY / copy.channel().max(1)).min(widened))
    }

    /// The output channels that are multiplied together, when so much of each one's weight is: as many as are widened.
    fn panel(&self, depth: usize) -> usize {
        let most = if self.widen { (PANEL / depth.max(1)).max(PANEL_ROWS) } else { self.channels_out };
        in_equal_rounds(self.channels_out, most)
    }

    /// Fills the copy of some channels.
    pub(super) fn fill(
        &self,
        x: Image<'_>,
        channels: Range<usize>,
        start: [usize; 3],
        copy: &Copy,
        out: &mut [f32],
    ) {
        let [a, b, c] = &self.axes;
        for (channel, out) in channels.zip(out.chunks_exact_mut(copy.channel().max(1))) {
            let mut planes = out.chunks_exact_mut(copy.plane());
            for (pa, pb, pc) in phases(copy) {
                let Some(plane) = planes.next() else { return };
                let first = start[2] * c.stride + pc;
                let inside = c.inside(first, copy.extents[2]);
                let mut before = None;
                for line in 0..copy.extents[0] * copy.extents[1] {
                    let (i, j) = (line / copy.extents[1], line % copy.extents[1]);
                    let i = a.source((start[0] + i) * a.stride + pa);
                    let j = b.source((start[1] + j) * b.stride + pb);
                    let (done, out) = plane.split_at_mut(line * copy.extents[2]);
                    let out = &mut out[..copy.extents[2]];
                    let from = i.zip(j);
                    match from {
                        // Where rows are shown twice.
                        Some(_) if from == before => out.copy_from_slice(&done[done.len() - out.len()..]),
                        Some((i, j)) => fill_line(x.line(channel, i, j), c, first, &inside, out),
                        None => out.fill(0.0),
                    }
                    before = from;
                }
            }
        }
    }

    /// Where each tap of so many channels lies in the copy.
    pub(super) fn offsets(&self, copy: &Copy, channels: usize) -> Vec<usize> {
        let place = |axis: usize, tap: usize| {
            let (axis, phases) = (&self.axes[axis], &copy.phases[axis]);
            let distance = tap * axis.dilation;
            let phase = phases.iter().position(|&p| p == distance % axis.stride).unwrap_or(0);
            (phase, distance / axis.stride)
        };
        let [a, b, c] = &self.axes;
        let mut offsets = Vec::with_capacity(channels * self.taps());
        for channel in 0..channels {
            for tap in 0..self.taps() {
                let (pa, ia) = place(0, tap / (b.taps * c.taps) % a.taps);
                let (pb, ib) = place(1, tap / c.taps % b.taps);
                let (pc, ic) = place(2, tap % c.taps);
                let plane = (pa * copy.phases[1].len() + pb) * copy.phases[2].len() + pc;
                offsets.push(channel * copy.channel() + plane * copy.plane() + copy.line_offset(ia, ib) + ic);
            }
        }
        offsets
    }

    fn task(&self, run: &Run<'_>, part: &Part<'_>, mut out: BoxMut<'_>) {
        let [_, d, h, w] = out.dims();
        if w % GROUP == 0
            && self.axes.iter().all(Axis::is_plain)
            && self.axes[0].output * self.axes[1].output == 1
        {
            return self.pointwise(run, part, out);
        }
        let copy = self.copy([d, h, w]);
        let columns = Columns::new(&copy, [d, h, w]);
        let channels = self.channels(&copy);
        with_scratch(self.scratch_of(&copy, &columns), |scratch| {
            let (copied, rest) = scratch.split_at_mut(channels * copy.channel() + GROUP);
            let (results, wide) = rest.split_at_mut(self.channels_out * columns.width());
            for first in (0..self.channels_in.max(1)).step_by(channels) {
                let count = channels.min(self.channels_in - first);
                self.fill(part.x, first..first + count, part.start, &copy, copied);
                let offsets = self.offsets(&copy, count);
                self.multiply(run, part.weight, first, &offsets, copied, &columns, results, wide);
            }
            self.store(run, part.bias, &columns, results, &mut out);
        });
    }

    /// The part of a pointwise convolution, which reads the input where it lies.
    fn pointwise(&self, run: &Run<'_>, part: &Part<'_>, mut out: BoxMut<'_>) {
        let (width, image) = (out.dims()[3], self.axes[2].input);
        let positions = (0..width / GROUP).map(|g| part.start[2] + g * GROUP).collect();
        let columns = Columns { positions, starts: vec![0] };
        let offsets: Vec<usize> = (0..self.channels_in).map(|c| c * image).collect();
        with_scratch(self.channels_out * width + self.widened(self.inner()), |scratch| {
            let (results, wide) = scratch.split_at_mut(self.channels_out * width);
            self.multiply(run, part.weight, 0, &offsets, part.x.one(), &columns, results, wide);
            self.store(run, part.bias, &columns, results, &mut out);
        });
    }

    /// The most elements of widened weights, when so much or less of each output channel's is multiplied together.
    fn widened(&self, depth: usize) -> usize {
        let most = PANEL.max(PANEL_ROWS * depth).min(self.channels_out * depth);
        if self.widen { most } else { 0 }
    }

    /// Multiplies the weights of some channels with their copy.
    #[allow(clippy::too_many_arguments)]
    fn multiply(
        &self,
        run: &Run<'_>,
        weight: Floats<'_>,
        first: usize,
        offsets: &[usize],
        copied: &[f32],
        columns: &Columns,
        results: &mut [f32],
        wide: &mut [f32],
    ) {
        let (inner, skip, depth) = (self.inner(), first * self.taps(), offsets.len());
        let panel = self.panel(depth);
        for start in (0..self.channels_out).step_by(panel) {
            let rows = panel.min(self.channels_out - start);
            let left = match weight.as_f32() {
                Some(data) => {
                    Left::Rows { data: &data[(start * inner + skip).min(data.len())..], stride: inner }
                }
                None => {
                    let wide = &mut wide[..rows * depth];
                    for (row, wide) in wide.chunks_exact_mut(depth.max(1)).enumerate() {
                        weight.slice((start + row) * inner + skip, depth).widen_into(wide);
                    }
                    Left::Rows { data: wide, stride: depth }
                }
            };
            run.level.run(Product {
                left,
                rows,
                right: copied,
                offsets,
                positions: &columns.positions,
                out: &mut results[start * columns.width()..],
                stride: columns.width(),
                accumulate: first > 0,
            });
        }
    }

    /// Moves the results to the output, with the bias.
    fn store(
        &self,
        run: &Run<'_>,
        bias: Option<&[f32]>,
        columns: &Columns,
        results: &[f32],
        out: &mut BoxMut<'_>,
    ) {
        let [channels, d, h, w] = out.dims();
        for channel in 0..channels {
            let row = &results[channel * columns.width()..][..columns.width()];
            let bias = bias.map_or(0.0, |b| b[channel]);
            for line in 0..d * h {
                let from = &row[columns.starts[line]..][..w];
                let to = out.line([channel, line / h, line % h]);
                run.level.loops(
                    #[inline(always)]
                    || to.iter_mut().zip(from).for_each(|(o, v)| *o = v + bias),
                );
            }
        }
    }

    fn scratch_of(&self, copy: &Copy, columns: &Columns) -> usize {
        let channels = self.channels(copy);
        let copied = channels * copy.channel() + GROUP;
        copied + self.channels_out * columns.width() + self.widened(channels * self.taps())
    }
}

/// The size of a round when all is done in as few rounds of at most so much as there can be, all about the same.
fn in_equal_rounds(all: usize, most: usize) -> usize {
    all.div_ceil(all.div_ceil(most.max(1)).max(1)).max(1)
}

fn phases(copy: &Copy) -> impl Iterator<Item = (usize, usize, usize)> {
    let [a, b, c] = &copy.phases;
    a.iter().flat_map(move |&a| b.iter().flat_map(move |&b| c.iter().map(move |&c| (a, b, c))))
}

/// One line of the copy: the elements at every `stride`-th position of the padded axis from `first`
/// on, of which those `inside` are not padding.
fn fill_line(x: &[f32], axis: &Axis, first: usize, inside: &Range<usize>, out: &mut [f32]) {
    let at = |i: usize| first + i * axis.stride;
    for i in (0..inside.start).chain(inside.end..out.len()) {
        out[i] = axis.source(at(i)).map_or(0.0, |s| x[s]);
    }
    if inside.is_empty() {
        return;
    }
    let from = &x[at(inside.start) - axis.whole.start..];
    let out = &mut out[inside.clone()];
    if axis.stride == 1 {
        out.copy_from_slice(&from[..out.len()]);
    } else {
        out.iter_mut().zip(from.iter().step_by(axis.stride)).for_each(|(o, v)| *o = *v);
    }
}

/// The groups of columns that cover the positions of a part.
pub(super) struct Columns {
    /// Where each group starts in the copy.
    pub(super) positions: Vec<usize>,
    /// Where each line of the output starts in a row of results.
    pub(super) starts: Vec<usize>,
}

impl Columns {
    /// Groups line by line, or one after the other across lines and what lies between them,
    /// whichever are fewer.
    pub(super) fn new(copy: &Copy, [d, h, w]: [usize; 3]) -> Self {
        let lines = (0..d * h).map(|line| copy.line_offset(line / h, line % h));
        let of_line = w.div_ceil(GROUP);
        let across = (copy.line_offset(d - 1, h - 1) + w).div_ceil(GROUP);
        if across < d * h * of_line {
            return Self { positions: (0..across).map(|g| g * GROUP).collect(), starts: lines.collect() };
        }
        Self {
            starts: (0..d * h).map(|line| line * of_line * GROUP).collect(),
            positions: lines.flat_map(|at| (0..of_line).map(move |g| at + g * GROUP)).collect(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.positions.len() * GROUP
    }
}

/// Parts of at most that size of each image of an output: image, first position along each axis, part.
pub(super) fn parts(
    out: &mut [f32],
    dims: [usize; 4],
    size: [usize; 3],
) -> Vec<(usize, [usize; 3], BoxMut<'_>)> {
    let mut parts = Vec::new();
    for (i, out) in out.chunks_exact_mut(dims.iter().product()).enumerate() {
        for (a, out) in BoxMut::new(out, dims).parts(1, size[0]).into_iter().enumerate() {
            for (b, out) in out.parts(2, size[1]).into_iter().enumerate() {
                for (c, out) in out.parts(3, size[2]).into_iter().enumerate() {
                    parts.push((i, [a * size[0], b * size[1], c * size[2]], out));
                }
            }
        }
    }
    parts
}

impl Kernel for Direct {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let (x, weight) = (io.f32(0), Floats::of(io.inputs[1]));
        let bias = self.bias.then(|| io.f32(2));
        let behind = io.inputs.last().zip(self.first).map(|(behind, first)| (behind.f32(), first));
        let dims = std::array::from_fn(|a| self.axes[a].output);
        let [d, h, w] = dims;
        let image = self.channels_out * d * h * w;
        if image == 0 {
            return Ok(());
        }
        let parts = parts(io.out::<f32>(), [self.channels_out, d, h, w], self.part());
        run.each(parts, |_, (image, start, out)| {
            let group = image % self.groups;
            let (channels, inner) = (self.channels_out, self.inner());
            let part = Part {
                x: Image::new(x, behind, &self.axes, (image, self.channels_in)),
                weight: weight.slice(group * channels * inner, channels * inner),
                bias: bias.map(|b| &b[group * channels..(group + 1) * channels]),
                start,
            };
            self.task(run, &part, out);
        })
    }

    fn scratch(&self) -> usize {
        let size = self.part();
        let dims = std::array::from_fn(|a| size[a].min(self.axes[a].output.max(1)));
        let copy = self.copy(dims);
        self.scratch_of(&copy, &Columns::new(&copy, dims))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(channels_in: usize, channels_out: usize, taps: [usize; 3]) -> Direct {
        let axis = |taps| Axis { taps, input: 20 + taps - 1, ..Axis::plain(20) };
        Direct {
            groups: 1,
            channels_in,
            channels_out,
            axes: taps.map(axis),
            bias: false,
            widen: true,
            first: None,
        }
    }

    #[test]
    fn every_round_has_room_for_its_widened_weights() {
        for (channels_in, channels_out) in [(1, 1), (3, 96), (101, 384), (192, 250), (384, 1)] {
            for taps in [[1, 1, 1], [3, 1, 1], [1, 3, 3], [3, 3, 3], [7, 7, 7], [1, 40, 40]] {
                let direct = direct(channels_in, channels_out, taps);
                let channels = direct.channels(&direct.copy([2, 5, 20]));
                let room = direct.widened(channels * direct.taps());
                for count in 1..=channels {
                    let depth = count * direct.taps();
                    let panel = direct.panel(depth);
                    assert!(
                        panel * depth <= room && panel >= PANEL_ROWS.min(channels_out) / 2,
                        "{channels_in} {taps:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn rounds_are_equal() {
        assert_eq!(in_equal_rounds(192, 62), 48);
        assert_eq!(in_equal_rounds(5, 0), 1);
        assert_eq!(in_equal_rounds(0, 7), 1);
    }
}
