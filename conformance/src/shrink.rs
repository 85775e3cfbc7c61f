//! Smaller cases that fail too.

use kinograph_backend::Device;
use kinograph_graph::Attr;

use crate::case::Case;
use crate::run::{RunFailure, run};

/// More tries than these are not worth the wait.
const TRIES: usize = 400;

/// The smallest case that was found to fail as this one does, by making its sizes smaller one after the other; `None` when this
/// one does not fail, or no smaller one does.
pub fn shrink(device: &dyn Device, case: &Case) -> Option<Case> {
    let fails = |case: &Case| match run(device, case) {
        Ok(verdict) => !verdict.passed(),
        // What a device refuses, or an op does not take, is no failure.
        Err(RunFailure::Refused(_) | RunFailure::Case(_)) => false,
        Err(_) => true,
    };
    if !fails(case) {
        return None;
    }
    let (mut best, mut tries) = (case.clone(), 0);
    let mut improved = true;
    while improved {
        improved = false;
        for smaller in candidates(&best) {
            tries += 1;
            if tries > TRIES {
                break;
            }
            if fails(&smaller) {
                (best, improved) = (smaller, true);
                break;
            }
        }
    }
    (best.sizes() < case.sizes()).then_some(best)
}

/// The case with each of its sizes made smaller everywhere it stands: 1, half of it, one less.
fn candidates(case: &Case) -> Vec<Case> {
    let mut sizes: Vec<usize> = case.operands.iter().flatten().flat_map(|o| o.desc.shape.clone()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut out = Vec::new();
    for &size in sizes.iter().rev().filter(|&&s| s > 1) {
        for to in [1, size / 2, size - 1] {
            out.extend(replaced(case, size, to, true));
            out.extend(replaced(case, size, to, false));
        }
    }
    out
}

fn replaced(case: &Case, from: usize, to: usize, in_attributes: bool) -> Option<Case> {
    let mut operands = case.operands.clone();
    for operand in operands.iter_mut().flatten() {
        operand.desc.shape.iter_mut().filter(|d| **d == from).for_each(|d| *d = to);
    }
    let mut given = case.given.clone();
    if in_attributes {
        for (_, value) in &mut given {
            match value {
                Attr::Int(v) if *v == from as i64 => *v = to as i64,
                Attr::Ints(list) => {
                    list.iter_mut().filter(|v| **v == from as i64).for_each(|v| *v = to as i64)
                }
                _ => {}
            }
        }
    }
    Case::new(case.op, case.name.clone(), operands, given, case.seed).ok()
}

impl Case {
    /// The sum of the elements of its operands.
    fn sizes(&self) -> usize {
        self.operands.iter().flatten().map(|o| o.desc.elements()).sum()
    }

    /// What it is made of, in one line.
    pub fn describe(&self) -> String {
        let operands: Vec<String> = self
            .operands
            .iter()
            .map(|o| o.as_ref().map_or_else(|| "none".to_owned(), |o| o.desc.to_string()))
            .collect();
        let attrs: Vec<String> = self.given.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        format!("{}({}) {}", self.op.name, operands.join(", "), attrs.join(", ")).trim_end().to_owned()
    }
}
