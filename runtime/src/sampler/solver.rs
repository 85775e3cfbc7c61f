//! The choice of a solver and its text.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::adaptive::Tolerance;
use super::runge_kutta::{self, Tableau};
use super::unipc::{MAX_ORDER, UniPc, UniPcVariant};

/// Both tolerances of `dopri5` unless it says otherwise: a common choice for flow and score models, 84 times what `f32`
/// resolves at 1, and far below what an 8-bit frame shows.
pub const DEFAULT_TOLERANCE: f64 = 1e-5;

/// Finer than this, the rounding of the `f32` state is what would be controlled.
const RTOL: RangeInclusive<f64> = 1e-6..=1.0;

const ATOL: RangeInclusive<f64> = 1e-12..=1.0;

/// How the state is moved on in time.
///
/// As text, in packages and on the command line: `euler`, `midpoint`, `heun`, `rk4`, `dopri5`, `dopri5:RTOL:ATOL`,
/// `unipc`, `unipc:ORDER`, `unipc:ORDER:bh1`. What a step costs is [`Solver::velocities_per_step`], so that progress and plans need no knowledge of the method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Solver {
    /// First order: `X += (t_{i+1} - t_i) * u(X, t_i)` (Movie Gen, 3.4.2).
    #[default]
    Euler,
    /// Second order: the velocity at the middle of an Euler step.
    Midpoint,
    /// Second order: the mean of the velocities at both ends of an Euler step.
    Heun,
    /// Fourth order: the classical method of Runge and Kutta.
    Rk4,
    /// Fifth order with steps of its own choice (Dormand and Prince, 1980, 5(4)).
    ///
    /// A step is taken when the root mean square, over all elements, of `error / (atol + rtol * max(|before|, |after|))` is
    /// at most 1.
    DormandPrince {
        /// Error a step may make, relative to the state: from 1e-6 to 1.
        rtol: f64,
        /// Error a step may make where the state is near 0: from 1e-12 to 1.
        atol: f64,
    },
    /// A multistep predictor and corrector for flow models (Zhao et al., UniPC, 2023), with one evaluation a step. It
    /// counts time by the logarithm of signal to noise, and uses lower orders for the first steps and the last.
    UniPc {
        /// Steps that it looks back to, the present one included: from 1 to 3. The order of accuracy is one more.
        order: usize,
        /// Which form of it.
        variant: UniPcVariant,
    },
}

/// Why a text names no solver, or a solver cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SolverError {
    /// The name is none of the known ones.
    #[error(
        "unknown solver \"{0}\": use euler, midpoint, heun, rk4, dopri5, dopri5:RTOL:ATOL, unipc or unipc:ORDER"
    )]
    Unknown(String),
    /// The solver takes no parameter.
    #[error(
        "solver \"{0}\" takes no parameter: write just its name; only dopri5 and unipc take any, as dopri5:RTOL:ATOL and unipc:ORDER"
    )]
    NoParameter(String),
    /// The parameters are not two numbers.
    #[error("solver \"{0}\": after dopri5 come both tolerances or none, for example dopri5:1e-4:1e-4")]
    BadParameter(String),
    /// The parameters of `unipc` are not an order and a variant.
    #[error(
        "solver \"{0}\": after unipc come an order from 1 to 3 and perhaps bh1 or bh2, for example unipc:3:bh1"
    )]
    BadOrder(String),
    /// A tolerance is out of range.
    #[error("dopri5:{rtol:e}:{atol:e}: RTOL must be from 1e-6 to 1 and ATOL from 1e-12 to 1")]
    BadTolerance {
        /// Tolerance relative to the state.
        rtol: f64,
        /// Absolute tolerance.
        atol: f64,
    },
}

impl Solver {
    /// Evaluations of the velocity in each step; `None` if that depends on the model.
    pub fn velocities_per_step(self) -> Option<usize> {
        (!self.is_adaptive()).then(|| self.tableau().stages())
    }

    /// The vectors of the state's length that the solver carries from step to step behind the state, see
    /// [`sample`](super::sample()): 0 but for multistep solvers.
    pub fn carried(self) -> usize {
        self.multistep().map_or(0, |method| 1 + method.order)
    }

    pub(super) fn multistep(self) -> Option<UniPc> {
        match self {
            Self::UniPc { order, variant } => Some(UniPc { order, variant }),
            _ => None,
        }
    }

