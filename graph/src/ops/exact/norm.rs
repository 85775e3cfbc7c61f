//! Normalisations.

use super::{SLICES, only_f32, parameter, slices, tensor};
use crate::exact::{self, Slices};
use crate::ops::reduce;
use crate::ops::{norm, util, util::output_of};
use crate::{Args, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types};

pub(in crate::ops) static RMS: OpDef = OpDef {
    name: "exact.RMSNormalization",
    doc: "x / sqrt(mean(x^2) + epsilon) over some axes together, times an optional scale; the mean from block integers.",
    inputs: &[InputSpec::required("X", Types::Float), InputSpec::optional("scale", Types::Float)],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[norm::AXES, norm::EPSILON, SLICES],
    infer,
    reference: |args| reference(args, false),
    bound: Bound::Exact,
    flops: |_, outputs| util::cost(outputs, 5),
};

pub(in crate::ops) static LAYER: OpDef = OpDef {
    name: "exact.LayerNormalization",
    doc: "(x - mean) / sqrt(variance + epsilon) over some axes together, times an optional scale, plus an optional bias; \
          both means from block integers.",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::optional("scale", Types::Float),
        InputSpec::optional("bias", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[norm::AXES, norm::EPSILON, SLICES],
    infer,
    reference: |args| reference(args, true),
    bound: Bound::Exact,
    flops: |_, outputs| util::cost(outputs, 8),
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    slices(args.attrs)?;
    only_f32(args.inputs.iter().flatten().copied())?;
    norm::infer(args)
}

fn reference(args: &Args<'_, Tensor>, centred: bool) -> Result<Vec<Tensor>, OpError> {
    let desc = output_of(args)?;
    let (x, slices) = (args.input(0)?, slices(args.attrs)?);
    let axes = norm::axes(args, desc.rank())?;
    let epsilon = exact::flush(util::epsilon(args.attrs)? as f32);
    let mut out = vec![0.0; x.data().len()];
    if !out.is_empty() {
        reduce::each_group(x.shape(), &axes, |positions| {
            let row: Vec<f32> = positions.iter().map(|&i| x.data()[i] as f32).collect();
            let row = if centred { centre(&row, slices) } else { row };
            let root = root(&row, epsilon, slices);
            for (j, (&i, &x)) in positions.iter().zip(&row).enumerate() {
                let y = exact::mul(x, root);
                let y = parameter(args.optional(1), j).map_or(y, |scale| exact::mul(y, scale));
                out[i] = parameter(args.optional(2), j).map_or(y, |bias| exact::add(y, bias));
            }
        });
    }
    tensor(desc, out)
}

/// The row less its mean.
fn centre(row: &[f32], slices: Slices) -> Vec<f32> {
    let whole = exact::whole(row, slices);
    let sum = exact::chunked(whole.numbers.iter().map(|&q| i64::from(q)), exact::CHUNK);
    let mean = exact::scaled(sum, whole.unit, (1.0 / row.len() as f64) as f32);
    row.iter().map(|&x| exact::sub(x, mean)).collect()
}

/// 1 / sqrt(mean of squares + epsilon).
fn root(row: &[f32], epsilon: f32, slices: Slices) -> f32 {
    let whole = exact::whole(row, slices);
    let sum = exact::dot(whole.numbers.iter().map(|&q| (q, q)));
    let power = exact::mul(exact::scaled(sum, whole.unit, whole.unit), (1.0 / row.len() as f64) as f32);
    exact::rsqrt(exact::add(power, epsilon))
}
