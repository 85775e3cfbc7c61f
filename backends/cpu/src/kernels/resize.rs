//! Linear interpolation along the last axes.

use crate::run::{Fault, Io, Kernel, Run};

/// Along one axis, the two elements that each position lies between, and the share of the second.
pub(crate) struct Taps {
    pub(crate) input: usize,
    pub(crate) taps: Vec<(usize, usize, f32)>,
}

/// Linear Resize of `[outer, d1, d2, d3]`; unused leading axes have size 1.
pub(crate) struct Linear {
    pub(crate) axes: [Taps; 3],
}

impl Linear {
    fn line(&self, x: &[f32], a: usize, b: usize, out: &mut [f32]) {
        let [first, second, third] = &self.axes;
        let (a0, a1, wa) = first.taps[a];
        let (b0, b1, wb) = second.taps[b];
        let row = |a: usize, b: usize| &x[(a * second.input + b) * third.input..][..third.input];
        let rows = [row(a0, b0), row(a0, b1), row(a1, b0), row(a1, b1)];
        let mix = |low: f32, high: f32, share: f32| low * (1.0 - share) + high * share;
        for (o, &(c0, c1, wc)) in out.iter_mut().zip(&third.taps) {
            let at = |r: usize| mix(rows[r][c0], rows[r][c1], wc);
            *o = mix(mix(at(0), at(1), wb), mix(at(2), at(3), wb), wa);
        }
    }
}

impl Kernel for Linear {
    fn run(&self, run: &Run<'_>, mut io: Io<'_, '_>) -> Result<(), Fault> {
        let x = io.f32(0);
        let [a, b, c] = &self.axes;
        let (image, line) = (a.input * b.input * c.input, c.taps.len());
        run.chunks(io.out::<f32>(), b.taps.len() * line, |task, out| {
            let (outer, at) = (task / a.taps.len(), task % a.taps.len());
            for (i, out) in out.chunks_exact_mut(line).enumerate() {
                self.line(&x[outer * image..][..image], at, i, out);
            }
        })
    }
}
