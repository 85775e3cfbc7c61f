//! Why sampling stops early.

use super::SolverError;

/// Why sampling stopped before the last time. `E` is the velocity callback's error.
///
/// Steps count from 1, as shown to people; `of` is the number of steps of the whole run if the solver knows it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError<E> {
    /// The model failed; the state is that of the step's start.
    #[error("{}: the model failed", step_of(*.step, *.of))]
    Velocity {
        /// The step.
        step: usize,
        /// Steps of the whole run.
        of: Option<usize>,
        /// The callback's error.
        source: E,
    },
    /// The model answered with NaN or infinity; the state is that of the step's start.
    #[error(
        "{}: the model's velocity is {value} at element {element}; weights or precision are unfit",
        step_of(*.step, *.of)
    )]
    NotFinite {
        /// The step.
        step: usize,
        /// Steps of the whole run.
        of: Option<usize>,
        /// The first such element.
        element: usize,
        /// Its value.
        value: f32,
    },
    /// The step callback asked to stop; the state is that of the step's end.
    #[error("cancelled after {}", step_of(*.step, *.of))]
    Cancelled {
        /// The step.
        step: usize,
        /// Steps of the whole run.
        of: Option<usize>,
    },
    /// The adaptive solver found no step size that meets the tolerance.
    #[error(
        "step {step}: from t = {time} on, {rejected} trials of shrinking size all missed rtol {rtol:e} and atol {atol:e}: \
         loosen them (dopri5:RTOL:ATOL) or take a solver of fixed steps"
    )]
    Tolerance {
        /// The step.
        step: usize,
        /// Time at its start, which is that of the state.
        time: f64,
        /// Trials of the step.
        rejected: usize,
        /// Tolerance relative to the state.
        rtol: f64,
        /// Absolute tolerance.
        atol: f64,
    },
    /// The adaptive solver took as many steps as it may and is not at the end.
    #[error(
        "t = {time} after {steps} steps, the most there may be: rtol {rtol:e} and atol {atol:e} are too fine for this model; \
         loosen them (dopri5:RTOL:ATOL) or take a solver of fixed steps"
    )]
    TooManySteps {
        /// Finished steps.
        steps: usize,
        /// The time of the state.
        time: f64,
        /// Tolerance relative to the state.
        rtol: f64,
        /// Absolute tolerance.
        atol: f64,
    },
    /// The times are fewer than two, not finite, or do not rise.
    #[error("the schedule's times must be at least two, finite and rising")]
    BadTimes,
    /// The state has no room for what a multistep solver carries.
    #[error("the state has {length} elements: it must be a multiple of {}, as the solver carries {carried} vectors behind it", carried + 1)]
    BadLength {
        /// Its length.
        length: usize,
        /// Vectors behind the state itself.
        carried: usize,
    },
    /// The state to start from holds NaN or infinity.
    #[error("the state to start from is {value} at element {element}: it must be finite")]
    BadState {
        /// The first such element.
        element: usize,
        /// Its value.
        value: f32,
    },
    /// The position to resume from is not one of this run.
    #[error(
        "the position to resume from does not fit: {reason}; resume with the solver and schedule of the stopped run, or \
         start anew"
    )]
    BadPosition {
        /// What does not fit.
        reason: &'static str,
    },
    /// The solver's tolerances are out of range.
    #[error(transparent)]
    Solver(#[from] SolverError),
}

/// `step 3 of 50`, or `step 3` where the number of steps is not known.
pub(crate) fn step_of(step: usize, of: Option<usize>) -> String {
    match of {
        Some(of) => format!("step {step} of {of}"),
        None => format!("step {step}"),
    }
}
