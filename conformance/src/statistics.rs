//! Errors of many sums at once: each may be within its bound, and all together still show a kernel that rounds to one side, or
//! that keeps fewer bits than it should.
//!
//! A sum of K terms rounds about K times. Rounding to nearest errs to either side alike, by a third of the square of the unit
//! in the mean, so that the errors of T sums, in units of the scale that the bound has, have a mean near 0 and squares of K / 3 or
//! less. The limits are those of the reference model of TOSA (Arm): the sum of the errors within 2 sqrt(K T), that of the squares
//! within 0.4 K T.

use kinograph_graph::{DType, TensorDesc};

use crate::case::Case;
use crate::verdict::Verdict;

/// Ops that are sums of products and nothing else.
const SUMS: [&str; 6] = ["Conv", "ConvTranspose", "Linear", "MatMul", "ReduceMean", "ReduceSum"];

/// Fewer outputs or terms than these tell nothing.
const LEAST_OUTPUTS: usize = 256;
const LEAST_TERMS: usize = 16;

/// What is wrong with the errors of a case as a whole, if anything is.
pub(crate) fn judge(case: &Case, verdict: &Verdict) -> Option<String> {
    let terms = terms(case)?;
    if verdict.elements < LEAST_OUTPUTS || terms < LEAST_TERMS {
        return None;
    }
    let (outputs, terms) = (verdict.elements as f64, terms as f64);
    // Shares are of a bound of K + 2 units.
    let unit = terms + 2.0;
    let (sum, squares) = (verdict.sum * unit, verdict.squares * unit * unit);
    let (most_sum, most_squares) = (2.0 * (terms * outputs).sqrt(), 0.4 * terms * outputs);
    if squares > most_squares {
        let share = squares / most_squares;
        return Some(format!(
            "the squares of the errors are {share:.2} of what rounding of sums of {terms} terms gives"
        ));
    }
    if sum.abs() > most_sum {
        let side = if sum > 0.0 { "up" } else { "down" };
        let share = sum.abs() / most_sum;
        return Some(format!(
            "the errors lean {side}: their sum is {share:.2} of what rounding to nearest may give"
        ));
    }
    None
}

/// The terms of each sum of a case in f32, if it is one of sums.
fn terms(case: &Case) -> Option<usize> {
    if !SUMS.contains(&case.op.name) {
        return None;
    }
    let descs: Vec<Option<&TensorDesc>> = case.operands.iter().map(|o| o.as_ref().map(|o| &o.desc)).collect();
    if descs.iter().flatten().any(|desc| desc.dtype != DType::F32) {
        return None;
    }
    let args = kinograph_graph::Args { op: case.op, inputs: &descs, attrs: &case.attrs };
    let outputs = (case.op.infer)(&args).ok()?;
    let elements: usize = outputs.iter().map(TensorDesc::elements).sum();
    let each = (case.op.flops)(&args, &outputs) / (elements.max(1) as u64);
    // Products count twice.
    Some(if case.op.name.starts_with("Reduce") { each } else { each / 2 } as usize)
}
