//! The times a sampler visits, from pure noise at `t = 0` to the finished sample at `t = 1`.
//!
//! ```
//! use kinograph::schedule::Schedule;
//!
//! let schedule: Schedule = "linear-quadratic:250".parse()?;
//! let times = schedule.times(50)?;
//! assert_eq!((times.len(), times[0], times[50]), (51, 0.0, 1.0));
//! # Ok::<(), kinograph::schedule::ScheduleError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Steps of the linear schedule that [`Schedule::LinearQuadratic`] starts like, unless it says otherwise: 250.
pub const DEFAULT_LINEAR_STEPS_OF: u32 = 250;

/// The largest step count accepted: far above any use, small enough that a slip of the keyboard allocates little.
pub const MAX_STEPS: usize = 100_000;

/// How the steps of a run are spaced in time.
///
/// As text, in packages and on the command line: `linear`, `linear-quadratic`, `linear-quadratic:250`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Schedule {
    /// `t_i = i / S`.
    Linear,
    /// The first half of the steps are those of a longer linear schedule, the rest grow quadratically (Movie Gen, 3.4.2).
    ///
    /// With `S` steps, `N` of the emulated schedule, `L = S / 2` rounded **down** (so an odd `S` has one more quadratic
    /// step than linear ones) and `Q = S - L`:
    /// `t_i = i/N` for `i <= L`, then `t_{L+k} = L/N + k/N + a k^2` with `a = (1 - S/N) / Q^2`.
    LinearQuadratic {
        /// `N`, at least the number of steps asked for.
        linear_steps_of: u32,
    },
}

/// Why a schedule could not be read or computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The name is none of the known ones.
    #[error(
        "unknown schedule \"{0}\": use linear, linear-quadratic or linear-quadratic:N (for example linear-quadratic:250)"
    )]
    Unknown(String),
    /// The part after the colon is not a number of steps.
    #[error(
        "schedule \"{0}\": after the colon comes a whole number of steps from 1 to 4294967295, for example linear-quadratic:250"
    )]
    BadParameter(String),
    /// The schedule takes no parameter.
    #[error("schedule \"{0}\" takes no parameter: write just linear")]
    NoParameter(String),
    /// Zero steps, or more than [`MAX_STEPS`].
    #[error("{0} steps: the number of steps must be from 1 to {MAX_STEPS}")]
    BadSteps(usize),
    /// A linear-quadratic schedule would run past `t = 1` and back.
    #[error(
        "linear-quadratic:{linear_steps_of} cannot take {steps} steps: at most {linear_steps_of}; use fewer steps, \
         linear-quadratic:{steps} or linear"
    )]
    TooManySteps {
        /// Steps asked for.
        steps: usize,
        /// Steps of the emulated linear schedule.
        linear_steps_of: u32,
    },
}

impl Schedule {
    /// The `steps + 1` times from exactly 0 to exactly 1, strictly increasing.
    ///
    /// Computed in `f64` with IEEE-exact operations, so the same on every host.
    ///
    /// # Errors
    /// [`ScheduleError::BadSteps`] for none or absurdly many; [`ScheduleError::TooManySteps`] if `steps` exceeds
    /// `linear_steps_of`.
    pub fn times(self, steps: usize) -> Result<Vec<f64>, ScheduleError> {
        if steps == 0 || steps > MAX_STEPS {
            return Err(ScheduleError::BadSteps(steps));
        }
        let mut times = match self {
            Self::Linear => (0..=steps).map(|i| count(i) / count(steps)).collect::<Vec<_>>(),
            Self::LinearQuadratic { linear_steps_of } => linear_quadratic(steps, linear_steps_of)?,
        };
        // The formulas give 1 up to rounding; a sampler must end on it exactly.
        times[steps] = 1.0;
        Ok(times)
    }
}

fn linear_quadratic(steps: usize, linear_steps_of: u32) -> Result<Vec<f64>, ScheduleError> {
    let n = f64::from(linear_steps_of);
    // Past this the quadratic part bends back; zero is refused here too.
    if count(steps) > n {
        return Err(ScheduleError::TooManySteps { steps, linear_steps_of });
    }
    let linear = steps / 2;
    let quadratic = count(steps - linear);
    let a = (1.0 - count(steps) / n) / (quadratic * quadratic);
    let time = |i: usize| {
        let k = count(i.saturating_sub(linear));
        if i <= linear { count(i) / n } else { count(linear) / n + k / n + a * (k * k) }
    };
    Ok((0..=steps).map(time).collect())
}

/// A step count, at most [`MAX_STEPS`], as `f64`, exactly.
fn count(steps: usize) -> f64 {
    steps as f64
}

impl Default for Schedule {
    /// Movie Gen's: linear-quadratic, emulating 250 steps.
    fn default() -> Self {
        Self::LinearQuadratic { linear_steps_of: DEFAULT_LINEAR_STEPS_OF }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear => f.write_str("linear"),
            Self::LinearQuadratic { linear_steps_of: DEFAULT_LINEAR_STEPS_OF } => {
                f.write_str("linear-quadratic")
            }
            Self::LinearQuadratic { linear_steps_of } => write!(f, "linear-quadratic:{linear_steps_of}"),
        }
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let (name, parameter) = match text.split_once(':') {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (text, None),
        };
        match (name, parameter) {
            ("linear", None) => Ok(Self::Linear),
            ("linear", Some(_)) => Err(ScheduleError::NoParameter(text.to_owned())),
            ("linear-quadratic", None) => Ok(Self::default()),
            ("linear-quadratic", Some(n)) => match n.parse::<u32>() {
                Ok(linear_steps_of) if linear_steps_of > 0 => Ok(Self::LinearQuadratic { linear_steps_of }),
                _ => Err(ScheduleError::BadParameter(text.to_owned())),
            },
            _ => Err(ScheduleError::Unknown(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Schedule {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> String {
        schedule.to_string()
    }
}
