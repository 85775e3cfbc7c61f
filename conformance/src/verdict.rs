//! What came out of a case.

use std::fmt;

use kinograph_graph::{DType, Tensor};

use crate::problem::Spread;

/// The result of one case on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The case.
    pub case: String,
    /// The largest error over its bound; 0 where everything is exact.
    pub worst: f64,
    /// The elements compared.
    pub elements: usize,
    /// The elements outside their bound.
    pub bad: usize,
    /// The first of them.
    pub first: Option<Bad>,
    /// The sum of all errors, each as a share of its bound and with its sign.
    pub(crate) sum: f64,
    /// The sum of their squares.
    pub(crate) squares: f64,
    /// The largest difference of an element.
    pub(crate) largest: f64,
}

/// An element outside its bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Bad {
    /// Which output.
    pub output: usize,
    /// The flat position in it.
    pub position: usize,
    /// What the reference says.
    pub expected: f64,
    /// What the device says.
    pub found: f64,
    /// The largest permitted absolute error.
    pub bound: f64,
}

impl Verdict {
    pub(crate) fn new(case: String) -> Self {
        Self { case, worst: 0.0, elements: 0, bad: 0, first: None, sum: 0.0, squares: 0.0, largest: 0.0 }
    }

    /// True when every element is within its bound.
    pub fn passed(&self) -> bool {
        self.bad == 0
    }

    /// The mean error as a share of the bound, with its sign: 0 when rounding favours no side.
    pub fn bias(&self) -> f64 {
        if self.elements == 0 { 0.0 } else { self.sum / self.elements as f64 }
    }

    /// The root of the mean square of the errors as shares of their bounds.
    pub fn spread(&self) -> f64 {
        if self.elements == 0 { 0.0 } else { (self.squares / self.elements as f64).sqrt() }
    }

    /// Compares an output of a graph as a whole.
    pub(crate) fn compare_whole(&mut self, exact: &Tensor, output: usize, found: &[f64], most: Spread) {
        let rounded: Vec<f64> = exact.data().iter().map(|&v| exact.dtype().quantize(v)).collect();
        self.elements += found.len();
        // What is exact after rounding is right, whatever devices at the bounds may do.
        if rounded.iter().zip(found).all(|(r, f)| r == f || (r.is_nan() && f.is_nan())) {
            return;
        }
        let difference = Spread::between(exact.data(), found);
        let share = most.share(difference);
        self.largest = self.largest.max(difference.largest);
        self.worst = self.worst.max(share);
        self.squares += (difference.relative / most.relative).powi(2) * found.len() as f64;
        if share > 1.0 {
            self.bad += 1;
            let far = |i: &usize| -> f64 {
                let d = (exact.data()[*i] - found[*i]).abs();
                if d.is_nan() { f64::INFINITY } else { d }
            };
            let position = (0..found.len()).max_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(0);
            let (expected, found) = (exact.data()[position], found[position]);
            self.first.get_or_insert(Bad { output, position, expected, found, bound: most.largest });
        }
    }

    /// Compares one element; `bound` is absolute, and `None` where the result must be exact.
    pub(crate) fn compare(
        &mut self,
        dtype: DType,
        at: (usize, usize),
        expected: f64,
        found: f64,
        bound: Option<f64>,
    ) {
        self.elements += 1;
        let share = share(dtype, expected, found, bound);
        if share > 1.0 {
            self.bad += 1;
            let bound = bound.unwrap_or(0.0);
            let bad = Bad { output: at.0, position: at.1, expected, found, bound };
            self.first.get_or_insert(bad);
        }
        self.worst = self.worst.max(share);
        if share.is_finite() {
            let error = if share == 0.0 { exact_share(dtype, expected, found, bound) } else { share };
            self.sum += error.copysign(found - expected);
            self.squares += error * error;
            let difference = (found - expected).abs();
            self.largest = if difference.is_finite() { self.largest.max(difference) } else { self.largest };
        }
    }
}

/// The error over its bound of a result that is the exact one rounded: it has one all the same.
fn exact_share(dtype: DType, expected: f64, found: f64, bound: Option<f64>) -> f64 {
    match bound {
        Some(bound) if dtype.is_float() && expected.is_finite() && found.is_finite() && bound > 0.0 => {
            (found - expected).abs() / bound
        }
        _ => 0.0,
    }
}

/// The error over the bound: 0 when exact, infinite when there is no excuse.
fn share(dtype: DType, expected: f64, found: f64, bound: Option<f64>) -> f64 {
    let rounded = dtype.quantize(expected);
    if rounded == found || (expected.is_nan() && found.is_nan()) {
        return 0.0;
    }
    // A bound relative to an infinite result would let everything pass: an infinity that is exact is due as it is.
    let Some(bound) = bound.filter(|_| expected.is_finite()) else { return f64::INFINITY };
    if bound == f64::INFINITY {
        return 0.0;
    }
    if found.is_infinite() {
        // Beyond the largest number, infinity is within reach of the bound.
        let reached = dtype.quantize(expected + bound.copysign(found)) == found;
        return if reached { 1.0 } else { f64::INFINITY };
    }
    if rounded.is_infinite() {
        let reached = dtype.quantize(expected - bound.copysign(expected)).is_finite();
        return if reached && found.is_finite() { 1.0 } else { f64::INFINITY };
    }
    let share = (found - expected).abs() / bound;
    if share.is_nan() { f64::INFINITY } else { share }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} elements, worst {:.3} of the bound", self.case, self.elements, self.worst)?;
        match &self.first {
            None => Ok(()),
            Some(bad) => write!(
                f,
                "; {} are outside, first output {} [{}]: expected {:e}, found {:e}, bound {:e}",
                self.bad, bad.output, bad.position, bad.expected, bad.found, bad.bound
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactness_is_after_rounding() {
        assert_eq!(share(DType::F16, 1.0 + 1e-5, 1.0, None), 0.0);
        assert_eq!(share(DType::F32, 1.0, 1.5, None), f64::INFINITY);
        assert_eq!(share(DType::F32, f64::NAN, f64::NAN, None), 0.0);
        assert_eq!(share(DType::F32, f64::NAN, 0.0, Some(9.0)), f64::INFINITY);
    }

    #[test]
    fn infinities_count_only_where_they_are_within_reach() {
        assert_eq!(share(DType::F32, 1.0, f64::INFINITY, Some(0.5)), f64::INFINITY);
        assert_eq!(share(DType::F32, f64::from(f32::MAX), f64::INFINITY, Some(1e33)), 1.0);
        assert_eq!(share(DType::F32, 1.0, f64::NAN, Some(0.5)), f64::INFINITY);
        assert_eq!(share(DType::F32, 1.0, 1.25, Some(0.5)), 0.5);
        assert_eq!(share(DType::F32, f64::INFINITY, f64::from(f32::MAX), Some(f64::INFINITY)), f64::INFINITY);
    }
}
