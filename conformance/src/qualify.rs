//! All cases on a device, against what is expected of it.

use std::collections::BTreeMap;

use kinograph_backend::Device;

use crate::case::Case;
use crate::expectations::Expectations;
use crate::run::{RunFailure, run};

/// What came of a list of cases.
#[derive(Clone, Debug, Default)]
pub struct Qualified {
    /// Cases within their bounds.
    pub passed: usize,
    /// Refused cases by op and reason.
    pub refused: BTreeMap<String, usize>,
    /// Failures that were expected, by reason.
    pub expected: BTreeMap<String, usize>,
    /// What must not be: failures that were not expected, and passes where a failure was.
    pub wrong: Vec<String>,
}

/// Runs cases on a device.
pub fn qualify(device: &dyn Device, cases: &[Case], expectations: &Expectations) -> Qualified {
    let mut out = Qualified::default();
    for case in cases {
        let expected = expectations.reason(case);
        let failure = match run(device, case) {
            Ok(verdict) if verdict.passed() => None,
            Ok(verdict) => Some(verdict.to_string()),
            Err(RunFailure::Refused(refusal)) => {
                *out.refused.entry(format!("{}: {refusal}", case.op.name)).or_default() += 1;
                continue;
            }
            Err(error) => Some(format!("{case}: {error}")),
        };
        match (failure, expected) {
            (None, None) => out.passed += 1,
            (Some(_), Some(reason)) => *out.expected.entry(reason.to_owned()).or_default() += 1,
            (Some(failure), None) => out.wrong.push(failure),
            (None, Some(reason)) => {
                out.wrong.push(format!("{case}: passed, but was expected to fail: {reason}"))
            }
        }
    }
    out
}
