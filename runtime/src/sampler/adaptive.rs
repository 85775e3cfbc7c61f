//! The step-size control of the adaptive solver.
//!
//! Follows E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary Differential Equations I, II.4: the elementary controller
//! on the root mean square of the scaled error, with local extrapolation. It remembers nothing but the size of the next
//! trial, so a [`Position`] is all that resuming needs.

use std::ops::ControlFlow;

use super::runge_kutta::{DORMAND_PRINCE, Model, Span, Stages};
use super::{Position, SampleError, Step};

/// The most steps of a run. Far above any use: a tolerance that needs more is below what the model resolves.
pub(super) const MAX_STEPS: usize = 10_000;

/// The most trials of one step. Each is at most 0.9 as long as the one before, usually far shorter.
const MAX_TRIALS: usize = 32;

/// Aim below the tolerance, so that few steps are rejected.
const SAFETY: f64 = 0.9;

/// The least and the most by which the size changes from one trial to the next.
const FACTORS: (f64, f64) = (0.2, 10.0);

/// A step that comes this near to the end is stretched to it, which spares a tiny last step.
const STRETCH: f64 = 1.01;

/// The shortest probe for the first step, as a share of the whole time: less than that an `f32` state hardly feels.
const SHORTEST_PROBE: f64 = 1e-6;

/// The error that a step may make.
#[derive(Clone, Copy)]
pub(super) struct Tolerance {
    pub(super) rtol: f64,
    pub(super) atol: f64,
}

/// Where the run stands.
#[derive(Clone, Copy)]
struct At {
    /// Finished steps.
    done: usize,
    time: f64,
    /// The size to try next.
    size: f64,
}

/// A trial that met the tolerance.
struct Accepted {
    span: Span,
    error: f64,
    /// Trials before it.
    rejected: usize,
    /// The size to try next.
    next: f64,
}

/// Steps of its own choice from the first of `times` to exactly the last.
pub(super) fn run<E>(
    tolerance: Tolerance,
    times: &[f64],
    state: &mut [f32],
    from: Option<Position>,
    velocity: impl FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    mut after_step: impl FnMut(&Step, &[f32]) -> ControlFlow<()>,
) -> Result<(), SampleError<E>> {
    let (begin, end) = (times[0], times[times.len() - 1]);
    let mut at = match from {
        None => At { done: 0, time: begin, size: 0.0 },
        Some(p) => At { done: p.steps, time: p.time, size: p.on_the_way(begin, end, MAX_STEPS)? },
    };
    if at.time == end {
        return Ok(());
    }
    let mut stages = Stages::new(&DORMAND_PRINCE, state.len());
    let mut model = Model::new(velocity, at.done, None);
    stages.first(at.time, state, &mut model)?;
    if from.is_none() {
        at.size = tolerance.first_size(Span { from: begin, to: end }, state, &mut stages, &mut model)?;
    }
    while at.time < end {
        let Accepted { span: Span { from, to }, error, rejected, next } =
            tolerance.step(at, end, state, &mut stages, &mut model)?;
        state.copy_from_slice(stages.end());
        stages.last_becomes_first();
        let index = at.done;
        at = At { done: index + 1, time: to, size: next };
        let position = Position::new(at.done, at.time, Some(at.size));
        let evaluations = model.finish_step();
        let step = Step { index, of: None, from, to, error: Some(error), rejected, evaluations, position };
        step.report(&mut after_step, state)?;
    }
    Ok(())
}

