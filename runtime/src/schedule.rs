//! The times a sampler visits, from pure noise at `t = 0` to the finished sample at `t = 1`.
//!
//! ```
//! use kinograph::schedule::Schedule;
//!
//! let schedule: Schedule = "linear-quadratic:250".parse()?;
//! let times = schedule.times(50)?;
//! assert_eq!((times.len(), times[0], times[50]), (51, 0.0, 1.0));
//!
//! // A list fixes its number of steps itself.
//! let schedule: Schedule = "explicit:0,0.25,0.5,1".parse()?;
//! assert_eq!(schedule.steps(), Some(3));
//! # Ok::<(), kinograph::schedule::ScheduleError>(())
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Steps of the linear schedule that [`Schedule::LinearQuadratic`] starts like, unless it says otherwise: 250.
pub const DEFAULT_LINEAR_STEPS_OF: u32 = 250;

/// The largest step count accepted: far above any use, small enough that a slip of the keyboard allocates little.
pub const MAX_STEPS: usize = 100_000;

/// The times of that many steps.
const MOST_TIMES: usize = MAX_STEPS + 1;

/// Far beyond what models use (1 to 17), and near enough that [`MAX_STEPS`] times still differ.
const SHIFTS: RangeInclusive<f64> = 0.01..=100.0;

/// How the steps of a run are spaced in time.
///
/// As text, in packages and on the command line: `linear`, `linear-quadratic`, `linear-quadratic:250`, `shifted:3`,
/// `levels:3:0.001`, `levels-open:3:0.001`, `explicit:0,0.25,0.5,1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Linear steps of the noise level `sigma = 1 - t`, moved to `sigma' = shift sigma / (1 + (shift - 1) sigma)` (the flow
    /// shift of Stable Diffusion 3, Hunyuan Video and Wan).
    ///
    /// That is `t_i = i / (i + shift (S - i))`. A shift above 1 takes shorter steps where there is more noise; 1 is
    /// [`Linear`](Self::Linear).
    Shifted {
        /// From 0.01 to 100.
        shift: f64,
    },
    /// Levels of noise `sigma = 1 - t` as flow models are sampled that were trained on a fixed list of levels: linear from 1
    /// to the `least`, moved as in [`Shifted`](Self::Shifted), and 0 at the end.
    Levels {
        /// From 0.01 to 100.
        shift: f64,
        /// The last level before 0, before it is moved: above 0 and below 1.
        least: f64,
        /// Whether the linear levels stop one before the least.
        open: bool,
    },
    /// Just these times: strictly rising, the first exactly 0 and the last exactly 1, at most [`MAX_STEPS`] steps.
    Explicit(
        /// One more than there are steps.
        Vec<f64>,
    ),
}

