//! The references against PyTorch in f64, and their error bounds against PyTorch in f32.

use std::collections::{BTreeMap, BTreeSet};

use kinograph_graph::ops::{self, OPS};
use kinograph_graph::{Args, Bound, DType, Tensor};

use crate::case::{Case, cases};

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

#[test]
fn every_op_has_goldens() {
    let seen: BTreeSet<&str> = cases().map(|case| case.op.name).collect();
    // The exact ops are defined to the bit; conformance/cases/reproducible.digests holds theirs.
    let names = OPS.iter().map(|op| op.name).filter(|name| !name.starts_with("exact."));
    let missing: Vec<&str> = names.filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "add cases to tests/goldens/basic.py or layers.py for {missing:?}");
}

#[test]
fn references_agree_with_pytorch() {
    let mut failures = Vec::new();
    for case in cases() {
        let outputs = case.run();
        assert_eq!(outputs.len(), case.expected.len(), "{}", case.name);
        for (found, expected) in outputs.iter().zip(&case.expected) {
            assert_eq!(found.shape(), expected.shape(), "{}", case.name);
            // Casts are stored widened.
            let dtype = case.attrs.str("to").map_or(expected.dtype().name(), |to| to);
            assert_eq!(found.dtype().name(), dtype, "{}", case.name);
            let finite = expected.data().iter().filter(|v| v.is_finite());
            let largest = finite.fold(0.0f64, |m, v| m.max(v.abs()));
            for (i, (&f, &e)) in found.data().iter().zip(expected.data()).enumerate() {
                // Relative to the element, and to the tensor where elements cancel.
                let slack = if case.exact { 0.0 } else { 1e-12 * e.abs() + 1e-15 * largest };
                if !same(f, e) && ((f - e).abs() > slack || (f - e).is_nan()) {
                    failures.push(format!("{}: element {i} is {f:?}, but PyTorch has {e:?}", case.name));
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} elements differ:\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
}

/// What an op's row says of its bound on a case, for each output.
fn bounds(case: &Case, inputs: &[Option<&Tensor>], outputs: &[Tensor]) -> Option<Vec<Vec<f64>>> {
    let Bound::Scaled(bound) = case.op.bound else { return None };
    let bounds = bound(&Args { op: case.op, inputs, attrs: &case.attrs }, outputs);
    let bounds = bounds.unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let lengths = |outputs: &[Tensor]| outputs.iter().map(|t| t.data().len()).collect::<Vec<_>>();
    assert_eq!(bounds.iter().map(Vec::len).collect::<Vec<_>>(), lengths(outputs), "{}", case.name);
    Some(bounds)
}

/// The largest finite number of a float type.
fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 65504.0,
        DType::BF16 => f64::from(f32::from_bits(0x7f7f_0000)),
        _ => f64::from(f32::MAX),
    }
}

/// PyTorch in f32 stays within the bounds, and on some case of each op it comes near: a bound that
/// is far from what a good device does would let a bad one pass.
#[test]
fn bounds_hold_for_pytorch_in_f32_and_are_not_slack() {
    let unit = DType::F32.unit_roundoff();
    let mut nearest: BTreeMap<&str, f64> = BTreeMap::new();
    for case in cases() {
        let outputs = case.run();
        let Some(bounds) = bounds(&case, &case.inputs(), &outputs) else { continue };
        let nearest = nearest.entry(case.op.name).or_default();
        for ((bounds, output), single) in bounds.iter().zip(&outputs).zip(&case.single) {
            for (i, (&units, &exact)) in bounds.iter().zip(output.data()).enumerate() {
                let what = format!("{}: element {i}, {exact:?} with a bound of {units:?} units", case.name);
                // What f32 cannot hold is for the comparison to judge, not for the bound.
                if !exact.is_finite() || exact.abs() > largest(DType::F32) {
                    continue;
                }
                assert!(units >= 0.0 && units.is_finite(), "{what}");
                if let Some(found) = single.as_ref().map(|s| s.data()[i]) {
                    let share = (found - exact).abs() / (units * unit);
                    assert!(share <= 1.0 || found == exact, "{what}: PyTorch in f32 has {found:?}");
                    *nearest = nearest.max(share);
                }
            }
        }
    }
    let slack: Vec<_> = nearest.iter().filter(|(_, share)| **share < 0.02).collect();
    assert!(slack.is_empty(), "far from the bound on all cases: {slack:?}");
}

/// The best that a device can do is to round the exact result to the type.
#[test]
fn bounds_admit_the_rounded_result_in_every_type() {
    for (case, dtype) in cases().flat_map(|case| {
        let case = std::rc::Rc::new(case);
        [DType::F32, DType::F16, DType::BF16].map(|dtype| (case.clone(), dtype))
    }) {
        let typed = |t: &Tensor| {
            let data = t.data().iter().map(|&v| dtype.quantize(v)).collect();
            Tensor::new(t.desc().with_dtype(dtype), data).expect("the same shape")
        };
        let float = |t: &Tensor| if t.dtype().is_float() { typed(t) } else { t.clone() };
        let inputs: Vec<Option<Tensor>> = case.inputs.iter().map(|t| t.as_ref().map(float)).collect();
        let inputs: Vec<Option<&Tensor>> = inputs.iter().map(Option::as_ref).collect();
        let outputs = ops::evaluate(case.op, &inputs, &case.attrs);
        let outputs = outputs.unwrap_or_else(|e| panic!("{} in {dtype}: {e}", case.name));
        let Some(bounds) = bounds(&case, &inputs, &outputs) else { continue };
        for (bounds, output) in bounds.iter().zip(&outputs) {
            for (&units, &exact) in bounds.iter().zip(output.data()) {
                let rounded = output.dtype().quantize(exact);
                let what =
                    format!("{} in {dtype}: {exact:?}, rounded {rounded:?}, {units:?} units", case.name);
                if exact.is_finite() && exact.abs() <= largest(output.dtype()) {
                    assert!((rounded - exact).abs() <= units * output.dtype().unit_roundoff(), "{what}");
                }
            }
        }
    }
}
