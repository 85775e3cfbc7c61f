use super::elementwise::{self, DIV_UNITS, angle_units};
use super::util;
use crate::{
    Args, AttrDefault, AttrKind, AttrSpec, Bound, InputSpec, OpDef, OpError, Tensor, TensorDesc, Types,
};

pub(super) static DEF: OpDef = OpDef {
    name: "Snake",
    doc: "x + sin(alpha * x)^2 / (alpha + eps), alpha one number a channel: the activation of audio \
          codecs (DAC).",
    inputs: &[InputSpec::required("X", Types::Float), InputSpec::required("alpha", Types::Float)],
    attrs: &[AttrSpec {
        name: "eps",
        kind: AttrKind::Float,
        default: AttrDefault::Float(1e-9),
        doc: "What keeps the divisor from zero.",
    }],
    infer,
    reference,
    bound: Bound::Scaled(bound),
    flops: |_, outputs| util::cost(outputs, 7),
    ..elementwise::UNARY
};

fn infer(args: &Args<'_, TensorDesc>) -> Result<Vec<TensorDesc>, OpError> {
    util::same_type(args)?;
    util::finite("eps", args.attrs.float("eps")?)?;
    let (x, alpha) = (args.input(0)?, args.input(1)?);
    let Some(&channels) = x.shape.get(1) else {
        return Err(OpError::invalid(format!("X must be [B, C, ...] with channels at axis 1; it is {x}")));
    };
    if alpha.shape != [channels] {
        return Err(OpError::invalid(format!(
            "alpha is {alpha}, but must be [{channels}], one for each channel"
        )));
    }
    Ok(vec![x.clone()])
}

fn reference(args: &Args<'_, Tensor>) -> Result<Vec<Tensor>, OpError> {
    let desc = util::output_of(args)?;
    let eps = args.attrs.float("eps")?;
    let (x, alpha) = (args.input(0)?, args.input(1)?);
    Ok(vec![Tensor::from_fn(desc, |index| {
        let (x, a) = (x.data()[util::offset(x.shape(), index)], alpha.data()[index[1]]);
        x + (a * x).sin().powi(2) / (a + eps)
    })])
}

/// The sine's error with its angle rounded once, doubled by the square; the square, the sum
/// alpha + eps (rounded, as is eps) and the division; the last addition.
fn bound(args: &Args<'_, Tensor>, outputs: &[Tensor]) -> Result<Vec<Vec<f64>>, OpError> {
    let eps = args.attrs.float("eps")?;
    let (x, alpha) = (args.input(0)?, args.input(1)?);
    let units = Tensor::from_fn(x.desc().clone(), |index| {
        let i = util::offset(x.shape(), index);
        let (x, y, a) = (x.data()[i], outputs[0].data()[i], alpha.data()[index[1]]);
        let (sin, cos) = (a * x).sin_cos();
        let divisor = (a + eps).abs();
        let term = sin * sin / divisor;
        let divisor_units = (a.abs() + 2.0 * eps.abs()) / divisor;
        2.0 * sin.abs() * angle_units(a * x, 1.0, sin, cos) / divisor
            + (1.0 + divisor_units + DIV_UNITS) * term
            + y.abs()
    });
    Ok(vec![util::with_floor(x.dtype(), units.into_data())])
}
