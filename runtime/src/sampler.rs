//! Solvers of the flow-matching equation `dX/dt = u(X, t)` from noise at `t = 0` to the sample at `t = 1`.
//!
//! The model is a callback, so a sampler knows nothing of graphs or devices; the times come from
//! [`Schedule::times`](crate::schedule::Schedule::times). All arithmetic on the state is single `f32` steps, each rounded on
//! its own (no fused multiply-add): the same bits on every host.
//!
//! ```
//! use std::convert::Infallible;
//! use std::ops::ControlFlow;
//! use kinograph::sampler::{Solver, sample};
//!
//! // Straight flow: constant velocity, so Euler is exact.
//! let mut x = [0.0f32, 1.0];
//! let times = [0.0, 0.5, 1.0];
//! let velocity = |_x: &[f32], _t: f64, out: &mut [f32]| { out.fill(2.0); Ok::<(), Infallible>(()) };
//! sample(Solver::Euler, &times, &mut x, velocity, |_, _| ControlFlow::Continue(()))?;
//! assert_eq!(x, [2.0, 3.0]);
//! # Ok::<(), kinograph::sampler::SampleError<Infallible>>(())
//! ```

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// How one step between two times is taken.
///
/// As text: `euler`. Solvers of higher order become further values here; [`Solver::velocities_per_step`] tells callers what
/// a step costs, so that progress and plans need no knowledge of the method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Solver {
    /// First order: `X += (t_{i+1} - t_i) * u(X, t_i)` (Movie Gen, 3.4.2).
    #[default]
    Euler,
}

impl Solver {
    /// Evaluations of the velocity in each step.
    pub fn velocities_per_step(self) -> usize {
        match self {
            Self::Euler => 1,
        }
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Euler => f.write_str("euler"),
        }
    }
}

/// A name that is no solver's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown solver \"{0}\": use euler")]
pub struct UnknownSolver(pub String);

impl FromStr for Solver {
    type Err = UnknownSolver;

    fn from_str(text: &str) -> Result<Self, UnknownSolver> {
        match text {
            "euler" => Ok(Self::Euler),
            _ => Err(UnknownSolver(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Solver {
    type Error = UnknownSolver;

    fn try_from(text: String) -> Result<Self, UnknownSolver> {
        text.parse()
    }
}

impl From<Solver> for String {
    fn from(solver: Solver) -> String {
        solver.to_string()
    }
}

/// A step that has just been taken, as told to the step callback.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Which step, from 0.
    pub index: usize,
    /// Steps of the whole run.
    pub of: usize,
    /// Time before the step.
    pub from: f64,
    /// Time after it: the time of the state passed along.
    pub to: f64,
}

/// Why sampling stopped before `t = 1`. `E` is the velocity callback's error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError<E> {
    /// The model failed; the state is that of the step's start.
    #[error("step {step} of {of}: the model failed")]
    Velocity {
        /// The step, from 1, as shown to people.
        step: usize,
        /// Steps of the whole run.
        of: usize,
        /// The callback's error.
        source: E,
    },
    /// The model answered with NaN or infinity; the state is that of the step's start.
    #[error(
        "step {step} of {of}: the model's velocity is {value} at element {element}; weights or precision are unfit"
    )]
    NotFinite {
        /// The step, from 1, as shown to people.
        step: usize,
        /// Steps of the whole run.
        of: usize,
        /// The first such element.
        element: usize,
        /// Its value.
        value: f32,
    },
    /// The step callback asked to stop; the state is that of the step's end.
    #[error("cancelled after step {step} of {of}")]
    Cancelled {
        /// The step, from 1, as shown to people.
        step: usize,
        /// Steps of the whole run.
        of: usize,
    },
    /// The times are fewer than two, not finite, or do not rise.
    #[error("the schedule's times must be at least two, finite and rising")]
    BadTimes,
}

/// Moves `state` from `times[0]` to the last of `times`.
///
/// `velocity(x, t, out)` writes `u(x, t)` into `out`, which has the length of the state and holds the last answer (or
/// zeros); guidance belongs inside it, see [`guide`]. `after_step(step, x)` sees every finished step, for progress and
/// previews, and may cancel.
///
/// # Errors
/// [`SampleError`]; `state` then holds the last good state, so a caller may resume from it.
pub fn sample<E>(
    solver: Solver,
    times: &[f64],
    state: &mut [f32],
    mut velocity: impl FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    mut after_step: impl FnMut(Step, &[f32]) -> ControlFlow<()>,
) -> Result<(), SampleError<E>> {
    if times.len() < 2 || !times.iter().all(|t| t.is_finite()) || !times.is_sorted_by(|a, b| a < b) {
        return Err(SampleError::BadTimes);
    }
    let of = times.len() - 1;
    let mut u = vec![0.0; state.len()];
    for (index, span) in times.windows(2).enumerate() {
        let step = Step { index, of, from: span[0], to: span[1] };
        match solver {
            Solver::Euler => {
                velocity_at(&mut velocity, step, step.from, state, &mut u)?;
                euler_step(state, &u, (step.to - step.from) as f32);
            }
        }
        if after_step(step, state).is_break() {
            return Err(SampleError::Cancelled { step: index + 1, of });
        }
    }
    Ok(())
}

/// One evaluation of the velocity, checked.
fn velocity_at<E>(
    velocity: &mut impl FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    Step { index, of, .. }: Step,
    t: f64,
    state: &[f32],
    out: &mut [f32],
) -> Result<(), SampleError<E>> {
    let step = index + 1;
    velocity(state, t, out).map_err(|source| SampleError::Velocity { step, of, source })?;
    match out.iter().position(|v| !v.is_finite()) {
        Some(element) => Err(SampleError::NotFinite { step, of, element, value: out[element] }),
        None => Ok(()),
    }
}

/// `state += dt * velocity`, the product and the sum each rounded to `f32`. Surplus elements of the longer are left alone.
pub fn euler_step(state: &mut [f32], velocity: &[f32], dt: f32) {
    for (x, u) in state.iter_mut().zip(velocity) {
        let move_by = dt * *u;
        *x += move_by;
    }
}

/// Classifier-free guidance, in place: `text = negative + scale * (text - negative)`, each operation rounded to `f32`.
///
/// `text` holds the velocity under the prompt, `negative` that under the negative (or empty) prompt, of the same length;
/// scale 1 gives back `text` up to rounding, 0 gives `negative`. Movie Gen uses 7.5. Surplus elements of the longer are left
/// alone.
pub fn guide(text: &mut [f32], negative: &[f32], scale: f32) {
    for (u, n) in text.iter_mut().zip(negative) {
        let away = *u - *n;
        let scaled = scale * away;
        *u = *n + scaled;
    }
}