impl Tolerance {
    /// Tries ever shorter steps until one meets the tolerance.
    fn step<E, V>(
        self,
        At { done, time, mut size }: At,
        end: f64,
        state: &[f32],
        stages: &mut Stages,
        model: &mut Model<V>,
    ) -> Result<Accepted, SampleError<E>>
    where
        V: FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    {
        let Self { rtol, atol } = self;
        if done == MAX_STEPS {
            return Err(SampleError::TooManySteps { steps: done, time, rtol, atol });
        }
        let mut rejected = 0;
        while rejected < MAX_TRIALS {
            let span = Span { from: time, to: if time + STRETCH * size >= end { end } else { time + size } };
            if span.to <= span.from {
                break;
            }
            stages.attempt(span, state, model)?;
            stages.last(span, model)?;
            let error = self.norm(state, stages.end(), |i| stages.error(i, span.size()));
            let factor = size_factor(error);
            if error <= 1.0 {
                // What was just too long is not made longer at once.
                let factor = if rejected > 0 { factor.min(1.0) } else { factor };
                return Ok(Accepted { span, error, rejected, next: span.size() * factor });
            }
            size = span.size() * factor;
            rejected += 1;
        }
        Err(SampleError::Tolerance { step: done + 1, time, rejected, rtol, atol })
    }

    /// The size of the first trial, from the first two derivatives (Hairer, II.4, "starting step size"); the probe is kept
    /// from being too short for `f32`.
    fn first_size<E, V>(
        self,
        whole: Span,
        state: &[f32],
        stages: &mut Stages,
        model: &mut Model<V>,
    ) -> Result<f64, SampleError<E>>
    where
        V: FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    {
        let x = self.norm(state, state, |i| f64::from(state[i]));
        let slope = self.norm(state, state, |i| f64::from(stages.velocity(0)[i]));
        let short = SHORTEST_PROBE * whole.size();
        let probe = if x < 1e-5 || slope < 1e-5 { short } else { 0.01 * (x / slope) };
        let probe = probe.clamp(short, whole.size());
        let to = (whole.from + probe).min(whole.to);
        stages.probe(Span { from: whole.from, to }, state, model)?;
        let (first, second) = (stages.velocity(0), stages.velocity(1));
        let bend = self.norm(state, state, |i| f64::from(second[i]) - f64::from(first[i])) / probe;
        let steepest = slope.max(bend);
        let size = if steepest <= 1e-15 { short.max(probe * 1e-3) } else { fifth_root(0.01 / steepest) };
        Ok(size.min(100.0 * probe))
    }

    /// The root mean square of `value(i) / (atol + rtol * max(|before|, |after|))`, added up in index order; infinite if the
    /// state has left the finite numbers.
    fn norm(self, before: &[f32], after: &[f32], value: impl Fn(usize) -> f64) -> f64 {
        let mut sum = 0.0;
        for (i, (before, after)) in before.iter().zip(after).enumerate() {
            if !after.is_finite() {
                return f64::INFINITY;
            }
            let scale = self.atol + self.rtol * f64::from(before.abs().max(after.abs()));
            let scaled = value(i) / scale;
            sum += scaled * scaled;
        }
        (sum / before.len().max(1) as f64).sqrt()
    }
}

/// By how much the next trial is longer, for an error that falls with the fifth power of the size.
fn size_factor(error: f64) -> f64 {
    let (least, most) = FACTORS;
    if error == 0.0 {
        most
    } else if error.is_finite() {
        (SAFETY / fifth_root(error)).clamp(least, most)
    } else {
        least
    }
}

/// The fifth root of a finite number above 0, by basic operations only: `powf` differs between platforms.
pub(super) fn fifth_root(x: f64) -> f64 {
    // Exact scaling by 2^5 to between 1 and 32.
    let (mut x, mut scale) = (x, 1.0);
    while x >= 32.0 {
        (x, scale) = (x / 32.0, scale * 2.0);
    }
    while x < 1.0 {
        (x, scale) = (x * 32.0, scale / 2.0);
    }
    // Newton's method from the chord, at worst a fifth off; it doubles the digits each time.
    let mut root = 1.0 + (x - 1.0) / 31.0;
    for _ in 0..7 {
        let square = root * root;
        root = (4.0 * root + x / (square * square)) / 5.0;
    }
    root * scale
}
