//! What a convolution reads: its axes, padded, and the tensors that lie along them.

use std::ops::Range;

/// One spatial axis.
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) taps: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    /// The positions of the padded axis at which all elements stand, one after the other; none where each has to be looked up.
    pub(crate) whole: Range<usize>,
    /// For each position of the padded axis, the element that stands there; negative for a zero.
    /// Empty when there is no padding.
    pub(crate) sources: Vec<i32>,
}

impl Axis {
    /// An axis of outputs that each meet one input.
    pub(crate) fn plain(size: usize) -> Self {
        let whole = 0..size;
        Self { input: size, output: size, taps: 1, stride: 1, dilation: 1, whole, sources: Vec::new() }
    }

    /// Whether each output meets the one input of its position.
    pub(crate) fn is_plain(&self) -> bool {
        self.taps == 1 && self.stride == 1 && self.sources.is_empty() && self.input == self.output
    }

    /// The element at a padded position.
    pub(super) fn source(&self, position: usize) -> Option<usize> {
        match self.sources.get(position) {
            Some(&source) => usize::try_from(source).ok(),
            None if self.sources.is_empty() && position < self.input => Some(position),
            None => None,
        }
    }

    /// The axis as it meets the elements of a smaller one, each where a table says.
    pub(crate) fn resampled(self, input: usize, found: impl Fn(usize) -> usize) -> Self {
        let positions = if self.sources.is_empty() { self.input } else { self.sources.len() };
        let source = |p: usize| self.source(p).map_or(-1, |i| found(i) as i32);
        let sources = (0..positions).map(source).collect();
        Self { input, whole: 0..0, sources, ..self }
    }

    /// Of the positions `first`, `first + stride`, ..., those at which elements stand one after the other.
    pub(super) fn inside(&self, first: usize, count: usize) -> Range<usize> {
        let index = |position: usize| position.saturating_sub(first).div_ceil(self.stride).min(count);
        index(self.whole.start)..index(self.whole.end)
    }

    /// The planes that taps fall on: the remainders of their distances by the stride.
    pub(super) fn phases(&self) -> Vec<usize> {
        let mut phases: Vec<usize> = (0..self.taps).map(|t| t * self.dilation % self.stride).collect();
        phases.sort_unstable();
        phases.dedup();
        phases
    }

    /// How many elements of a plane so many positions meet.
    pub(super) fn extent(&self, positions: usize) -> usize {
        positions + (self.taps - 1) * self.dilation / self.stride
    }
}

/// One image of what is convolved: a tensor, or two of which the second comes behind the first along the first axis.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    /// The elements of each, and how long it is along the first axis.
    parts: [(&'a [f32], usize); 2],
    /// The sizes of the other two axes.
    lines: usize,
    line: usize,
}

impl<'a> Image<'a> {
    /// Of the tensors, image `n` of so many channels. Where there is a second one, it comes with the length of the first along the first axis.
    pub(super) fn new(
        x: &'a [f32],
        behind: Option<(&'a [f32], usize)>,
        axes: &[Axis; 3],
        (n, channels): (usize, usize),
    ) -> Self {
        let [a, b, c] = axes;
        let (behind, first) = behind.unwrap_or((&[], a.input));
        let of = |data: &'a [f32], length: usize| {
            let size = channels * length * b.input * c.input;
            (&data[n * size..(n + 1) * size], length)
        };
        let parts = [of(x, first), of(behind, a.input - first)];
        Self { parts, lines: b.input, line: c.input }
    }

    /// All of it, where it is one tensor.
    pub(super) fn one(&self) -> &'a [f32] {
        self.parts[0].0
    }

    /// A line of a channel.
    pub(super) fn line(&self, channel: usize, i: usize, j: usize) -> &'a [f32] {
        let [(first, length), (behind, after)] = self.parts;
        let (data, length, i) = if i < length { (first, length, i) } else { (behind, after, i - length) };
        &data[((channel * length + i) * self.lines + j) * self.line..][..self.line]
    }
}
