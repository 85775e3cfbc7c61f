use super::{norm, util};
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "GroupNormalization",
    doc: "(x - mean) / sqrt(variance + epsilon) over each group of channels of [N, C, ...] with all axes after \
          them, times an optional scale [C], plus an optional bias [C].",
    inputs: &[
        InputSpec::required("X", Types::Float),
        InputSpec::optional("scale", Types::Float),
        InputSpec::optional("bias", Types::Float),
    ],
    outputs: &["Y"],
    variadic_outputs: false,
    attrs: &[
        AttrSpec {
            name: "num_groups",
            kind: AttrKind::Int,
            default: AttrDefault::Required,
            doc: "Into how many groups the channels are cut.",
        },
        norm::EPSILON,
    ],
    infer,
    reference,
    bound: Bound::Scaled(bound),
    flops: |_, outputs| util::cost(outputs, 8),
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    let x = args.input(0)?;
    let groups = util::positive("num_groups", args.attrs.int("num_groups")?)?;
    match x.shape.get(1) {
        None => Err(OpError::invalid(format!("X must be [N, C, ...] with channels at axis 1; it is {x}"))),
        Some(c) if c % groups != 0 => {
            Err(OpError::attribute("num_groups", format!("{c} channels do not divide into {groups} groups")))
        }
        Some(_) => norm::infer_parameters(args, &[1]),
    }
}

/// X seen as [N, groups, the rest], whose last axis is normalised, and the elements of one channel.
fn view(args: &Args<'_, Tensor>) -> Result<([usize; 3], usize), OpError> {
    let shape = args.input(0)?.shape();
    let groups = util::positive("num_groups", args.attrs.int("num_groups")?)?;
    let channel = util::count(&shape[2..]);
    Ok(([shape[0], groups, shape[1] / groups * channel], channel))
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let (x, scale, bias) = (args.input(0)?, args.optional(1), args.optional(2));
    let epsilon = util::epsilon(args.attrs)?;
    let (view, channel) = view(args)?;
    let mut out = norm::by_group(x.data(), &view, &[2], |values| norm::standardize(values, epsilon));
    for (i, y) in out.iter_mut().enumerate() {
        let c = i / channel % desc.shape[1];
        *y = *y * norm::parameter(scale, c, 1.0) + norm::parameter(bias, c, 0.0);
    }
    Ok(vec![Tensor::new(desc, out)?])
}

/// The standardised value's error times the scale, the product, and the sum with the bias.
fn bound(args: &Args<'_, Tensor>, _: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let (x, scale, bias) = (args.input(0)?, args.optional(1), args.optional(2));
    let epsilon = util::epsilon(args.attrs)?;
    let (view, channel) = view(args)?;
    let mut units = norm::by_group(x.data(), &view, &[2], |values| {
        let errors = norm::standardize_units(values, epsilon, x.dtype());
        norm::standardize(values, epsilon).iter().zip(errors).map(|(y, e)| e + 2.0 * y.abs()).collect()
    });
    for (i, e) in units.iter_mut().enumerate() {
        let c = i / channel % x.shape()[1];
        *e = *e * norm::parameter(scale, c, 1.0).abs() + norm::parameter(bias, c, 0.0).abs();
    }
    Ok(vec![util::with_floor(x.dtype(), units)])
}
