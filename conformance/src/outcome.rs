//! What came of a case.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bisect::Divergence;
use crate::catalogue::{Item, Kind};
pub use crate::pipelines::HeatMap;

/// The verdict on one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// Every bit is that of the exact answer rounded once.
    Identical,
    /// Every element is within its bound.
    Within,
    /// The device says that it does not take it.
    Unsupported {
        /// Why.
        reason: String,
    },
    /// It fails as expected.
    ExpectedFailure {
        /// Why it is expected.
        reason: String,
        /// How it fails.
        message: String,
    },
    /// It passes although a failure is expected: the list is out of date.
    UnexpectedPass {
        /// Why it was expected to fail.
        reason: String,
    },
    /// It is wrong.
    Failed(Box<Failure>),
}

/// How a case failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// In words.
    pub message: String,
    /// The first wrong node, where it was looked for and found.
    pub divergence: Option<Divergence>,
    /// The file to replay it from.
    pub saved: Option<PathBuf>,
}

impl Outcome {
    pub(crate) fn wrong(message: String) -> Self {
        Self::Failed(Box::new(Failure { message, divergence: None, saved: None }))
    }

    /// True when the device is at fault, or the list of expected failures.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::UnexpectedPass { .. })
    }

    /// True when the answer is right.
    pub fn is_pass(&self) -> bool {
        matches!(self, Self::Identical | Self::Within)
    }

    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Within => "within",
            Self::Unsupported { .. } => "unsupported",
            Self::ExpectedFailure { .. } => "expected-failure",
            Self::UnexpectedPass { .. } => "unexpected-pass",
            Self::Failed(_) => "failed",
        }
    }

    /// What there is to say beyond the name.
    pub fn detail(&self) -> String {
        match self {
            Self::Identical | Self::Within => String::new(),
            Self::Unsupported { reason } => reason.clone(),
            Self::ExpectedFailure { reason, message } => format!("{reason} ({message})"),
            Self::UnexpectedPass { reason } => format!("passed, but was expected to fail: {reason}"),
            Self::Failed(failure) => failure.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(divergence) = &self.divergence {
            write!(f, "; {divergence}")?;
        }
        match &self.saved {
            Some(path) => write!(f, "; saved as {}", path.display()),
            None => Ok(()),
        }
    }
}

/// A case on a device: the verdict, and by how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The case.
    pub id: String,
    /// `op`, `graph` or `pipeline`.
    pub kind: String,
    /// What it belongs to: an op, or a kind of pipeline.
    pub group: String,
    /// The verdict.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Numbers compared.
    pub elements: usize,
    /// The largest error as a share of what is allowed.
    pub share: f64,
    /// The largest absolute error.
    pub largest: f64,
    /// The mean error as a share of what is allowed, with its sign.
    pub bias: f64,
    /// The root mean square error as a share of what is allowed.
    pub spread: f64,
    /// Seconds of the whole case: device, exact evaluation, comparison.
    pub seconds: f64,
    /// Seconds of the device.
    pub device_seconds: f64,
    /// Operations of the device.
    pub flops: u64,
    /// The digest of what the device made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// More to tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The smallest case of the kind that fails too, for random cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smaller: Option<String>,
    /// Pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<HeatMap>,
}

impl Record {
    pub(crate) fn new(item: &Item) -> Self {
        let kind = match item.kind {
            Kind::Op(_) => "op",
            Kind::Graph(_) => "graph",
            Kind::Pipeline(_) => "pipeline",
        };
        Self { group: item.group().to_owned(), ..Self::named(&item.id, kind) }
    }

    pub(crate) fn named(id: &str, kind: &str) -> Self {
        Self {
            id: id.to_owned(),
            kind: kind.to_owned(),
            group: kind.to_owned(),
            outcome: Outcome::Within,
            elements: 0,
            share: 0.0,
            largest: 0.0,
            bias: 0.0,
            spread: 0.0,
            seconds: 0.0,
            device_seconds: 0.0,
            flops: 0,
            digest: String::new(),
            notes: Vec::new(),
            smaller: None,
            maps: Vec::new(),
        }
    }

    /// Turns the verdict round when a failure is expected. What is not supported stays so.
    pub(crate) fn expect(&mut self, reason: Option<&str>) {
        let Some(reason) = reason else { return };
        let reason = reason.to_owned();
        self.outcome = match std::mem::replace(&mut self.outcome, Outcome::Within) {
            Outcome::Failed(failure) => Outcome::ExpectedFailure { reason, message: failure.to_string() },
            Outcome::Identical | Outcome::Within => Outcome::UnexpectedPass { reason },
            other => other,
        };
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16} {}", self.outcome.name(), self.id)?;
        if self.outcome == Outcome::Within {
            write!(f, "  {:.3} of the bound", self.share)?;
        }
        if !self.outcome.is_pass() {
            write!(f, "  {}", self.outcome.detail())?;
        }
        match &self.smaller {
            Some(smaller) => write!(f, "; a smaller one: {smaller}"),
            None => Ok(()),
        }
    }
}
