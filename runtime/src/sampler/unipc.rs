//! UniPC for flow models: a multistep predictor and corrector with one evaluation a step.
//!
//! W. Zhao et al., UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models, 2023, in the form that
//! predicts the sample, over the half logarithm of the signal-to-noise ratio `lambda = ln((1 - s) / s)` of the level of noise
//! `s = 1 - t`. The exponential of a difference of lambdas is a quotient of levels, so a logarithm is all that it needs
//! beyond basic operations.

use std::ops::ControlFlow;

use super::runge_kutta::Model;
use super::{Position, SampleError, Step};
use crate::noise::ln;

/// The least share of signal that a level counts as having: at full noise lambda would be infinite.
pub(crate) const LEAST_SIGNAL: f64 = 1e-6;

/// The two choices of `B(h)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UniPcVariant {
    /// `B(h) = h`.
    Bh1,
    /// `B(h) = exp(h) - 1`.
    Bh2,
}

/// The most that a step looks back.
pub(super) const MAX_ORDER: usize = 3;

#[derive(Clone, Copy)]
pub(super) struct UniPc {
    pub(super) order: usize,
    pub(super) variant: UniPcVariant,
}

/// A level of noise: rounded to `f32`, as models of this kind are sampled elsewhere.
#[derive(Clone, Copy)]
struct Level {
    noise: f64,
    signal: f64,
}

impl Level {
    fn at(time: f64) -> Self {
        let noise = (1.0 - time).min(1.0 - LEAST_SIGNAL) as f32;
        Self { noise: f64::from(noise), signal: f64::from(1.0 - noise) }
    }

    fn lambda(self) -> f64 {
        ln(self.signal) - ln(self.noise)
    }
}

/// `state * x + first * m + sum of weights[i] * (others[i] - m)`.
struct Combination {
    state: f32,
    first: f32,
    weights: Vec<f32>,
}

impl Combination {
    /// Each operation is rounded to `f32` on its own.
    fn apply(&self, x: &[f32], m: &[f32], others: &[&[f32]], out: &mut [f32]) {
        for ((o, x), m) in out.iter_mut().zip(x).zip(m) {
            let kept = self.state * *x;
            *o = kept + self.first * *m;
        }
        for (weight, other) in self.weights.iter().zip(others) {
            for ((o, v), m) in out.iter_mut().zip(*other).zip(m) {
                let away = *v - *m;
                let term = *weight * away;
                *o += term;
            }
        }
    }
}

impl UniPc {
    /// The steps that step `index` of `of` looks back to, itself included: fewer at the begin and at the end.
    fn order_at(self, index: usize, of: usize) -> usize {
        self.order.min(index + 1).min(of - index)
    }

    /// From level `from` to `to`, with the levels of the steps before `from`, the latest first. A corrector knows the sample
    /// at `to` too, whose weight is the last.
    fn combination(self, from: Level, to: Level, before: &[Level], corrects: bool) -> Combination {
        // exp(-h) - 1, where h is the difference of the lambdas.
        let phi = (to.noise * from.signal) / (to.signal * from.noise) - 1.0;
        let mut weights = Vec::new();
        if corrects || !before.is_empty() {
            let h = to.lambda() - from.lambda();
            let mut ratios: Vec<f64> =
                before.iter().map(|level| (level.lambda() - from.lambda()) / h).collect();
            ratios.push(1.0);
            let scale = match self.variant {
                UniPcVariant::Bh1 => -h,
                UniPcVariant::Bh2 => phi,
            };
            let count = if corrects { ratios.len() } else { ratios.len() - 1 };
            let solved = match (count, corrects) {
                // The published method's own choice where one unknown is left.
                (1, _) => vec![0.5],
                _ => solve(powers(&ratios, count), moments(-h, phi, scale, count)),
            };
            let weight = |(rho, ratio): (f64, &f64)| (-to.signal * scale * rho / ratio) as f32;
            weights = solved.into_iter().zip(&ratios).map(weight).collect();
        }
        Combination { state: (to.noise / from.noise) as f32, first: (-to.signal * phi) as f32, weights }
    }
}

/// Row i: the ratios to the power of i.
fn powers(ratios: &[f64], count: usize) -> Vec<Vec<f64>> {
    let mut row = vec![1.0; count];
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        rows.push(row.clone());
        row.iter_mut().zip(ratios).for_each(|(power, ratio)| *power *= ratio);
    }
    rows
}

