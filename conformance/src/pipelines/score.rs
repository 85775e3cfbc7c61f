//! How close a pipeline came.

use kinograph_graph::OpError;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::run::RunFailure;
use crate::verdict::Verdict;

/// What a pipeline ends with.
pub(crate) type Ended = Result<Score, Stopped>;

/// Why a pipeline has no score.
pub(crate) enum Stopped {
    /// The device does not take a part of it.
    Refused(String),
    /// It is wrong, in words; perhaps with the graph in which it went wrong.
    Wrong(String, Option<Box<Problem>>),
}

impl From<String> for Stopped {
    fn from(reason: String) -> Self {
        Self::Wrong(reason, None)
    }
}

impl From<OpError> for Stopped {
    fn from(error: OpError) -> Self {
        Self::Wrong(error.to_string(), None)
    }
}

impl From<RunFailure> for Stopped {
    fn from(failure: RunFailure) -> Self {
        match failure {
            RunFailure::Refused(refusal) => Self::Refused(refusal.to_string()),
            other => Self::Wrong(other.to_string(), None),
        }
    }
}

/// The errors of a pipeline as shares of what is allowed.
#[derive(Clone, Default)]
pub(crate) struct Score {
    /// Numbers compared.
    pub(crate) elements: usize,
    /// The largest share.
    pub(crate) worst: f64,
    /// The largest difference.
    pub(crate) largest: f64,
    pub(crate) sum: f64,
    pub(crate) squares: f64,
    /// What is being compared, for the message.
    pub(crate) at: String,
    /// The first number out of bounds.
    pub(crate) first: Option<String>,
    /// The graph in which it went wrong.
    pub(crate) problem: Option<Box<Problem>>,
    pub(crate) maps: Vec<HeatMap>,
    /// Seconds of the device.
    pub(crate) seconds: f64,
    pub(crate) flops: u64,
    /// More to tell, such as a PSNR.
    pub(crate) notes: Vec<String>,
}

/// Numbers over a grid, for a picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// What it shows.
    pub title: String,
    /// What the rows are.
    pub rows: Vec<String>,
    /// What the columns are.
    pub columns: String,
    /// One number a cell, rows from the top; `None` where a row has none.
    pub values: Vec<Vec<Option<f64>>>,
    /// Columns at which a seam lies.
    pub marks: Vec<usize>,
}

impl Score {
    /// Compares one number; `bound` is absolute.
    pub(crate) fn add(&mut self, due: f64, found: f64, bound: f64) {
        let error = if due == found { 0.0 } else { (found - due).abs() };
        let share = if error == 0.0 { 0.0 } else { error / bound };
        let share = if share.is_nan() { f64::INFINITY } else { share };
        self.elements += 1;
        self.worst = self.worst.max(share);
        if share.is_finite() {
            self.largest = self.largest.max(error);
            self.sum += share.copysign(found - due);
            self.squares += share * share;
        }
        if share > 1.0 && self.first.is_none() {
            let at = if self.at.is_empty() { String::new() } else { format!("{}: ", self.at) };
            self.first = Some(format!("{at}expected {due:e}, found {found:e}, may differ by {bound:e}"));
        }
    }

    /// Takes the verdict of a graph in.
    pub(crate) fn take(&mut self, verdict: &Verdict, problem: &Problem) {
        self.elements += verdict.elements;
        self.worst = self.worst.max(verdict.worst);
        self.largest = self.largest.max(verdict.largest);
        self.sum += verdict.sum;
        self.squares += if verdict.squares.is_finite() { verdict.squares } else { 0.0 };
        if !verdict.passed() && self.first.is_none() {
            self.first = Some(verdict.to_string());
            self.problem = Some(Box::new(problem.clone()));
        }
    }
}