    /// Whether the solver chooses its steps itself and takes from a schedule only begin and end.
    pub fn is_adaptive(self) -> bool {
        self.tolerance().is_some()
    }

    /// Whether the tolerances are in range, as they always are in a solver that was read from text.
    ///
    /// # Errors
    /// [`SolverError::BadTolerance`], [`SolverError::BadOrder`].
    pub fn check(self) -> Result<(), SolverError> {
        match self {
            Self::DormandPrince { rtol, atol } if !(RTOL.contains(&rtol) && ATOL.contains(&atol)) => {
                Err(SolverError::BadTolerance { rtol, atol })
            }
            Self::UniPc { order, .. } if !(1..=MAX_ORDER).contains(&order) => {
                Err(SolverError::BadOrder(self.to_string()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn tolerance(self) -> Option<Tolerance> {
        match self {
            Self::DormandPrince { rtol, atol } => Some(Tolerance { rtol, atol }),
            _ => None,
        }
    }

    pub(super) fn tableau(self) -> &'static Tableau {
        match self {
            // Of a multistep solver only the one evaluation a step counts here.
            Self::Euler | Self::UniPc { .. } => &runge_kutta::EULER,
            Self::Midpoint => &runge_kutta::MIDPOINT,
            Self::Heun => &runge_kutta::HEUN,
            Self::Rk4 => &runge_kutta::RK4,
            Self::DormandPrince { .. } => &runge_kutta::DORMAND_PRINCE,
        }
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Euler => f.write_str("euler"),
            Self::Midpoint => f.write_str("midpoint"),
            Self::Heun => f.write_str("heun"),
            Self::Rk4 => f.write_str("rk4"),
            Self::DormandPrince { rtol: DEFAULT_TOLERANCE, atol: DEFAULT_TOLERANCE } => f.write_str("dopri5"),
            Self::DormandPrince { rtol, atol } => write!(f, "dopri5:{rtol:e}:{atol:e}"),
            Self::UniPc { order: 2, variant: UniPcVariant::Bh2 } => f.write_str("unipc"),
            Self::UniPc { order, variant: UniPcVariant::Bh2 } => write!(f, "unipc:{order}"),
            Self::UniPc { order, variant: UniPcVariant::Bh1 } => write!(f, "unipc:{order}:bh1"),
        }
    }
}

impl FromStr for Solver {
    type Err = SolverError;

    fn from_str(text: &str) -> Result<Self, SolverError> {
        let (name, parameters) = match text.split_once(':') {
            Some((name, parameters)) => (name, Some(parameters)),
            None => (text, None),
        };
        let solver = match name {
            "euler" => Self::Euler,
            "midpoint" => Self::Midpoint,
            "heun" => Self::Heun,
            "rk4" => Self::Rk4,
            "dopri5" => Self::DormandPrince { rtol: DEFAULT_TOLERANCE, atol: DEFAULT_TOLERANCE },
            "unipc" => return unipc(text, parameters.unwrap_or("2")),
            _ => return Err(SolverError::Unknown(text.to_owned())),
        };
        let Some(parameters) = parameters else { return Ok(solver) };
        if !solver.is_adaptive() {
            return Err(SolverError::NoParameter(text.to_owned()));
        }
        let bad = || SolverError::BadParameter(text.to_owned());
        let (rtol, atol) = parameters.split_once(':').ok_or_else(bad)?;
        let number = |text: &str| text.parse::<f64>().map_err(|_| bad());
        let solver = Self::DormandPrince { rtol: number(rtol)?, atol: number(atol)? };
        solver.check()?;
        Ok(solver)
    }
}

fn unipc(text: &str, parameters: &str) -> Result<Solver, SolverError> {
    let bad = || SolverError::BadOrder(text.to_owned());
    let (order, variant) = parameters.split_once(':').unwrap_or((parameters, "bh2"));
    let variant = match variant {
        "bh1" => UniPcVariant::Bh1,
        "bh2" => UniPcVariant::Bh2,
        _ => return Err(bad()),
    };
    let solver = Solver::UniPc { order: order.parse().map_err(|_| bad())?, variant };
    solver.check().map_err(|_| bad())?;
    Ok(solver)
}

impl TryFrom<String> for Solver {
    type Error = SolverError;

    fn try_from(text: String) -> Result<Self, SolverError> {
        text.parse()
    }
}

impl From<Solver> for String {
    fn from(solver: Solver) -> String {
        solver.to_string()
    }
}