/// What the weighted powers must add up to.
fn moments(h: f64, phi: f64, scale: f64, count: usize) -> Vec<f64> {
    let (mut term, mut factorial) = (phi / h - 1.0, 1.0);
    let mut out = Vec::with_capacity(count);
    for i in 1..=count {
        out.push(term * factorial / scale);
        factorial *= (i + 1) as f64;
        term = term / h - 1.0 / factorial;
    }
    out
}

/// Gaussian elimination with the largest pivot, of at most [`MAX_ORDER`] unknowns.
fn solve(mut rows: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let count = right.len();
    for at in 0..count {
        let pivot =
            (at..count).max_by(|&a, &b| rows[a][at].abs().total_cmp(&rows[b][at].abs())).unwrap_or(at);
        rows.swap(at, pivot);
        right.swap(at, pivot);
        let (head, known) = (rows[at].clone(), right[at]);
        for i in at + 1..count {
            let factor = rows[i][at] / head[at];
            rows[i].iter_mut().zip(&head).for_each(|(x, h)| *x -= factor * h);
            right[i] -= factor * known;
        }
    }
    for at in (0..count).rev() {
        let sum: f64 = (at + 1..count).map(|i| rows[at][i] * right[i]).sum();
        right[at] = (right[at] - sum) / rows[at][at];
    }
    right
}

/// One step between each two neighbours of `times`. `state` is the state, the corrected state of the step before, and the
/// samples that the last `order` steps predicted, the latest first.
pub(super) fn run<E>(
    method: UniPc,
    times: &[f64],
    state: &mut [f32],
    from: Option<Position>,
    velocity: impl FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    mut after_step: impl FnMut(&Step, &[f32]) -> ControlFlow<()>,
) -> Result<(), SampleError<E>> {
    let of = times.len() - 1;
    let done = match from {
        None => 0,
        Some(position) => position.on_schedule(times)?,
    };
    let length = state.len() / (method.order + 2);
    let mut model = Model::new(velocity, done, Some(of));
    let (mut sample, mut next) = (vec![0.0; length], vec![0.0; length]);
    for (index, pair) in times.windows(2).enumerate().skip(done) {
        let (from, to) = (pair[0], pair[1]);
        model.evaluate(&state[..length], from, &mut sample)?;
        method.step(times, index, state, &mut sample, &mut next);
        let position = Position::new(index + 1, to, None);
        let evaluations = model.finish_step();
        let step = Step { index, of: Some(of), from, to, error: None, rejected: 0, evaluations, position };
        step.report(&mut after_step, state)?;
    }
    Ok(())
}

impl UniPc {
    /// Moves the state on; `sample` holds the velocity and `next` is scratch.
    fn step(self, times: &[f64], index: usize, state: &mut [f32], sample: &mut [f32], next: &mut [f32]) {
        let length = sample.len();
        let of = times.len() - 1;
        let level = |i: usize| Level::at(times[i]);
        let (x, memory) = state.split_at_mut(length);
        // The velocity goes from noise to sample: what is left of the way is the level.
        let left = level(index).noise as f32;
        for (v, x) in sample.iter_mut().zip(&*x) {
            let way = left * *v;
            *v = *x + way;
        }
        match index.checked_sub(1) {
            None => next.copy_from_slice(x),
            Some(last) => {
                let order = self.order_at(last, of);
                let before: Vec<Level> = (1..order).map(|i| level(last - i)).collect();
                let mut others = samples(memory, length, order);
                others.push(sample);
                let corrector = self.combination(level(last), level(index), &before, true);
                corrector.apply(&memory[..length], others[0], &others[1..], next);
            }
        }
        memory.copy_within(length..length * self.order, 2 * length);
        memory[length..2 * length].copy_from_slice(sample);
        memory[..length].copy_from_slice(next);
        let order = self.order_at(index, of);
        let before: Vec<Level> = (1..order).map(|i| level(index - i)).collect();
        let predictor = self.combination(level(index), level(index + 1), &before, false);
        let others = samples(memory, length, order);
        predictor.apply(next, others[0], &others[1..], x);
    }
}

