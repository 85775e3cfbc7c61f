use super::elementwise::DIV_UNITS;
use super::{reduce, util};
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, Types};

pub(super) static DEF: OpDef = OpDef {
    name: "ReduceMean",
    doc: "The mean along axes; of nothing it is NaN.",
    inputs: &[InputSpec::required("data", Types::Float)],
    reference: |args| reduce::reduce(args, |values| values.iter().sum::<f64>() / values.len() as f64),
    bound: Bound::Scaled(bound),
    ..reduce::REDUCTION
};

/// The sum's n - 1 additions of an accumulator, a division or a product with a rounded 1/n, and the
/// rounding to the type.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let dtype = outputs[0].dtype();
    let units = reduce::reduce_data(args, |values| {
        let n = values.len() as f64;
        let magnitude = values.iter().map(|v| v.abs()).sum::<f64>() / n;
        let mean = values.iter().sum::<f64>() / n;
        util::accumulated(dtype, values.len()) * magnitude + (DIV_UNITS + 1.0) * mean.abs()
    })?;
    Ok(vec![util::with_floor(dtype, units)])
}
