//! Solvers of the flow-matching equation `dX/dt = u(X, t)` from noise at `t = 0` to the sample at `t = 1`.
//!
//! The model is a callback, so a sampler knows nothing of graphs or devices; the times come from
//! [`Schedule::times`](crate::schedule::Schedule::times). All arithmetic on the state is single `f32` operations, each rounded
//! on its own (no fused multiply-add), and the step sizes of the adaptive solver are `f64` from `+ - * /` and square roots
//! alone: the same bits on every host.
//!
//! ```
//! use std::convert::Infallible;
//! use std::ops::ControlFlow;
//! use kinograph::sampler::{Solver, sample};
//!
//! // Straight flow: constant velocity, so every solver is exact.
//! let mut x = [0.0f32, 1.0];
//! let times = [0.0, 0.5, 1.0];
//! let velocity = |_x: &[f32], _t: f64, out: &mut [f32]| { out.fill(2.0); Ok::<(), Infallible>(()) };
//! sample(Solver::Heun, &times, &mut x, None, velocity, |_, _| ControlFlow::Continue(()))?;
//! assert_eq!(x, [2.0, 3.0]);
//! # Ok::<(), kinograph::sampler::SampleError<Infallible>>(())
//! ```
//!
//! A run goes on where it was stopped, with the bits that it would have had:
//!
//! ```
//! # use std::convert::Infallible;
//! # use std::ops::ControlFlow;
//! # use kinograph::sampler::{SampleError, Solver, sample};
//! # let solver: Solver = "dopri5".parse().unwrap();
//! # let times = [0.0, 1.0];
//! # let velocity = |x: &[f32], _t: f64, out: &mut [f32]| { out.copy_from_slice(x); Ok::<(), Infallible>(()) };
//! let (mut x, mut stopped_at) = ([1.0f32], None);
//! let stopped = sample(solver, &times, &mut x, None, velocity, |step, _| {
//!     stopped_at = Some(step.position);
//!     ControlFlow::Break(())
//! });
//! assert_eq!(stopped, Err(SampleError::Cancelled { step: 1, of: None }));
//! sample(solver, &times, &mut x, stopped_at, velocity, |_, _| ControlFlow::Continue(()))?;
//! assert!((x[0] - 1f32.exp()).abs() < 1e-4);
//! # Ok::<(), kinograph::sampler::SampleError<Infallible>>(())
//! ```

use std::ops::ControlFlow;

mod adaptive;
mod error;
mod runge_kutta;
mod solver;
mod step;
#[cfg(test)]
mod tests;
mod unipc;

pub use error::SampleError;
pub(crate) use error::step_of;
pub use solver::{DEFAULT_TOLERANCE, Solver, SolverError};
pub use step::{Position, Step};
pub(crate) use unipc::LEAST_SIGNAL;
pub use unipc::UniPcVariant;

use runge_kutta::{Model, Span, Stages};

/// Moves `state` from `times[0]` to the last of `times`, or, with `from`, on from that position to the last of `times`.
///
/// Fixed-step solvers take one step between each two neighbours of `times`. The adaptive solver takes from `times` only the
/// begin and the end and places its own steps between them; it reports each of them.
///
/// `velocity(x, t, out)` writes `u(x, t)` into `out`, which has the length of the state and holds an earlier answer or
/// zeros; guidance belongs inside it, see [`guide`]. `after_step(step, x)` sees every finished step, for progress, previews
/// and checkpoints, and may cancel.
///
/// To resume, give the state and [`Step::position`] of a finished step and the same solver, times and velocity: the result
/// has the bits of the run that was never stopped, if `velocity` answers the same to the same question.
///
/// A multistep solver keeps what it needs of earlier steps in `state` too: behind the state itself stand
/// [`Solver::carried`] vectors of its length, whose contents before the first step do not matter. `velocity` sees the state
/// itself, `after_step` all of it.
///
/// Besides that it holds one buffer of the state's length for each stage of the solver and one more, all allocated
/// before the first step.
///
/// # Errors
/// [`SampleError`]; `state` then is that of the last finished step, so a caller may resume from it.
pub fn sample<E>(
    solver: Solver,
    times: &[f64],
    state: &mut [f32],
    from: Option<Position>,
    velocity: impl FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    after_step: impl FnMut(&Step, &[f32]) -> ControlFlow<()>,
) -> Result<(), SampleError<E>> {
    check(solver, times, state)?;
    if let Some(method) = solver.multistep() {
        if !state.len().is_multiple_of(1 + solver.carried()) {
            return Err(SampleError::BadLength { length: state.len(), carried: solver.carried() });
        }
        return unipc::run(method, times, state, from, velocity, after_step);
    }
    match solver.tolerance() {
        None => fixed(solver, times, state, from, velocity, after_step),
        Some(tolerance) => adaptive::run(tolerance, times, state, from, velocity, after_step),
    }
}

/// Checks what a run begins with.
pub(crate) fn check<E>(solver: Solver, times: &[f64], state: &[f32]) -> Result<(), SampleError<E>> {
    solver.check()?;
    if times.len() < 2 || !times.iter().all(|t| t.is_finite()) || !times.is_sorted_by(|a, b| a < b) {
        return Err(SampleError::BadTimes);
    }
    match state.iter().position(|x| !x.is_finite()) {
        Some(element) => Err(SampleError::BadState { element, value: state[element] }),
        None => Ok(()),
    }
}

/// A step between each two neighbours of `times`, from a position on, as it is told about when it has been taken with one evaluation.
pub(crate) fn steps<E>(
    times: &[f64],
    from: Option<Position>,
) -> Result<impl Iterator<Item = Step>, SampleError<E>> {
    let of = times.len().saturating_sub(1);
    let done = match from {
        None => 0,
        Some(position) => position.on_schedule(times)?,
    };
    let step = move |(index, pair): (usize, &[f64])| {
        let (from, to) = (pair[0], pair[1]);
        let position = Position::new(index + 1, to, None);
        Step { index, of: Some(of), from, to, error: None, rejected: 0, evaluations: 1, position }
    };
    Ok(times.windows(2).enumerate().skip(done).map(step))
}

/// One step between each two neighbours of `times`.
fn fixed<E>(
    solver: Solver,
    times: &[f64],
    state: &mut [f32],
    from: Option<Position>,
    velocity: impl FnMut(&[f32], f64, &mut [f32]) -> Result<(), E>,
    mut after_step: impl FnMut(&Step, &[f32]) -> ControlFlow<()>,
) -> Result<(), SampleError<E>> {
    let mut steps = steps(times, from)?.peekable();
    let mut stages = Stages::new(solver.tableau(), state.len());
    let done = steps.peek().map_or(0, |step| step.index);
    let mut model = Model::new(velocity, done, Some(times.len() - 1));
    for step in steps {
        let span = Span { from: step.from, to: step.to };
        stages.first(span.from, state, &mut model)?;
        stages.attempt(span, state, &mut model)?;
        state.copy_from_slice(stages.end());
        let evaluations = model.finish_step();
        Step { evaluations, ..step }.report(&mut after_step, state)?;
    }
    Ok(())
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
/// scale 1 gives back `text` up to rounding, 0 gives `negative`. Movie Gen uses 7.5;
/// [`Guidance`](crate::guidance::Guidance) gives the scale of each time. Surplus elements of the longer are left alone.
pub fn guide(text: &mut [f32], negative: &[f32], scale: f32) {
    for (u, n) in text.iter_mut().zip(negative) {
        let away = *u - *n;
        let scaled = scale * away;
        *u = *n + scaled;
    }
}