/// The latest predicted samples.
fn samples(memory: &[f32], length: usize, count: usize) -> Vec<&[f32]> {
    (1..=count).map(|i| &memory[i * length..(i + 1) * length]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_systems_are_solved() {
        let rows = vec![vec![0.0, 2.0, 1.0], vec![1.0, 1.0, 1.0], vec![4.0, -1.0, 0.5]];
        let x = solve(rows.clone(), vec![7.0, 6.0, 3.5]);
        for (row, right) in rows.iter().zip([7.0, 6.0, 3.5]) {
            let sum: f64 = row.iter().zip(&x).map(|(a, b)| a * b).sum();
            assert!((sum - right).abs() < 1e-12, "{x:?}");
        }
    }

    /// The flow of normal data of that spread: the state is its start times the square root of the variance.
    fn run_gaussian(order: usize, steps: usize, stop: Option<usize>) -> Vec<f32> {
        const SPREAD: f64 = 0.5;
        let solver = crate::sampler::Solver::UniPc { order, variant: UniPcVariant::Bh2 };
        let times =
            crate::schedule::Schedule::Levels { shift: 3.0, least: 0.001, open: true }.times(steps).unwrap();
        let mut state = vec![0.0; 2 * (1 + solver.carried())];
        state[..2].copy_from_slice(&[1.0, -2.0]);
        let velocity = |x: &[f32], t: f64, out: &mut [f32]| {
            assert_eq!(x.len(), 2);
            let level = Level::at(t).noise;
            let kept = (1.0 - level) * SPREAD * SPREAD;
            let share = kept / (level * level + (1.0 - level) * kept);
            for (o, x) in out.iter_mut().zip(x) {
                *o = ((f64::from(*x) * share - f64::from(*x)) / level) as f32;
            }
            Ok::<(), std::convert::Infallible>(())
        };
        let mut position = None;
        let watch = |step: &Step, _: &[f32]| match stop == Some(step.index) {
            true => {
                position = Some(step.position);
                ControlFlow::Break(())
            }
            false => ControlFlow::Continue(()),
        };
        let stopped = crate::sampler::sample(solver, &times, &mut state, None, velocity, watch);
        if stopped.is_err() {
            let go_on = |_: &Step, _: &[f32]| ControlFlow::Continue(());
            crate::sampler::sample(solver, &times, &mut state, position, velocity, go_on).unwrap();
        }
        state.truncate(2);
        state
    }

    #[test]
    fn errors_fall_with_order_and_steps() {
        let error = |order, steps| {
            let end = run_gaussian(order, steps, None);
            f64::from((end[0] - 0.5).abs().max((end[1] + 1.0).abs()))
        };
        // diffusers' UniPCMultistepScheduler: 0.1034, 0.0299, 0.0271, and 0.0028 at twice the steps.
        assert!((error(1, 20) - 0.1034).abs() < 1e-3, "{}", error(1, 20));
        assert!((error(2, 20) - 0.0299).abs() < 1e-3, "{}", error(2, 20));
        assert!((error(3, 20) - 0.0271).abs() < 1e-3, "{}", error(3, 20));
        assert!(error(2, 40) < error(2, 20) / 5.0);
    }

    #[test]
    fn a_run_that_was_stopped_goes_on_with_the_same_bits() {
        for order in 1..=3 {
            let whole = run_gaussian(order, 7, None);
            for stop in 0..6 {
                assert_eq!(run_gaussian(order, 7, Some(stop)), whole, "order {order} after {stop}");
            }
        }
    }

    #[test]
    fn texts() {
        use crate::sampler::Solver;
        for text in ["unipc", "unipc:1", "unipc:3", "unipc:2:bh1"] {
            assert_eq!(text.parse::<Solver>().unwrap().to_string(), text);
        }
        assert_eq!("unipc:2:bh2".parse::<Solver>().unwrap().to_string(), "unipc");
        for bad in ["unipc:0", "unipc:4", "unipc:", "unipc:2:bh3", "unipc:2:bh2:"] {
            assert!(bad.parse::<Solver>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_step_ends_on_the_predicted_sample() {
        for variant in [UniPcVariant::Bh1, UniPcVariant::Bh2] {
            let method = UniPc { order: 3, variant };
            let last = method.combination(Level::at(0.9), Level::at(1.0), &[], false);
            assert_eq!((last.state, last.first, last.weights.len()), (0.0, 1.0, 0));
        }
    }

    #[test]
    fn orders_rise_at_the_begin_and_fall_at_the_end() {
        let method = UniPc { order: 3, variant: UniPcVariant::Bh2 };
        let orders: Vec<usize> = (0..6).map(|i| method.order_at(i, 6)).collect();
        assert_eq!(orders, [1, 2, 3, 3, 2, 1]);
        assert_eq!(method.order_at(0, 1), 1);
    }
}
