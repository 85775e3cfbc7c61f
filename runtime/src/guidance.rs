//! How strongly classifier-free guidance pulls at each time.
//!
//! ```
//! use kinograph::guidance::Guidance;
//!
//! let guidance: Guidance = "7.5@0.1-0.8".parse()?;
//! assert_eq!((guidance.scale_at(0.05), guidance.scale_at(0.5)), (1.0, 7.5));
//! # Ok::<(), kinograph::guidance::GuidanceError>(())
//! ```

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The scales that make sense at all.
const SCALES: RangeInclusive<f32> = 0.0..=1000.0;

/// The scale of guidance over time: the same at all times, or only within an interval of time (Kynkaanniemi et al., Applying
/// Guidance in a Limited Interval, 2024) and none, which is 1, outside.
///
/// As text, in packages and on the command line: `7.5` or `7.5@0.1-0.8`. In TOML and JSON also a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "InFile", into = "InFile")]
pub struct Guidance {
    scale: f32,
    interval: Option<(f64, f64)>,
}

/// Why a text is no guidance, or its numbers make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GuidanceError {
    /// Neither of the forms.
    #[error(
        "guidance \"{0}\": write a scale or a scale and an interval of time in plain decimals, for example 7.5 or 7.5@0.1-0.8"
    )]
    BadText(String),
    /// The scale is out of range.
    #[error("guidance scale {0}: it must be a number from 0 to 1000; 1 is no guidance")]
    BadScale(f32),
    /// The interval is empty or not within 0 to 1.
    #[error("guidance from t = {from} to {to}: the interval must lie within 0 and 1 and end after it begins")]
    BadInterval {
        /// Its begin.
        from: f64,
        /// Its end.
        to: f64,
    },
}

impl Guidance {
    /// The same scale at all times, from 0 to 1000.
    ///
    /// # Errors
    /// [`GuidanceError::BadScale`].
    pub fn constant(scale: f32) -> Result<Self, GuidanceError> {
        if !SCALES.contains(&scale) {
            return Err(GuidanceError::BadScale(scale));
        }
        // Of the two zeros, the one without a sign to print.
        Ok(Self { scale: scale + 0.0, interval: None })
    }

    /// That scale from time `from` to time `to`, both included, and 1 outside; `0 <= from < to <= 1`.
    ///
    /// # Errors
    /// [`GuidanceError::BadScale`], [`GuidanceError::BadInterval`].
    pub fn interval(scale: f32, from: f64, to: f64) -> Result<Self, GuidanceError> {
        if !(0.0 <= from && from < to && to <= 1.0) {
            return Err(GuidanceError::BadInterval { from, to });
        }
        Ok(Self { interval: Some((from + 0.0, to)), ..Self::constant(scale)? })
    }

    /// The scale at time `t`, for [`guide`](crate::sampler::guide).
    pub fn scale_at(self, t: f64) -> f32 {
        match self.interval {
            Some((from, to)) if !(from..=to).contains(&t) => 1.0,
            _ => self.scale,
        }
    }

    /// Whether the scale is not the same at all times.
    pub fn has_interval(self) -> bool {
        self.interval.is_some()
    }

    /// Whether there is no guidance at any time, so that the negative prompt has no influence.
    pub fn is_none(self) -> bool {
        self.scale == 1.0
    }
}

impl fmt::Display for Guidance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interval {
            None => write!(f, "{}", self.scale),
            Some((from, to)) => write!(f, "{}@{from}-{to}", self.scale),
        }
    }
}

impl FromStr for Guidance {
    type Err = GuidanceError;

    fn from_str(text: &str) -> Result<Self, GuidanceError> {
        let bad = || GuidanceError::BadText(text.to_owned());
        let time = |text: &str| text.parse::<f64>().map_err(|_| bad());
        let (scale, interval) = match text.split_once('@') {
            None => (text, None),
            Some((scale, interval)) => (scale, Some(interval.split_once('-').ok_or_else(bad)?)),
        };
        let scale = scale.parse::<f32>().map_err(|_| bad())?;
        match interval {
            None => Self::constant(scale),
            Some((from, to)) => Self::interval(scale, time(from)?, time(to)?),
        }
    }
}

/// What stands in a file.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "guidance must be a number or a text like \"7.5@0.1-0.8\"")]
enum InFile {
    Scale(f32),
    Text(String),
}

impl TryFrom<InFile> for Guidance {
    type Error = GuidanceError;

    fn try_from(input: InFile) -> Result<Self, GuidanceError> {
        match input {
            InFile::Scale(scale) => Self::constant(scale),
            InFile::Text(text) => text.parse(),
        }
    }
}

impl From<Guidance> for InFile {
    fn from(guidance: Guidance) -> Self {
        match guidance.interval {
            None => Self::Scale(guidance.scale),
            Some(_) => Self::Text(guidance.to_string()),
        }
    }
}
