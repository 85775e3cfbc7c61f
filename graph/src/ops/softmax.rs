use super::elementwise::{DIV_UNITS, exp_units};
use super::{reduce, util};
use crate::{Args, AttrDefault, AttrKind, AttrSpec, Attrs, Bound, InputSpec, OpDef, OpError, Tensor, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "Softmax",
    doc: "exp(x) over the sum of exp(x) along an axis. A row of nothing but -inf is NaN.",
    inputs: &[InputSpec::required("input", Types::Float)],
    outputs: &["output"],
    variadic_outputs: false,
    attrs: &[AXIS],
    infer: |args| {
        axis(args.attrs, args.input(0)?.rank())?;
        util::infer_like_first(args)
    },
    reference,
    bound: Bound::Scaled(bound),
    // Maximum, subtraction, exp, sum, division.
    flops: |_, outputs| util::cost(outputs, 6),
};

/// The axis to sum along.
pub(super) const AXIS: AttrSpec = AttrSpec {
    name: "axis",
    kind: AttrKind::Int,
    default: AttrDefault::Int(-1),
    doc: "The axis to sum along, from the end if negative.",
};

pub(super) fn axis(attrs: &Attrs, rank: usize) -> Result<usize, OpError> {
    util::axis("axis", attrs.int("axis")?, rank)
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let x = args.input(0)?;
    let mut out = vec![0.0; x.data().len()];
    each_row(args, |positions| {
        let max = positions.iter().fold(f64::NEG_INFINITY, |m, &i| m.max(x.data()[i]));
        let sum: f64 = positions.iter().map(|&i| (x.data()[i] - max).exp()).sum();
        positions.iter().for_each(|&i| out[i] = (x.data()[i] - max).exp() / sum);
    })?;
    Ok(vec![Tensor::new(util::output_of(args)?, out)?])
}

fn each_row(args: &Args<'_, Tensor>, f: impl FnMut(&[usize])) -> Result<(), OpError> {
    let shape = args.input(0)?.shape();
    let axis = axis(args.attrs, shape.len())?;
    // An empty tensor has nothing to say, however many empty rows it may have.
    if util::count(shape) > 0 {
        reduce::each_group(shape, &[axis], f);
    }
    Ok(())
}

/// Each exponential: the rounded difference to the maximum, then exp. Their errors enter the sum
/// weighted by the result itself; then the additions of an accumulator, the division, and the rounding
/// to the type.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let (x, y) = (args.input(0)?, &outputs[0]);
    let mut units = vec![0.0; x.data().len()];
    each_row(args, |positions| {
        let max = positions.iter().fold(f64::NEG_INFINITY, |m, &i| m.max(x.data()[i]));
        let relative = |i: usize| {
            let z = x.data()[i] - max;
            if z.is_finite() { z.abs() + exp_units(z) } else { 0.0 }
        };
        let mean: f64 = positions.iter().map(|&i| y.data()[i] * relative(i)).sum();
        for &i in positions {
            let sum = util::accumulated(y.dtype(), positions.len());
            let total = relative(i) + mean + sum + DIV_UNITS + 1.0;
            units[i] = if y.data()[i] == 0.0 { 0.0 } else { total * y.data()[i] };
        }
    })?;
    Ok(vec![util::with_floor(y.dtype(), units)])
}