/// Why a schedule could not be read or computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The name is none of the known ones.
    #[error(
        "unknown schedule \"{0}\": use linear, linear-quadratic, linear-quadratic:N (for example linear-quadratic:250), \
         shifted:S (shifted:3), levels:S:LEAST, levels-open:S:LEAST (levels:3:0.001) or explicit:T,T,... (explicit:0,0.25,0.5,1)"
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
    /// The shift is missing, not a number, or out of range.
    #[error("schedule \"shifted:{0}\": the shift must be a number from 0.01 to 100, for example shifted:3")]
    BadShift(String),
    /// The numbers of a schedule of levels are missing or out of range.
    #[error(
        "schedule \"levels:{0}\": after the colon come a shift from 0.01 to 100 and a level between 0 and 1, for example levels:3:0.001"
    )]
    BadLevels(String),
    /// An entry of an explicit list is not a number.
    #[error(
        "schedule explicit: entry {entry} is \"{text}\": write numbers with commas between, for example explicit:0,0.25,0.5,1"
    )]
    NotATime {
        /// Which, from 1.
        entry: usize,
        /// As found.
        text: String,
    },
    /// An entry of an explicit list is not above the one before.
    #[error(
        "schedule explicit: entry {entry} is {time} after {before}: each time must be larger than the one before"
    )]
    NotRising {
        /// Which, from 1.
        entry: usize,
        /// Its time.
        time: f64,
        /// The time before it.
        before: f64,
    },
    /// An explicit list does not go from 0 to 1.
    #[error("schedule explicit: it goes from {first} to {last}: the first time must be 0 and the last 1")]
    BadEnds {
        /// The first time.
        first: f64,
        /// The last time.
        last: f64,
    },
    /// Another number of steps than the schedule fixes.
    #[error(
        "{asked} steps, but the schedule's list of {} times makes {fixed}: leave out the number of steps, ask for {fixed}, or \
         take another schedule",
        .fixed + 1
    )]
    FixedSteps {
        /// As asked.
        asked: usize,
        /// Those of the list.
        fixed: usize,
    },
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
    /// The number of steps, if the schedule itself fixes it: an explicit list does.
    pub fn steps(&self) -> Option<usize> {
        match self {
            Self::Explicit(times) => Some(times.len().saturating_sub(1)),
            _ => None,
        }
    }

    /// The `steps + 1` times from exactly 0 to exactly 1, strictly increasing.
    ///
    /// Computed in `f64` with IEEE-exact operations, so the same on every host.
    ///
    /// # Errors
    /// [`ScheduleError::BadSteps`] for none or absurdly many; [`ScheduleError::TooManySteps`] if `steps` exceeds
    /// `linear_steps_of`; [`ScheduleError::FixedSteps`] if `steps` is not what [`steps`](Self::steps) says; what is wrong with
    /// a shift or a list that was not read from text.
    pub fn times(&self, steps: usize) -> Result<Vec<f64>, ScheduleError> {
        if steps == 0 || steps > MAX_STEPS {
            return Err(ScheduleError::BadSteps(steps));
        }
        let mut times = match self {
            Self::Linear => (0..=steps).map(|i| count(i) / count(steps)).collect::<Vec<_>>(),
            Self::LinearQuadratic { linear_steps_of } => linear_quadratic(steps, *linear_steps_of)?,
            Self::Shifted { shift } => shifted(steps, *shift)?,
            Self::Levels { shift, least, open } => levels(steps, *shift, *least, *open)?,
            Self::Explicit(times) => explicit(steps, times)?,
        };
        // The formulas give 1 up to rounding; a sampler must end on it exactly. A list may begin with -0.
        times[0] = 0.0;
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

fn shifted(steps: usize, shift: f64) -> Result<Vec<f64>, ScheduleError> {
    check_shift(shift)?;
    // Without the detour over the noise level, which would cancel digits near t = 0.
    let time = |i: usize| count(i) / (count(i) + shift * count(steps - i));
    Ok((0..=steps).map(time).collect())
}

fn levels(steps: usize, shift: f64, least: f64, open: bool) -> Result<Vec<f64>, ScheduleError> {
    check_levels(shift, least)?;
    let parts = if open { steps } else { (steps - 1).max(1) };
    let part = (least - 1.0) / count(parts);
    let time = |i: usize| {
        let level = 1.0 + count(i) * part;
        1.0 - shift * level / (1.0 + (shift - 1.0) * level)
    };
    Ok((0..steps).map(time).chain([1.0]).collect())
}

fn check_levels(shift: f64, least: f64) -> Result<(), ScheduleError> {
    if SHIFTS.contains(&shift) && 0.0 < least && least < 1.0 {
        return Ok(());
    }
    Err(ScheduleError::BadLevels(format!("{shift}:{least}")))
}

fn explicit(steps: usize, times: &[f64]) -> Result<Vec<f64>, ScheduleError> {
    check_list(times)?;
    match times.len() - 1 {
        fixed if fixed == steps => Ok(times.to_vec()),
        fixed => Err(ScheduleError::FixedSteps { asked: steps, fixed }),
    }
}

fn check_shift(shift: f64) -> Result<(), ScheduleError> {
    if SHIFTS.contains(&shift) { Ok(()) } else { Err(ScheduleError::BadShift(shift.to_string())) }
}

fn check_list(times: &[f64]) -> Result<(), ScheduleError> {
    let (&[first, .., last], 2..=MOST_TIMES) = (times, times.len()) else {
        return Err(ScheduleError::BadSteps(times.len().saturating_sub(1)));
    };
    if let Some(i) = times.windows(2).position(|pair| pair[0].partial_cmp(&pair[1]) != Some(Ordering::Less)) {
        return Err(ScheduleError::NotRising { entry: i + 2, time: times[i + 1], before: times[i] });
    }
    if first == 0.0 && last == 1.0 { Ok(()) } else { Err(ScheduleError::BadEnds { first, last }) }
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
            Self::Shifted { shift } => write!(f, "shifted:{shift}"),
            Self::Levels { shift, least, open } => {
                let open = if *open { "-open" } else { "" };
                write!(f, "levels{open}:{shift}:{least}")
            }
            Self::Explicit(times) => {
                f.write_str("explicit:")?;
                times.iter().enumerate().try_for_each(|(i, time)| {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{time}")
                })
            }
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
            ("shifted", shift) => parse_shift(shift.unwrap_or_default()),
            ("levels", numbers) => parse_levels(numbers.unwrap_or_default(), false),
            ("levels-open", numbers) => parse_levels(numbers.unwrap_or_default(), true),
            ("explicit", times) => parse_list(times.unwrap_or_default()),
            _ => Err(ScheduleError::Unknown(text.to_owned())),
        }
    }
}

fn parse_shift(text: &str) -> Result<Schedule, ScheduleError> {
    let shift = text.parse().map_err(|_| ScheduleError::BadShift(text.to_owned()))?;
    check_shift(shift)?;
    Ok(Schedule::Shifted { shift })
}

fn parse_levels(text: &str, open: bool) -> Result<Schedule, ScheduleError> {
    let bad = || ScheduleError::BadLevels(text.to_owned());
    let (shift, least) = text.split_once(':').ok_or_else(bad)?;
    let number = |text: &str| text.parse::<f64>().map_err(|_| bad());
    let (shift, least) = (number(shift)?, number(least)?);
    check_levels(shift, least)?;
    Ok(Schedule::Levels { shift, least, open })
}

fn parse_list(text: &str) -> Result<Schedule, ScheduleError> {
    let time = |(i, text): (usize, &str)| {
        // People put a space after a comma.
        let text = text.trim();
        text.parse::<f64>().map_err(|_| ScheduleError::NotATime { entry: i + 1, text: text.to_owned() })
    };
    // One too many is enough to be refused.
    let times = text.split(',').take(MOST_TIMES + 1).enumerate().map(time).collect::<Result<Vec<_>, _>>()?;
    check_list(&times)?;
    Ok(Schedule::Explicit(times))
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
