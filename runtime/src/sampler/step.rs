//! What is told about a finished step, and what is needed to go on after it.

use std::ops::ControlFlow;

use super::SampleError;

/// A step that has just been taken, as told to the step callback.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Which step, from 0.
    pub index: usize,
    /// Steps of the whole run; `None` for an adaptive solver, which learns it at the end.
    pub of: Option<usize>,
    /// Time before the step.
    pub from: f64,
    /// Time after it: the time of the state passed along.
    pub to: f64,
    /// The adaptive solver's estimate of this step's error as a share of the tolerance, from 0 to 1.
    pub error: Option<f64>,
    /// Trials of this step that the adaptive solver rejected before this one.
    pub rejected: usize,
    /// Evaluations of the velocity for this step, rejected trials and the search for the first step size included. The
    /// adaptive solver needs one more in its first step and in the first step after resuming.
    pub evaluations: usize,
    /// With the state, all that is needed to go on from here.
    pub position: Position,
}

impl Step {
    /// Tells of the step; breaking is [`SampleError::Cancelled`].
    pub(super) fn report<E>(
        &self,
        after_step: &mut impl FnMut(&Step, &[f32]) -> ControlFlow<()>,
        state: &[f32],
    ) -> Result<(), SampleError<E>> {
        match after_step(self, state) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SampleError::Cancelled { step: self.index + 1, of: self.of }),
        }
    }
}

/// Where a run stands between two steps: besides the state, all that resuming needs.
///
/// Whoever writes it to a file must keep every bit of the numbers. What comes back from a file is checked by
/// [`sample`](super::sample()).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Position {
    /// Finished steps.
    pub steps: usize,
    /// The time of the state.
    pub time: f64,
    /// The size in time of the adaptive solver's next trial; `None` for fixed steps.
    pub next_step: Option<f64>,
}

impl Position {
    /// A position as it was read back from where a caller kept it.
    pub fn new(steps: usize, time: f64, next_step: Option<f64>) -> Self {
        Self { steps, time, next_step }
    }

    /// The number of finished steps, if the position is one between the steps of `times`.
    pub(super) fn on_schedule<E>(self, times: &[f64]) -> Result<usize, SampleError<E>> {
        let bad = |reason| Err(SampleError::BadPosition { reason });
        if self.next_step.is_some() {
            return bad("it has a step size, so an adaptive solver made it, and this one has fixed steps");
        }
        match times.get(self.steps) {
            Some(time) if *time == self.time => Ok(self.steps),
            Some(_) => bad("its time is not that of the schedule after as many steps"),
            None => bad("it has more steps than the schedule"),
        }
    }

    /// The size of the next trial, if the position is one that an adaptive solver reaches on the way from `begin` to `end`.
    pub(super) fn on_the_way<E>(self, begin: f64, end: f64, most: usize) -> Result<f64, SampleError<E>> {
        let bad = |reason| Err(SampleError::BadPosition { reason });
        if self.steps > most {
            return bad("it has more steps than an adaptive solver takes");
        }
        if !(begin..=end).contains(&self.time) {
            return bad("its time is outside of the schedule");
        }
        match self.next_step {
            Some(size) if size.is_finite() && self.time + size > self.time => Ok(size),
            Some(_) => bad("its step size is not a finite number that moves the time on"),
            None => bad("it has no step size, so a solver of fixed steps made it, and this one is adaptive"),
        }
    }
}
