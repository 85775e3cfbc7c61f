//! What came out of a case.

use std::fmt;

use kinograph_graph::DType;

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
        Self { case, worst: 0.0, elements: 0, bad: 0, first: None }
    }

    /// True when every element is within its bound.
    pub fn passed(&self) -> bool {
        self.bad == 0
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
    }
}

/// The error over the bound: 0 when exact, infinite when there is no excuse.
fn share(dtype: DType, expected: f64, found: f64, bound: Option<f64>) -> f64 {
    let rounded = dtype.quantize(expected);
    if rounded == found || (expected.is_nan() && found.is_nan()) {
        return 0.0;
    }
    let Some(bound) = bound.filter(|_| !expected.is_nan()) else { return f64::INFINITY };
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
    }
}
