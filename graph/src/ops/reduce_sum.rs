use super::{elementwise, reduce, util};
use crate::{Args, Bound, OpDef, OpError, Tensor};

pub(super) static DEF: OpDef = OpDef {
    name: "ReduceSum",
    doc: "The sum along axes; of nothing it is 0. Integers wrap around.",
    reference,
    bound: Bound::Scaled(bound),
    ..reduce::REDUCTION
};

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let dtype = args.input(0)?.dtype();
    if dtype.is_float() {
        return reduce::reduce(args, |values| values.iter().sum());
    }
    reduce::reduce(args, |values| {
        let sum = values.iter().fold(0i128, |sum, &v| sum.wrapping_add(v as i128));
        elementwise::wrap(dtype, sum)
    })
}

/// n - 1 additions of an accumulator in any order, each rounding a sum no larger than that of the
/// absolute values, and the rounding to the type.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let dtype = outputs[0].dtype();
    let units = reduce::reduce_data(args, |values| {
        let magnitude: f64 = values.iter().map(|v| v.abs()).sum();
        util::accumulated(dtype, values.len()) * magnitude + values.iter().sum::<f64>().abs()
    })?;
    Ok(vec![util::with_floor(dtype, units)])
}
